"""Score: the music that tokenizers, datasets, readers and exporters share.

Time is counted in ticks, `TICKS_PER_QUARTER` to a quarter note, from the beginning of the piece (of the pickup, if
there is one). Bars and beats follow from the time signatures. Titles and names are on one line that every format can
hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.music.chords import Chord, find_chord
from composer.music.keys import Key

# --- notes ------------------------------------------------------------------------------------------------------------


TICKS_PER_QUARTER = 480
"""One resolution for every Score: it divides by 64ths, triplets and quintuplets."""

MOST_BARS = 100_000
"""Most bars of a score that is counted by bars; a longer one is refused."""

NOTE = np.dtype([("start", "<i8"), ("duration", "<i8"), ("pitch", "<i2"), ("velocity", "<i2")])
"""A note: start and duration in ticks, MIDI pitch 0..127, velocity 1..127."""

END = "end"
"""The text of a marker at the end of a piece, where silence follows its last note."""

Notes = NDArray[Any]

Labels: TypeAlias = "tuple[tuple[str, str], ...]"
"""What a piece is labelled with: pairs of a name and its value, such as ("style", "funk"), sorted by name."""


def make_notes(rows: Iterable[tuple[int, int, int, int]]) -> Notes:
    """Make an array of `NOTE` from rows of (start, duration, pitch, velocity), sorted by start, then pitch."""
    notes = np.array(list(rows), dtype=NOTE)
    return notes[np.lexsort((notes["pitch"], notes["start"]))]


def concatenate_notes(parts: Sequence[Notes]) -> Notes:
    """Concatenate notes (`np.concatenate` would compare their fields by name each time)."""
    notes = np.empty(sum(map(len, parts)), dtype=NOTE)
    begin = 0
    for part in parts:
        notes[begin : begin + len(part)] = part
        begin += len(part)
    return notes


# --- scores -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Track:
    """One part: notes sorted by start, then pitch; `program` is General MIDI, 0..127."""

    notes: Notes
    name: str = ""
    program: int = 0
    is_drum: bool = False

    def __post_init__(self) -> None:
        """Clean the name, whatever its origin."""
        object.__setattr__(self, "name", clean_text(self.name))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Track):
            return NotImplemented
        same = (self.name, self.program, self.is_drum) == (other.name, other.program, other.is_drum)
        return same and np.array_equal(self.notes, other.notes)

    __hash__ = None  # type: ignore[assignment]  # it holds an array


@dataclass(frozen=True, order=True)
class Tempo:
    """A tempo from `tick` on, in quarter notes per minute."""

    tick: int
    bpm: float


@dataclass(frozen=True, order=True)
class TimeSignature:
    """A time signature from `tick` on: bars of `numerator` notes of value 1/`denominator`."""

    tick: int
    numerator: int
    denominator: int

    @property
    def bar_ticks(self) -> int:
        """Length of a bar in ticks."""
        return max(1, TICKS_PER_QUARTER * 4 * self.numerator // self.denominator)

    @property
    def beat_ticks(self) -> int:
        """Length of a beat in ticks: a dotted value in compound metres (6/8, 9/8, 12/8)."""
        unit = TICKS_PER_QUARTER * 4 // self.denominator
        compound = self.denominator >= 8 and self.numerator > 3 and self.numerator % 3 == 0
        return unit * 3 if compound else unit

    @property
    def pulse_ticks(self) -> int:
        """Length of what a tempo counts, in ticks: a beat, or the whole bar of 3/8 and shorter ones."""
        return self.bar_ticks if self.numerator == 3 and self.denominator >= 8 else self.beat_ticks

    def __str__(self) -> str:
        return f"{self.numerator}/{self.denominator}"


@dataclass(frozen=True, order=True)
class KeySignature:
    """A key from `tick` on."""

    tick: int
    key: Key


@dataclass(frozen=True, order=True)
class Text:
    """A text at a tick, such as a marker."""

    tick: int
    text: str

    def __post_init__(self) -> None:
        """Clean the text, whatever its origin."""
        object.__setattr__(self, "text", clean_text(self.text))


@dataclass(frozen=True, order=True)
class ChordSymbol(Text):
    """A chord symbol from `tick` on, as it is written: `Am7`, `C-7/G`, `N.C.`."""

    @property
    def chord(self) -> Chord | None:
        """Its root, quality and bass; None for a text that names no known chord."""
        return find_chord(self.text)


def make_chord_symbols(texts: Iterable[Text]) -> tuple[ChordSymbol, ...]:
    """Make chord symbols of texts."""
    return tuple(ChordSymbol(text.tick, text.text) for text in texts)


@dataclass(frozen=True)
class Score:
    """A piece of music. Frozen; every list is sorted by tick.

    `upbeat` is the length in ticks of an incomplete first bar (0: the piece begins on a downbeat). The first time
    signature counts from tick 0; the default is 4/4. `labels` are what a dataset knows of the piece, such as its style.
    """

    tracks: tuple[Track, ...] = ()
    tempos: tuple[Tempo, ...] = ()
    time_signatures: tuple[TimeSignature, ...] = ()
    key_signatures: tuple[KeySignature, ...] = ()
    upbeat: int = 0
    markers: tuple[Text, ...] = ()
    chords: tuple[ChordSymbol, ...] = ()
    title: str = field(default="", compare=False)
    labels: Labels = ()

    def __post_init__(self) -> None:
        """Clean the title and the labels, whatever their origin; texts that name chords become chord symbols."""
        object.__setattr__(self, "title", clean_text(self.title))
        if any(type(one) is not ChordSymbol for one in self.chords):
            object.__setattr__(self, "chords", make_chord_symbols(self.chords))
        if self.labels:
            object.__setattr__(self, "labels", make_labels(self.labels))

    @property
    def end(self) -> int:
        """The tick at which the last note ends; 0 for a piece without notes."""
        ends = [int((t.notes["start"] + t.notes["duration"]).max()) for t in self.tracks if len(t.notes)]
        return max(ends, default=0)

    @property
    def length(self) -> int:
        """The tick at which the piece ends: at a marker `END` after the last note, or with the last note."""
        return max([self.end, *(marker.tick for marker in self.markers if marker.text == END)])

    @property
    def note_count(self) -> int:
        """The number of notes in all tracks."""
        return sum(len(track.notes) for track in self.tracks)


# --- bars and time signatures -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bars:
    """The starts of a score's bars, in ticks, and each bar's time signature; the pickup is a bar of its own.

    `nominal` is the start of the complete bar. It differs from `starts` only for a pickup; a position in the bar is
    `tick - nominal`.
    """

    starts: NDArray[np.int64]  # (bars + 1,), the last one is the end of the last bar
    nominal: NDArray[np.int64]  # (bars,)
    time_signatures: tuple[TimeSignature, ...]  # those of the score, 4/4 if it states none
    signature_index: NDArray[np.int64]  # (bars,) indices in `metres`

    @property
    def signatures(self) -> tuple[TimeSignature, ...]:
        """Each bar's time signature, (bars,)."""
        return tuple(self.time_signatures[index] for index in self.signature_index.tolist())


