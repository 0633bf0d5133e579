"""The mode accompany for a model that takes what is given in a way of its own, as a drummer takes its rhythm.

Such a model does not read what is played as notes. What was played in one bar is given for the next one instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from composer.generation.generator import Generator
from composer.generation.infilling import quantise
from composer.music.score import Score, Tempo, Track, make_labels, make_notes
from composer.tokens.conditions import split_conditions
from composer.types import Array, PlacesGiven
from composer_live.players import Accompanist, Player, require_parts
from composer_live.values import LEAD, Played
from composer_live.writing import PLAYED, PartNote, Phrase

if TYPE_CHECKING:
    from composer_live.session import Session

EARLY = LEAD // 2
"""Ticks before a bar line from which a note belongs to the bar after it."""

MEMORY = 4
"""Bars: the model reads at least so many of its own, and less than twice as many; to read more would make it late."""


def find_placing(generator: Generator) -> PlacesGiven | None:
    """Return the tokenizer of a model, if it takes what is given in a way of its own."""
    own, _ = split_conditions(generator.tokenizer)
    return own if isinstance(own, PlacesGiven) else None


def make_accompanist(session: Session) -> Player:
    """Make the player that suits the model. Raises BadOption for a model of a single part that follows nothing."""
    placing = find_placing(session.generator)
    if placing is not None:
        return RhythmFollower(session, placing)
    require_parts(session, "accompany")
    return Accompanist(session)


def repeat_bar(notes: Iterable[PartNote], floor: int, bar_ticks: int) -> list[PartNote]:
    """List the notes known `LEAD` ticks before the bar at `floor`, those of one bar's length, moved on into that bar.

    Places at its end that are still to be played are those of the bar before.
    """
    found = []
    for note in notes:
        if not floor - bar_ticks - LEAD <= note.start < floor - LEAD:
            continue
        moved = bar_ticks if note.start + bar_ticks >= floor - EARLY else 2 * bar_ticks
        end = min(max(note.end + moved, floor + 1), floor + bar_ticks)
        found.append(replace(note, start=note.start + moved, end=max(end, note.start + moved + 1)))
    return sorted(found)


class RhythmFollower(Accompanist):
    """The model reads its own last bars, and each new bar has the rhythm that was played in the bar before.

    After a bar without a note it plays freely.
    """

    def __init__(self, session: Session, placing: PlacesGiven) -> None:
        """Wait for the first note."""
        super().__init__(session)
        self._placing = placing
        self._entry = 0  # tick at which it began to play

    def listen(self, played: Played) -> None:
        """Begin with the bar after the first note."""
        waits = self.due is None
        super().listen(played)
        if waits and self.due is not None:
            self._entry = self._next

    def prepare(self) -> None:
        """Read its own bars up to the next one."""
        if self.due is not None:
            self._read(self._next)

    def _begin(self, floor: int) -> Phrase:
        begin = self._read(floor)
        mine = [note for note in self.session.memory.list_notes(self.session.tick) if note.part == PLAYED]
        heard = repeat_bar(mine, floor, self.session.bar_ticks)
        masks = self._fix(heard, begin) if heard else None
        return Phrase(self.session.writer, begin, floor, early=EARLY, masks=masks)

    def _is_mine(self, note: PartNote) -> bool:
        """Tell that all that it writes is its own."""
        return False

    def _read(self, floor: int) -> int:
        """Take the writer to the place before a bar, and return the tick at which its piece begins."""
        writer, generator = self.session.writer, self.session.generator
        begin = max(writer.find_window(floor, MEMORY), self._entry)
        own = [n for n in self.session.memory.notes if n.part != PLAYED and begin - EARLY <= n.start < floor - EARLY]
        mark = PartNote(floor, floor + writer.signature.beat_ticks, 60, 80, PLAYED)  # so that all before it is complete
        marked = quantise(generator, self._placing.place_given(self._make_score([mark], begin))[0])
        score = self._make_score(own, begin)
        tokens = generator.tokenizer.encode(replace(score, tracks=(*score.tracks, *marked.tracks)), ends=False)
        writer.read_tokens([int(token) for token in tokens], floor - begin, self._bars)
        return begin

    def _fix(self, notes: Sequence[PartNote], begin: int) -> Callable[[Array], Array]:
        """Make the masks that keep what the model takes of notes."""
        generator = self.session.generator
        placed, spans = self._placing.place_given(self._make_score(notes, begin))
        return generator.tokenizer.grammar.fix_notes(quantise(generator, placed), spans)

    def _make_score(self, notes: Sequence[PartNote], begin: int) -> Score:
        """Make a score of notes, which begins at a tick, in the session's time signature and at its first tempo."""
        session, tracks = self.session, []
        for part in sorted({note.part for note in notes}):
            rows = [
                (max(n.start - begin, 0), max(n.end - max(n.start, begin), 1), n.pitch, n.velocity)
                for n in notes
                if n.part == part
            ]
            tracks.append(Track(make_notes(rows), part[2], max(part[0], 0), part[1]))
        tempo = session.request.tempo
        return Score(
            tuple(tracks),
            tempos=() if tempo is None else (Tempo(0, tempo),),
            time_signatures=(session.writer.signature,),
            labels=make_labels((), session.request.conditions),
        )
