"""Every figure by name: its unit, its exact definition, how it follows from summed counts; it knows no score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.listening.profiles import divergence
from composer.listening.voice_leading import VOICES

Counts: TypeAlias = NDArray[np.float64]
"""(..., W) summed counts; the figure of each is (...), NaN where there is nothing to count."""


@dataclass(frozen=True)
class Definition:
    """One figure of a set of pieces."""

    name: str
    unit: str
    text: str
    tally: str  # the counts that it is made from
    value: Callable[[Counts], Counts] | None = None  # None: a histogram, told by its distance from the real pieces'

    @property
    def is_distance(self) -> bool:
        """Whether it is a distance from the real pieces, and 0 for these."""
        return self.value is None

    def judge(self, sums: Counts, real: Counts) -> Counts:
        """The figure (...) of `sums` (..., W), where the real pieces have the counts `real` (W,)."""
        return divergence(sums, real) if self.value is None else self.value(sums)


def share(scale: float = 100.0) -> Callable[[Counts], Counts]:
    """Parts per `scale` of the whole, from pairs (..., 2)."""

    def value(sums: Counts) -> Counts:
        return _defined(scale * sums[..., 0], sums[..., 1])

    return value


def mean(sums: Counts) -> Counts:
    """The mean of the places of a histogram (..., W)."""
    return _defined(sums @ np.arange(sums.shape[-1], dtype=np.float64), sums.sum(axis=-1))


def quantile(percent: int) -> Callable[[Counts], Counts]:
    """The lowest place at or below which so much of a histogram (..., W) lies."""

    def value(sums: Counts) -> Counts:
        below = np.cumsum(sums, axis=-1)
        place = np.argmax(100 * below >= percent * below[..., -1:], axis=-1)
        return np.where(below[..., -1] > 0, place, np.nan)

    return value


def _defined(part: Counts, whole: Counts) -> Counts:
    quotient: Counts = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)
    return quotient


_DISTANCE = "bits from real"
_JENSEN_SHANNON = "; Jensen-Shannon divergence, base 2, from the histogram of the real pieces"

_ANY_MUSIC = (
    Definition(
        "pitch classes",
        _DISTANCE,
        "Notes by pitch class above the tonic of the first key signature (12 classes)" + _JENSEN_SHANNON + ".",
        "pitch classes",
    ),
    Definition(
        "durations",
        _DISTANCE,
        "Notes by exact length: 1/4, 1/3, 1/2, 2/3, 3/4, 1, 1.5, 2, 3, 4 quarters or another" + _JENSEN_SHANNON + ".",
        "durations",
    ),
    Definition(
        "melodic intervals",
        _DISTANCE,
        "Semitones from note to note of the top line (the notes at whose onset no higher one sounds), those beyond an"
        " octave counted as one" + _JENSEN_SHANNON + ".",
        "intervals",
    ),
    Definition(
        "notes per beat",
        "notes",
        "Notes of all tracks but drums, over the beats up to the end of the last note (dotted in compound metres).",
        "density",
        share(1.0),
    ),
    Definition(
        "ends on the tonic",
        "% of pieces",
        "Pieces whose last chord (the notes that sound at the last onset) has the tonic at its top or its bottom.",
        "tonic end",
        share(),
    ),
    Definition(
        "ends on the tonic chord",
        "% of pieces",
        "Pieces whose last chord has only notes of the tonic triad; in minor its third may be major.",
        "chord end",
        share(),
    ),
    Definition(
        "repeated notes",
        "% of steps",
        "Steps of the top line that stay on their pitch.",
        "repeated",
        share(),
    ),
    Definition(
        "notes outside the key",
        "% of notes",
        "Notes outside the scale of the first key signature; in minor the raised sixth and seventh belong to it.",
        "chromatic",
        share(),
    ),
    Definition("length", "bars", "Bars of a piece, an upbeat not counted; the mean over pieces.", "bars", share(1.0)),
    Definition(
        "four voices",
        "% of pieces",
        "Pieces of exactly four tracks with notes (drums left out), in none of which two notes overlap. All figures"
        " that follow are of such pieces alone, with voices in the order of the tracks.",
        "four voices",
        share(),
    ),
)

_VOICE_LEADING = (
    Definition(
        "voice crossings",
        "% of time",
        "Time with some voice below a lower one, of the time in which two voices or more sound.",
        "crossings",
        share(),
    ),
    Definition(
        "parallel fifths",
        "per 100 beats",
        "Two voices that sound a perfect fifth (or with octaves) at two successive moments at which any voice strikes,"
        " and both move in the same direction between them; each pair of voices counts.",
        "fifths",
        share(),
    ),
    Definition(
        "parallel octaves",
        "per 100 beats",
        "The same for unisons and octaves.",
        "octaves",
        share(),
    ),
    Definition(
        "wide spacing",
        "% of time",
        "Time with more than an octave between soprano and alto or alto and tenor, of the time in which all three"
        " sound.",
        "wide",
        share(),
    ),
    Definition(
        "leaps beyond an octave",
        "per 100 notes",
        "Steps from note to note of a voice that are wider than an octave, over the notes of all voices.",
        "leaps",
        share(),
    ),
)

_LOW, _HIGH = 5, 95


def _range(voice: str) -> tuple[Definition, ...]:
    quantile_text = "The lowest pitch at or below which {} % of the notes of the {} lie."
    return (
        Definition(f"{voice} mean", "pitch", f"Mean MIDI pitch of the notes of the {voice}.", voice, mean),
        Definition(f"{voice} low", "pitch", quantile_text.format(_LOW, voice), voice, quantile(_LOW)),
        Definition(f"{voice} high", "pitch", quantile_text.format(_HIGH, voice), voice, quantile(_HIGH)),
    )


DEFINITIONS: tuple[Definition, ...] = _ANY_MUSIC + _VOICE_LEADING + tuple(d for voice in VOICES for d in _range(voice))
"""Every figure, in the order in which a table shows them."""
