"""Readings: fixed music as a model reads it, and what it writes as it is heard.

A model knows the time signatures, the range and the grid of what it was trained on. So it may read music transposed,
in other bars, or quantised; what it writes is moved back, beside the fixed notes as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from composer.errors import BadOption, printable
from composer.music.merging import LATEST
from composer.music.score import TICKS_PER_QUARTER, Notes, Score, parse_time_signature
from composer.music.transposing import transpose_score
from composer.types import Span

WHOLE = 4 * TICKS_PER_QUARTER


@dataclass(frozen=True)
class Reading:
    """How a model reads music: so many semitones higher, with bars of another time signature, and on a coarser grid.

    A compound bar becomes one bar for each beat: 6/8 is read as two bars of 3/4, and an eighth as a quarter. Raises
    BadOption for a value that cannot be.
    """

    semitones: int = 0
    time_signature: str | None = None  # of the bars that the model reads; None: as they are
    stretch: Fraction = Fraction(1)  # length of a note as it is read, of 1 as it is
    grid: int = 0  # ticks of the music, to which it is quantised; 0: not

    def __post_init__(self) -> None:
        """Check every value by itself."""
        if not -48 <= self.semitones <= 48:
            raise BadOption(f"'transpose' is {self.semitones}, and must be from -48 to 48 semitones.")
        if not (Fraction(1, 64) <= self.stretch <= 64 and 0 <= self.grid <= WHOLE):
            raise BadOption("such a reading of the music is out of all bounds.")

    @property
    def is_plain(self) -> bool:
        """Whether the model reads the music as it is."""
        return self == PLAIN

    def apply(self, score: Score) -> Score:
        """Return a score as the model reads it. Raises CannotExpress beyond the pitches 0..127."""
        if self.is_plain:
            return score
        score = _change_notes(score, lambda notes: quantise_notes(notes, self.grid)) if self.grid else score
        score = transpose_score(score, self.semitones) if self.semitones else score
        return score if self.time_signature is None else self._rewrite_bars(score, self.time_signature)

    def undo(self, score: Score) -> Score:
        """Return the notes and chord symbols of a score that the model has read or written as they are heard."""
        if self.is_plain:
            return score
        score = transpose_score(score, -self.semitones) if self.semitones else score
        score = _change_notes(score, lambda notes: _stretch_notes(notes, 1 / self.stretch))
        return replace(score, chords=tuple(replace(one, tick=int(one.tick / self.stretch)) for one in score.chords))

    def apply_to_spans(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """Return spans of the music as the model reads them; those that go on to the end of the piece still do."""
        ends = [span.end if span.end >= LATEST else self._stretch(span.end) for span in spans]
        pairs = zip(spans, ends, strict=True)
        return tuple(replace(span, start=self._stretch(span.start), end=end) for span, end in pairs)

    def hear(self, score: Score, quantised: Score) -> Score:
        """Return `quantised`, which is `score` as the model encodes what it reads, with the bars of `score` again."""
        return quantised if self.is_plain else replace(score, tracks=self.undo(quantised).tracks)

    def count_bars(self, score: Score) -> int:
        """Count the bars that the model reads for one of a score in one time signature."""
        if self.time_signature is None:
            return 1
        return self._stretch(score.time_signatures[0].bar_ticks) // parse_time_signature(self.time_signature).bar_ticks

    def _stretch(self, tick: int) -> int:
        return int(tick * self.stretch)

    def _rewrite_bars(self, score: Score, time_signature: str) -> Score:
        metre = parse_time_signature(time_signature)
        return replace(
            _change_notes(score, lambda notes: _stretch_notes(notes, self.stretch)),
            time_signatures=(metre,),
            upbeat=self._stretch(score.upbeat) % metre.bar_ticks,
            key_signatures=tuple(replace(one, tick=self._stretch(one.tick)) for one in score.key_signatures),
            markers=tuple(replace(one, tick=self._stretch(one.tick)) for one in score.markers),
            chords=tuple(replace(one, tick=self._stretch(one.tick)) for one in score.chords),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values, without those left at their defaults."""
        stretch = None if self.stretch == 1 else str(self.stretch)
        plain = {"grid": self.grid, "semitones": self.semitones, "stretch": stretch}
        return {name: value for name, value in {**plain, "time_signature": self.time_signature}.items() if value}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Reading:
        """Make a reading from the result of `to_json`. Raises KeyError, TypeError, ValueError for anything else."""
        metre = values.get("time_signature")
        return Reading(
            int(values.get("semitones", 0)),
            None if metre is None else str(parse_time_signature(metre)),
            Fraction(values.get("stretch", 1)),
            int(values.get("grid", 0)),
        )


