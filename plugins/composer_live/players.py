"""The modes of a session: when the model listens, and when and what it plays.

A player is told what is played and commanded, states at which tick something is due (`due`), and is called there. It
adds events to its session. All depends on ticks alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from composer.errors import BadOption, printable, suggest
from composer_live.performing import Performance, cut_notes, list_events, shift_notes
from composer_live.values import LEAD, Played
from composer_live.writing import PLAYED, PartNote, Phrase

if TYPE_CHECKING:
    from composer_live.session import Session


class Player(Protocol):
    """One mode of a session."""

    due: int | None
    """The tick at which `play` is to be called next; cleared before each call."""

    def listen(self, played: Played) -> None:
        """Take a note that is played now."""

    def play(self) -> None:
        """Do what is due."""

    def prepare(self) -> None:
        """Read ahead, so that less is left to do when something is due. It changes nothing that is played."""

    def obey(self, command: str) -> None:
        """Do what `again`, `vary`, `keep` or `undo` says; what has no meaning here does nothing."""


def make_player(session: Session, mode: str) -> Player:
    """Make the player of a mode. Raises BadOption for an unknown one, or one that the model cannot play."""
    from composer_live.following import make_accompanist
    from composer_live.harmony import Harmonizer

    modes: Mapping[str, Callable[[Session], Player]] = {
        **MODES,
        "harmonize": Harmonizer,
        "accompany": make_accompanist,
    }
    if mode not in modes:
        raise BadOption(f"unknown mode '{printable(mode)}': {suggest(mode, sorted(modes))}")
    return modes[mode](session)


def require_parts(session: Session, mode: str) -> None:
    """Raise BadOption for a model that writes a single part."""
    if session.writer.parts < 2:
        name = printable(session.generator.name or "this model")
        raise BadOption(
            f"'{name}' writes a single part, and '{mode}' needs another beside yours; "
            "take a model of several parts, such as chorales, or drums, or the mode answer, continue or loop."
        )


def read_so_far(session: Session) -> None:
    """Let the model read what is played up to now."""
    session.writer.begin(session.memory.list_notes(session.tick), session.tick, 0)


# --- answer -----------------------------------------------------------------------------------------------------------


@dataclass
class _Turn:
    """What an answer was written from: enough to write it again, or another."""

    notes: list[PartNote]
    floor: int
    number: int


class Answerer:
    """Call and response by bars: a turn begins with the bar of its first note, and the model answers as long."""

    due: int | None = None

    def __init__(self, session: Session) -> None:
        """Wait for the first note."""
        self.session = session
        self._begin: int | None = None  # of the turn that is played now
        self._turn: _Turn | None = None
        self._playing: Performance | None = None
        self._end = 0  # of the answer
        self._turns = 0

    def listen(self, played: Played) -> None:
        """Begin a turn with the first note of one."""
        if not played.velocity or self._begin is not None:
            return
        session = self.session
        bar = (played.tick + LEAD) // session.bar_ticks * session.bar_ticks
        if self._playing is not None and bar < self._end:
            return  # along with the answer
        self._begin = bar
        if self._playing is None:
            self._expect(bar)

    def _expect(self, begin: int) -> None:
        """Wait for the end of a turn that begins at a tick."""
        self._end = begin + self.session.bars * self.session.bar_ticks
        self.due = max(self._end - LEAD, self.session.tick)

    def play(self) -> None:
        """Write the next bar of the answer, or begin it."""
        session = self.session
        if self._playing is None:
            self._turns += 1
            floor = session.find_bar(session.tick)
            turn = _Turn(session.memory.list_notes(session.tick), floor, self._turns)
            self._answer(turn, floor)
            return
        self._write_bar()

    def prepare(self) -> None:
        """Read the turn so far."""
        if self._playing is None and self._begin is not None:
            read_so_far(self.session)

    def _answer(self, turn: _Turn, at: int) -> None:
        """Begin an answer, to be played from a bar line on."""
        session, self._turn, self._begin = self.session, turn, None
        phrase = session.writer.begin(turn.notes, turn.floor, turn.number)
        self._playing = Performance(session, phrase, turn.floor, at - turn.floor)
        self._end = at + session.bars * session.bar_ticks
        self._write_bar()

    def _write_bar(self) -> None:
        session, playing = self.session, self._playing
        assert playing is not None  # noqa: S101
        if playing.written + playing.moved >= self._end:  # the answer is over
            self._playing = None
            if self._begin is not None:
                self._expect(self._begin)
            return
        until = playing.written + session.bar_ticks
        at = until + playing.moved
        playing.write_bar(until, ends=at >= self._end)
        self.due = max(at - LEAD, session.tick) if at < self._end else max(at, session.tick)

    def obey(self, command: str) -> None:
        """Play the answer again, or another one, from the next bar on; or forget the last turn."""
        if self._turn is None:
            return
        if command == "undo":
            self._forget(self._turn)
        elif command in ("again", "vary"):
            number = self._turn.number + (1000 if command == "vary" else 0)
            self.session.cut()
            floor = self.session.find_bar(self.session.tick + LEAD)
            self._answer(replace(self._turn, number=number), floor)
        elif command == "keep":
            self.session.kept = [
                n for n in self.session.memory.notes if n.part != PLAYED and n.start >= self._turn.floor
            ]

    def _forget(self, turn: _Turn) -> None:
        session, begin = self.session, turn.floor - self.session.bars * self.session.bar_ticks
        session.cut()
        session.memory.notes = [note for note in session.memory.notes if note.start < begin]
        self._playing, self._turn, self._begin, self.due = None, None, None, None


# --- continue ---------------------------------------------------------------------------------------------------------


class Continuer:
    """The model goes on a beat after the last note has ended, and stops when somebody plays."""

    due: int | None = None

    def __init__(self, session: Session) -> None:
        """Wait for the first note."""
        self.session = session
        self._playing: Performance | None = None
        self._turns = 0

    def listen(self, played: Played) -> None:
        """Stop for a note; go on when none is held."""
        session = self.session
        if played.velocity and self._playing is not None:
            session.cut()
            self._playing = None
        held = session.memory.held
        if self._playing is None:
            self.due = None if held else played.tick + session.beat_ticks
            if not session.memory.notes:
                self.due = None

    def play(self) -> None:
        """Begin on the next beat, or write the next bar."""
        session = self.session
        if self._playing is None:
            self._turns += 1
            beat = session.beat_ticks
            floor = -(-(session.tick + LEAD // 2) // beat) * beat
            phrase = session.writer.begin(session.memory.list_notes(session.tick), floor, self._turns)
            self._playing = Performance(session, phrase, floor)
        until = session.find_bar(self._playing.written + 1)
        self._playing.write_bar(until, ends=False)
        self.due = max(until - LEAD, session.tick + 1)

    def prepare(self) -> None:
        """Read what is played so far."""
        if self._playing is None and self.session.memory.notes:
            read_so_far(self.session)

    def obey(self, command: str) -> None:
        """With `vary`, go on in another way."""
        if command == "vary" and self._playing is not None:
            self.session.cut()
            self._playing, self.due = None, self.session.tick


# --- loop -------------------------------------------------------------------------------------------------------------


class Looper:
    """The first bars that are played are repeated, from the bar after them on; on command, with another second half."""

    due: int | None = None

    def __init__(self, session: Session) -> None:
        """Wait for the first note, unless something is kept already."""
        self.session = session
        self._bars = session.bars
        self._notes: list[PartNote] = []  # from tick 0
        self._original: list[PartNote] = []
        self._varied = 0
        if session.kept:
            first = min(note.start for note in session.kept) // session.bar_ticks * session.bar_ticks
            self._original = self._notes = shift_notes(session.kept, -first)
            self._next = session.find_bar(session.tick + LEAD)
            self.due = max(self._next - LEAD, session.tick)

    @property
    def _length(self) -> int:
        return self._bars * self.session.bar_ticks

    def listen(self, played: Played) -> None:
        """Begin with the first note."""
        if played.velocity and not self._notes and self.due is None:
            bar = (played.tick + LEAD) // self.session.bar_ticks * self.session.bar_ticks
            self._next = bar + self._length
            self.due = max(self._next - 1, self.session.tick)

    def play(self) -> None:
        """Add one more round."""
        session = self.session
        if not self._notes:
            self._keep(self._next)
        if not self._notes:
            return
        begin = self._next
        session.add(list_events(shift_notes(self._notes, begin), begin, begin + self._length, ends=True))
        self._next = begin + self._length
        self.due = max(self._next - LEAD, session.tick + 1)

    def _keep(self, end: int) -> None:
        """Keep what was played in the bars before a tick."""
        part = self.session.setup.program, False, "loop"
        mine = [n for n in self.session.memory.list_notes(end) if n.part == PLAYED]
        found = [replace(note, part=part) for note in cut_notes(mine, end - self._length - LEAD, end)]
        self._notes = self._original = [
            replace(note, start=max(note.start, 0)) for note in shift_notes(found, self._length - end)
        ]

    def prepare(self) -> None:
        """Do nothing: a loop is there already."""

    def obey(self, command: str) -> None:
        """Vary the second half, return to the loop as it was, or keep what was played last instead."""
        session = self.session
        if command == "vary" and self._original:
            self._vary()
        elif command in ("undo", "again"):
            self._notes = self._original
        elif command == "keep":
            self._bars = session.bars
            end = session.tick // session.bar_ticks * session.bar_ticks
            session.cut()
            self._keep(end)
            self._next = session.find_bar(session.tick + LEAD)
            self.due = max(self._next - LEAD, session.tick)

    def _vary(self) -> None:
        """Let the model write the second half, after the loop and its first half."""
        self._varied += 1
        length = self._length
        half = length // 2 if self._bars == 1 else self._bars // 2 * self.session.bar_ticks
        heads = [note for note in self._original if note.start < half]
        read = [replace(n, part=PLAYED) for n in [*self._original, *shift_notes(heads, length)]]
        phrase = self.session.writer.begin(read, length + half, self._varied)
        part = self.session.setup.program, False, "loop"
        new = [replace(note, part=part) for note in cut_notes(phrase.extend(2 * length), length + half, 2 * length)]
        self._notes = [*cut_notes(heads, 0, half), *shift_notes(new, -length)]


# --- accompany --------------------------------------------------------------------------------------------------------


class Accompanist:
    """The other parts beside what is played: each bar is written just before it begins, from all bars before it."""

    due: int | None = None

    REST = 2
    """Bars without a note after which it waits."""

    def __init__(self, session: Session) -> None:
        """Wait for the first note."""
        self.session = session
        self._last = 0
        self._bars = 0

    def listen(self, played: Played) -> None:
        """Begin with the bar after the first note."""
        self._last = played.tick
        if played.velocity and self.due is None:
            self._next = self.session.find_bar(played.tick + LEAD)
            self.due = max(self._next - LEAD, self.session.tick)

    def play(self) -> None:
        """Write the next bar."""
        session, floor = self.session, self._next
        silent = not session.memory.held and session.tick - self._last > self.REST * session.bar_ticks
        if silent:
            return
        self._bars += 1
        until = floor + session.bar_ticks
        phrase = self._begin(floor)
        notes = [note for note in phrase.extend(until) if not self._is_mine(note)]
        Performance(session, phrase, floor).add(notes, phrase.first, until, ends=True)
        self._next = until
        self.due = max(until - LEAD, session.tick + 1)

    def _begin(self, floor: int) -> Phrase:
        """Read all bars before a tick, and begin the bar there."""
        return self.session.writer.begin(self.session.memory.list_notes(self.session.tick), floor, self._bars)

    def _is_mine(self, note: PartNote) -> bool:
        """Tell whether a note is in the part of whoever plays."""
        writer = self.session.writer
        if writer.has_voices:
            return note.part == writer.voices[0]
        return not note.part[1] and note.part[0] == self.session.setup.program

    def prepare(self) -> None:
        """Read the bar so far."""
        if self.due is not None:
            read_so_far(self.session)

    def obey(self, command: str) -> None:
        """Do nothing: it follows what is played."""


MODES: Mapping[str, Callable[[Session], Player]] = {
    "answer": Answerer,
    "continue": Continuer,
    "loop": Looper,
}
"""The modes that any model plays, by name."""
