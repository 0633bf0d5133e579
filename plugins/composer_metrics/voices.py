"""Metrics of voice-leading in four parts: ranges, crossings, parallels, spacing, leaps.

They apply to pieces of exactly four tracks with notes (drums left out), in none of which two notes overlap. Voices are
in the order of the tracks. Any other piece counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from composer.metrics.counting import (
    Counts,
    histogram_of,
    mean,
    number_of,
    of_piece,
    pairs,
    quantile,
    share,
    steps,
)
from composer.metrics.heard import Heard
from composer.metrics.textures import FIFTH, OCTAVE, UNISON, pairs_of, parallels
from composer.types import Metric

VOICES = ("soprano", "alto", "tenor", "bass")
PITCHES = 128
_LOW, _HIGH = 5, 95


def four_voices() -> Metric:
    """Count pieces of exactly four tracks with notes (drums left out), in none of which two notes overlap.

    All metrics of voices apply to such pieces alone, with voices in the order of the tracks.
    """
    return Metric("% of pieces", lambda view: of_piece(view, bool(view.lines), 1), share())


def voice_crossings() -> Metric:
    """Measure the time with some voice below a lower one, of the time in which two voices or more sound."""

    def count(view: Heard) -> Counts:
        upper, lower = pairs_of(view.texture.pitches)
        both = (upper >= 0) & (lower >= 0)
        return _time(view, (both & (upper < lower)).any(axis=0), both.any(axis=0))

    return Metric("% of time", count, share())


def wide_spacing() -> Metric:
    """Measure the time with more than an octave between soprano and alto or alto and tenor.

    The figure is a share of the time in which all three sound.
    """

    def count(view: Heard) -> Counts:
        three = view.texture.pitches[:3]
        complete = (three >= 0).all(axis=0)
        return _time(view, complete & (np.abs(np.diff(three, axis=0)) > OCTAVE).any(axis=0), complete)

    return Metric("% of time", count, share())


def _time(view: Heard, part: Any, whole: Any) -> Counts:
    """Sum the ticks of some segments of the texture, and of others, (rows, 2)."""
    starts, ticks = view.texture.starts, view.texture.ticks
    return pairs(number_of(view, starts, ticks * part), number_of(view, starts, ticks * whole))


def parallel_fifths() -> Metric:
    """Count parallel perfect fifths of any two voices.

    Two voices are a perfect fifth apart (or with octaves) at two successive onsets of any voice, and both move in the
    same direction between them. Each pair of voices counts.
    """
    return Metric("per 100 beats", partial(_parallels, interval=FIFTH), share())


def parallel_octaves() -> Metric:
    """Count parallel unisons and octaves of any two voices.

    Two voices are a unison or octaves apart at two successive onsets of any voice, and both move in the same direction
    between them. Each pair of voices counts.
    """
    return Metric("per 100 beats", partial(_parallels, interval=UNISON), share())


def _parallels(view: Heard, interval: int) -> Counts:
    found = number_of(view, parallels(view.texture, interval))
    return pairs(found, view.bar_beats * bool(view.lines))


def leaps_beyond_an_octave() -> Metric:
    """Count steps from note to note of a voice that are wider than an octave, over the notes of all voices."""

    def count(view: Heard) -> Counts:
        counts = np.zeros((view.rows, 2))
        for line in view.lines:
            wide = np.abs(steps(line["pitch"])) > OCTAVE
            counts += pairs(number_of(view, line["start"][1:][wide]), number_of(view, line["start"]))
        return counts

    return Metric("per 100 notes", count, share())


def _pitches(view: Heard, voice: int) -> Counts:
    if not view.lines:
        return np.zeros((view.rows, PITCHES))
    line = view.lines[voice]
    return histogram_of(view, line["start"], line["pitch"], PITCHES)


def _of_voice(number: int, value: Callable[[Counts], Counts], text: str) -> Callable[[], Metric]:
    def voice_pitch() -> Metric:
        return Metric("pitch", partial(_pitches, voice=number), value, follows_pitch=True)

    voice_pitch.__doc__ = text.format(VOICES[number])
    return voice_pitch


_RANGES: dict[str, tuple[Callable[[Counts], Counts], str]] = {
    "mean": (mean, "Measure the mean MIDI pitch of the notes of the {}."),
    "low": (quantile(_LOW), f"Find the lowest pitch at or below which {_LOW} % of the notes of the {{}} lie."),
    "high": (quantile(_HIGH), f"Find the lowest pitch at or below which {_HIGH} % of the notes of the {{}} lie."),
}

METRICS: dict[str, Callable[[], Metric]] = {
    "four-voices": four_voices,
    "voice-crossings": voice_crossings,
    "parallel-fifths": parallel_fifths,
    "parallel-octaves": parallel_octaves,
    "wide-spacing": wide_spacing,
    "leaps-beyond-an-octave": leaps_beyond_an_octave,
    **{
        f"{voice}-{name}": _of_voice(number, value, text)
        for number, voice in enumerate(VOICES)
        for name, (value, text) in _RANGES.items()
    },
}