def compute_bars(score: Score, end: int | None = None, most: int = MOST_BARS) -> Bars:
    """Compute the bars of `score` up to `end` (default: the end of its last note).

    A time signature in the middle of a bar ends that bar there. Raises ValueError beyond `most` bars.
    """
    end = score.end if end is None else end
    metres = score.time_signatures or (TimeSignature(0, 4, 4),)
    first = metres[0].bar_ticks
    begins = [np.zeros(0, dtype=np.int64)]
    counts = []
    tick = total = 0
    upbeat = 0 < score.upbeat < first and (end if len(metres) == 1 else min(end, metres[1].tick)) > 0
    if upbeat:
        begins.append(np.zeros(1, dtype=np.int64))
        tick = score.upbeat
    for number, metre in enumerate(metres):
        until = min(end, metres[number + 1].tick) if number + 1 < len(metres) else end
        count = max(-((tick - until) // metre.bar_ticks), 0)
        total += count
        if total + upbeat > most:
            raise ValueError(f"more than {most} bars")
        begins.append(np.arange(count) * metre.bar_ticks + tick)
        counts.append(count)
        tick += count * metre.bar_ticks
        if number + 1 < len(metres):
            tick = max(min(tick, metres[number + 1].tick), 0)
    counts[0] += upbeat
    starts = np.concatenate([*begins, [max(tick, end)]])
    nominal = starts[:-1].copy()
    if upbeat:
        nominal[0] = score.upbeat - first
    return Bars(starts, nominal, metres, np.repeat(np.arange(len(metres)), counts))


def parse_time_signature(text: str) -> TimeSignature:
    """Parse a time signature such as `"3/4"`, at tick 0: 1..64 over a power of two up to 64. Raises ValueError."""
    numerator, slash, denominator = text.partition("/")
    if slash and numerator.isdecimal() and denominator.isdecimal():
        top, bottom = int(numerator), int(denominator)
        if 1 <= top <= 64 and bottom in (1, 2, 4, 8, 16, 32, 64):
            return TimeSignature(0, top, bottom)
    raise ValueError(f"'{text}' is not a time signature such as 3/4")


# --- labels -----------------------------------------------------------------------------------------------------------


def make_labels(*parts: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """Join labels to one for each name, the last one given, sorted by name; those without a value are left out."""
    pairs = (pair for part in parts for pair in (part.items() if isinstance(part, Mapping) else part))
    found = {clean_text(name).strip(): clean_text(value).strip() for name, value in pairs}
    return tuple(sorted((name, value) for name, value in found.items() if name and value))


# --- texts ------------------------------------------------------------------------------------------------------------


_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Control characters, and the ends of lines and paragraphs."""

_HIDDEN = re.compile(
    "["
    "\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or bidirectional
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
    "\ud800-\udfff"  # halves of characters, which no encoding holds
    "\ufdd0-\ufdef" + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17)) + "]+"
)
"""Invisible characters and bidirectional controls. Joiners stay: Persian, Indic scripts and emoji need them."""


def clean_text(text: str) -> str:
    """Put `text` on one line, without control characters, surrogates and bidirectional controls."""
    if text.isprintable():
        return text
    cleaned = _HIDDEN.sub("", _BREAKS.sub(" ", text))
    return text if cleaned == text else cleaned.strip()
