"""The playing order of measures, with repeats, endings and jumps, and the notes that then sound.

Where notation leaves a choice:

- A repeat goes back to the nearest sign that opens one, or to where the last repeat ended, or to the beginning.
- After an ending that a later one follows, the repeat begins again, with or without a repeat sign. The numbers of
  endings determine how many times are played; a first ending alone means two.
- A jump (D.C., D.S.) is made once, after the repeats before it. From then on repeats are not played again, and of
  several endings only the last one is. `Fine` ends the piece then, and `To Coda` leads to the coda.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import groupby
from typing import Any, Protocol, TypeVar

from composer_notation.bargrid import round_to_ticks

# --- the order of measures --------------------------------------------------------------------------------------------


MOST_TIMES = 16
"""Most times that a passage is played."""

MOST_MEASURES = 50_000
"""Most measures that are played."""

BEGINNING = "beginning"
"""The target of a da capo."""


@dataclass(frozen=True)
class Signs:
    """The signs around one measure. `times` counts every time a passage is played, the first included."""

    opens: bool = False  # a repeat begins before it
    times: int = 0  # how often a repeat that ends after it is played in all; 0: none ends
    endings: tuple[int, ...] = ()  # the rounds of the repeat that it is for, in every measure under the bracket
    begins_ending: bool = False  # the bracket begins here, which tells two neighbouring endings apart
    segno: str = ""  # labels of the signs that stand before it; "" for none
    coda: str = ""
    fine: bool = False  # the piece ends after it, once a jump has been made
    to_coda: str = ""  # once a jump has been made, the coda of this label follows it
    jump: str = ""  # after it: `BEGINNING`, or the label of the segno that follows


class Unplayable(ValueError):
    """Signs that make no piece; the text is the reason, in words that follow a file's name."""


class SignMissing(Unplayable):
    """A jump to a segno or a coda that is missing."""


def find_order(signs: Sequence[Signs], most: int = MOST_MEASURES) -> list[int]:
    """List the indices of measures as they are played. Raises Unplayable beyond `most`, and SignMissing.

    Takes time linear in the measures given and played. Each measure is played at most `MOST_TIMES` times before the
    first jump, and each jump is made once.
    """
    order: list[int] = []
    for index in _Playback(signs):
        order.append(index)
        if len(order) > most:
            raise Unplayable(f"has repeats that make it longer than {most:,} measures")
    return order


@dataclass
class _Playback:
    """A position in the piece, and the state of the repeat around it."""

    signs: Sequence[Signs]
    index: int = 0
    start: int = 0  # of the current repeat
    round: int = 1
    has_jumped: bool = False
    jumps_made: set[int] = field(default_factory=set)
    segnos: dict[str, int] = field(init=False)
    codas: dict[str, int] = field(init=False)
    ending_of: list[int] = field(init=False)  # the first measure of its group of endings, -1 for none
    last_time: dict[int, int] = field(init=False)  # rounds of each group of endings
    group_end: dict[int, int] = field(init=False)  # the first measure after it

    def __post_init__(self) -> None:
        indexed = range(len(self.signs) - 1, -1, -1)  # backwards: of several signs of one label the first counts
        self.segnos = {self.signs[i].segno: i for i in indexed if self.signs[i].segno}
        self.codas = {self.signs[i].coda: i for i in indexed if self.signs[i].coda}
        self._group_endings()

    def _group_endings(self) -> None:
        """Group endings: those that follow one another belong to one repeat, unless a number recurs."""
        self.ending_of, self.last_time, self.group_end = [], {}, {}
        begin, used = -1, set[int]()
        for index, sign in enumerate(self.signs):
            is_new = sign.begins_ending or (bool(sign.endings) and begin < 0)
            if not sign.endings or sign.opens or (is_new and not used.isdisjoint(sign.endings)):
                begin, used = -1, set()
            if sign.endings:
                begin = index if begin < 0 else begin
                used.update(sign.endings)
                last = max(used)
                is_alone = last == 1 and (sign.times or self.last_time.get(begin) == 2)  # the second round skips it
                self.last_time[begin], self.group_end[begin] = 2 if is_alone else min(last, MOST_TIMES), index + 1
            self.ending_of.append(begin)

    def __iter__(self) -> Iterator[int]:
        while self.index < len(self.signs):
            sign = self.signs[self.index]
            if sign.opens and self.index != self.start:
                self.start, self.round = self.index, 1
            if sign.endings and not self._is_played(sign):
                self._skip_ending()
                continue
            yield self.index
            if self.has_jumped and sign.fine:
                return
            self.index = self._find_next(sign)

    def _is_played(self, sign: Signs) -> bool:
        """Tell whether this ending is for the current round; after a jump, whether it is the last one."""
        return (self.last_time[self.ending_of[self.index]] if self.has_jumped else self.round) in sign.endings

    def _skip_ending(self) -> None:
        """Skip a measure of another ending; after the last of the endings, begin the next round."""
        is_last = self.index + 1 == self.group_end[self.ending_of[self.index]]
        self.index = self.start if is_last and self._begin_round() else self.index + 1

    def _find_next(self, sign: Signs) -> int:
        """Return the index of the next measure."""
        here = self.index
        if self._is_repeat_end(sign) and self._begin_round():
            return self.start
        if sign.jump and here not in self.jumps_made:
            return self._make_jump(sign.jump)
        if self.has_jumped and sign.to_coda and here not in self.jumps_made:
            self.jumps_made.add(here)
            return self._find_sign(self.codas, sign.to_coda, "coda")
        group = self.ending_of[here]
        return here + 1 if group < 0 or not self._is_ending_end() else self.group_end[group]

    def _is_repeat_end(self, sign: Signs) -> bool:
        return bool(sign.times) if self.ending_of[self.index] < 0 else self._is_ending_end()

    def _begin_round(self) -> bool:
        """Begin the next round of the repeat that ends here, or leave it; tell whether there is a next round."""
        group = self.ending_of[self.index]
        times = min(self.signs[self.index].times, MOST_TIMES) if group < 0 else self.last_time[group]
        if self.round < times and not self.has_jumped:
            self.round += 1
            return True
        self.start, self.round = self.index + 1 if group < 0 else self.group_end[group], 1
        return False

    def _is_ending_end(self) -> bool:
        """Tell whether the bracket over this measure ends with it."""
        following = self.index + 1
        if self.signs[self.index].times or following == len(self.signs):
            return True
        its = self.signs[following]
        return its.begins_ending or its.endings != self.signs[self.index].endings

    def _make_jump(self, target: str) -> int:
        self.jumps_made.add(self.index)
        self.has_jumped = True
        self.round = 1
        self.start = 0 if target == BEGINNING else self._find_sign(self.segnos, target, "segno")
        return self.start

    def _find_sign(self, signs: dict[str, int], label: str, name: str) -> int:
        """Find the sign of that label, or else the only one there is: programs label them carelessly."""
        if label in signs:
            return signs[label]
        if len(signs) == 1:
            return next(iter(signs.values()))
        raise SignMissing(f"has a jump to a {name} that is missing")


