"""Metrics of voice-leading in four parts: ranges, crossings, parallels, spacing, leaps.

They apply to pieces of exactly four tracks with notes (drums left out), in none of which two notes overlap. Voices are
in the order of the tracks. Any other piece counts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from composer.metrics.counts import (
    Counts,
    compute_intervals,
    compute_mean,
    count_histogram,
    count_in_last_bar,
    count_ticks,
    make_quantile,
    make_share,
    pair_counts,
)
from composer.metrics.score_view import FIFTH, OCTAVE, UNISON, ScoreView, find_parallels, pair_voices
from composer.types import Metric

VOICES = ("soprano", "alto", "tenor", "bass")
PITCHES = 128
_LOW, _HIGH = 5, 95


def measure_four_voices() -> Metric:
    """Count pieces of exactly four tracks with notes (drums left out), in none of which two notes overlap.

    All metrics of voices apply to such pieces alone, with voices in the order of the tracks.
    """
    return Metric("% of pieces", lambda view: count_in_last_bar(view, bool(view.lines), 1), make_share())


def measure_voice_crossings() -> Metric:
    """Measure the time with some voice below a lower one, of the time in which two voices or more sound."""

    def count(view: ScoreView) -> Counts:
        upper, lower = pair_voices(view.texture.pitches)
        both = (upper >= 0) & (lower >= 0)
        return _sum_ticks(view, (both & (upper < lower)).any(axis=0), both.any(axis=0))

    return Metric("% of time", count, make_share())


def measure_wide_spacing() -> Metric:
    """Measure the time with more than an octave between soprano and alto or alto and tenor.

    The figure is a share of the time in which all three sound.
    """

    def count(view: ScoreView) -> Counts:
        three = view.texture.pitches[:3]
        complete = (three >= 0).all(axis=0)
        return _sum_ticks(view, complete & (np.abs(np.diff(three, axis=0)) > OCTAVE).any(axis=0), complete)

    return Metric("% of time", count, make_share())


def _sum_ticks(view: ScoreView, part: Any, whole: Any) -> Counts:
    """Sum the ticks of some segments of the texture, and of others, (rows, 2)."""
    starts, ticks = view.texture.starts, view.texture.ticks
    return pair_counts(count_ticks(view, starts, ticks * part), count_ticks(view, starts, ticks * whole))


def measure_parallel_fifths() -> Metric:
    """Count parallel perfect fifths of any two voices.

    Two voices are a perfect fifth apart (or with octaves) at two successive onsets of any voice, and both move in the
    same direction between them. Each pair of voices counts.
    """
    return Metric("per 100 beats", partial(_count_parallels, interval=FIFTH), make_share())


def measure_parallel_octaves() -> Metric:
    """Count parallel unisons and octaves of any two voices.

    Two voices are a unison or octaves apart at two successive onsets of any voice, and both move in the same direction
    between them. Each pair of voices counts.
    """
    return Metric("per 100 beats", partial(_count_parallels, interval=UNISON), make_share())


def _count_parallels(view: ScoreView, interval: int) -> Counts:
    found = count_ticks(view, find_parallels(view.texture, interval))
    return pair_counts(found, view.bar_beats * bool(view.lines))


def measure_leaps() -> Metric:
    """Count steps from note to note of a voice that are wider than an octave, over the notes of all voices."""

    def count(view: ScoreView) -> Counts:
        counts = np.zeros((view.rows, 2))
        for line in view.lines:
            wide = np.abs(compute_intervals(line["pitch"])) > OCTAVE
            counts += pair_counts(count_ticks(view, line["start"][1:][wide]), count_ticks(view, line["start"]))
        return counts

    return Metric("per 100 notes", count, make_share())


def _count_pitches(view: ScoreView, voice: int) -> Counts:
    if not view.lines:
        return np.zeros((view.rows, PITCHES))
    line = view.lines[voice]
    return count_histogram(view, line["start"], line["pitch"], PITCHES)


def _make_voice_metric(number: int, value: Callable[[Counts], Counts], text: str) -> Callable[[], Metric]:
    def measure_voice_pitch() -> Metric:
        return Metric("pitch", partial(_count_pitches, voice=number), value, follows_pitch=True)

    measure_voice_pitch.__doc__ = text.format(VOICES[number])
    return measure_voice_pitch


_RANGES: dict[str, tuple[Callable[[Counts], Counts], str]] = {
    "mean": (compute_mean, "Measure the mean MIDI pitch of the notes of the {}."),
    "low": (make_quantile(_LOW), f"Find the lowest pitch at or below which {_LOW} % of the notes of the {{}} lie."),
    "high": (make_quantile(_HIGH), f"Find the lowest pitch at or below which {_HIGH} % of the notes of the {{}} lie."),
}

METRICS: dict[str, Callable[[], Metric]] = {
    "four-voices": measure_four_voices,
    "voice-crossings": measure_voice_crossings,
    "parallel-fifths": measure_parallel_fifths,
    "parallel-octaves": measure_parallel_octaves,
    "wide-spacing": measure_wide_spacing,
    "leaps-beyond-an-octave": measure_leaps,
    **{
        f"{voice}-{name}": _make_voice_metric(number, value, text)
        for number, voice in enumerate(VOICES)
        for name, (value, text) in _RANGES.items()
    },
}