PLAIN = Reading()


def _change_notes(score: Score, change: Callable[[Notes], Notes]) -> Score:
    return replace(score, tracks=tuple(replace(track, notes=change(track.notes)) for track in score.tracks))


def _stretch_notes(notes: Notes, factor: Fraction) -> Notes:
    if factor == 1:
        return notes
    changed = notes.copy()
    ends = (notes["start"] + notes["duration"]) * factor.numerator // factor.denominator
    changed["start"] = notes["start"] * factor.numerator // factor.denominator
    changed["duration"] = np.maximum(ends - changed["start"], 1)
    return changed


def quantise_notes(notes: Notes, grid: int) -> Notes:
    """Move onsets and ends of notes to a grid, in ticks; none is shorter than a step."""
    starts = (notes["start"] + grid // 2) // grid * grid
    ends = (notes["start"] + notes["duration"] + grid // 2) // grid * grid
    changed = notes.copy()
    changed["start"], changed["duration"] = starts, np.maximum(ends - starts, grid)
    return changed


# --- choosing ---------------------------------------------------------------------------------------------------------


def choose_bars(score: Score, known: Mapping[str, Any]) -> Reading:
    """Choose the bars that a model with the time signatures `known` (those of its card) reads a score in.

    A compound time signature that it does not know is read as bars of 3/4, one for each beat, and 2/2 as 4/4.
    """
    if len(score.time_signatures) != 1 or not known or str(metre := score.time_signatures[0]) in known:
        return PLAIN
    if (metre.numerator, metre.denominator) == (2, 2) and "4/4" in known:
        return Reading(time_signature="4/4")
    is_triple = metre.numerator % 3 == 0 and (metre.numerator > 3 or metre.denominator == 8)
    if not is_triple or "3/4" not in known:
        return PLAIN
    return Reading(time_signature="3/4", stretch=Fraction(metre.denominator, 4))


def parse_grid(text: str) -> int:
    """Parse a note value such as `1/8` to ticks, `no` to 0. Raises BadOption."""
    if text == "no":
        return 0
    top, slash, bottom = text.partition("/")
    if top == "1" and slash and bottom.isdecimal() and 0 < int(bottom) <= 64 and not WHOLE % int(bottom):
        return WHOLE // int(bottom)
    raise BadOption(f"'{printable(text)}' is no grid; give a note value such as 1/8, or `no`.")


def find_grid(notes: Notes) -> int:
    """Find the grid, in ticks, on which a model should read a played melody; 0 for one that is written.

    It is the coarsest of eighths and 16ths that keeps all onsets apart. A melody is played if a quarter of its notes
    begin off the 32nds and the triplets of 16ths.
    """
    starts = np.unique(notes["start"].astype(np.int64))
    steps = (TICKS_PER_QUARTER // 8, TICKS_PER_QUARTER // 6)
    off = np.min([np.abs((starts + step // 2) % step - step // 2) for step in steps], axis=0)
    if len(starts) < 4 or np.mean(off > 2) < 0.25:
        return 0
    grids = (TICKS_PER_QUARTER // 2, TICKS_PER_QUARTER // 4)
    return next((grid for grid in grids if len(np.unique((starts + grid // 2) // grid)) == len(starts)), grids[-1])


def name_grid(grid: int) -> str:
    """Name a grid: `1/8`."""
    return f"1/{WHOLE // grid}"


def choose_beats(score: Score, known: Mapping[str, Any]) -> Reading:
    """Choose the bars that a model of drums with the time signatures `known` reads: others with the same beats.

    2/4 and 2/2 are read as 4/4, and compound bars as triplets, such as 12/8 as 4/4. Bars that it knows stay.
    """
    if len(score.time_signatures) != 1 or not known or str(metre := score.time_signatures[0]) in known:
        return PLAIN
    beats, stretch = metre.numerator, Fraction(1)
    if beats % 3 == 0 and beats > 3 and metre.denominator >= 8:
        beats, stretch = beats // 3, Fraction(metre.denominator, 12)
    if beats == 2:
        beats = 4
    name = f"{beats}/4"
    return Reading(time_signature=name, stretch=stretch) if name in known else PLAIN