# --- sounding notes, ties joined --------------------------------------------------------------------------------------


Note = TypeVar("Note", bound="HasVoice")

VELOCITY = 80
"""Velocity of a note without dynamics."""

FORTE = 90
"""Velocity that MusicXML counts as `dynamics="100"`."""


@dataclass(frozen=True)
class Sounding:
    """A written note: from `start` for `length` quarter notes, perhaps tied to the next one of its pitch."""

    start: Fraction
    length: Fraction
    pitch: int
    velocity: int = VELOCITY
    is_tied: bool = False
    voice: str = ""


def make_rows(notes: Iterable[Sounding]) -> list[tuple[int, int, int, int]]:
    """Convert notes to (start, duration, pitch, velocity) in ticks, tied ones joined."""
    return [
        (
            round_to_ticks(note.start),
            max(1, round_to_ticks(note.start + note.length) - round_to_ticks(note.start)),
            note.pitch,
            note.velocity,
        )
        for note in join_tied_notes(notes)
    ]


def join_tied_notes(notes: Iterable[Sounding]) -> list[Sounding]:
    """Join tied notes, and sort by start; a tie to nothing or to another pitch is ignored.

    A tie goes on in its own voice if that has the pitch, else in another one.
    """
    found: list[Sounding] = []
    waiting: dict[tuple[int, Fraction], dict[str, int]] = {}  # indices of tied notes, by voice
    for start, together in groupby(sorted(notes, key=lambda note: note.start), key=lambda note: note.start):
        for note in sorted(together, key=lambda note: note.voice not in waiting.get((note.pitch, note.start), ())):
            held = waiting.get((note.pitch, start), {})
            voice = note.voice if note.voice in held else next(iter(held), None)
            if voice is None:
                index = len(found)
                found.append(note)
            else:
                index = held.pop(voice)
                found[index] = replace(found[index], length=start + note.length - found[index].start)
            if note.is_tied:
                waiting.setdefault((note.pitch, start + note.length), {})[note.voice] = index
    return found


class HasVoice(Protocol):
    """A note in a voice, in any unit of time; a false voice is none."""

    @property
    def start(self) -> Any:
        """Its onset."""

    @property
    def length(self) -> Any:
        """Its duration."""

    @property
    def voice(self) -> Any:
        """The label of its voice."""


def split_voices(notes: Sequence[Note]) -> list[list[Note]]:
    """Split notes by voice if voices sound together; notes of no voice go with the first."""
    if not _has_overlap(notes):
        return [list(notes)]
    found: dict[Any, list[Note]] = {name: [] for name in sorted({note.voice for note in notes if note.voice})}
    first = next(iter(found))
    for note in notes:
        found[note.voice or first].append(note)
    return list(found.values())


def _has_overlap(notes: Iterable[HasVoice]) -> bool:
    """Tell whether notes of different voices ever sound together."""
    last = others = 0  # the end of the voice that reaches furthest, and of all others
    furthest = None
    for note in sorted((note for note in notes if note.voice), key=lambda note: note.start):
        if note.start < (others if note.voice == furthest else last):
            return True
        end = note.start + note.length
        if note.voice == furthest:
            last = max(last, end)
        elif end > last:
            last, others, furthest = end, last, note.voice
        else:
            others = max(others, end)
    return False
