"""Metrics of pitch: histograms, range, key, scale and entropy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from composer.metrics.counts import (
    Counts,
    compute_intervals,
    count_histogram,
    count_in_last_bar,
    count_ticks,
    is_outside_scale,
    make_share,
    measure_above_tonic,
    pair_counts,
)
from composer.metrics.score_view import ScoreView
from composer.music.keys import MAJOR_SCALE
from composer.types import Metric

DISTANCE = "bits from real"
WIDEST = 12
"""Melodic intervals beyond so many semitones count as this one."""

_MAJOR = np.isin(np.arange(12), MAJOR_SCALE).astype(np.float64)
_IN_SCALE = np.array([np.roll(_MAJOR, tonic) for tonic in range(12)]).T  # (12 pitch classes, 12 scales)


def measure_pitch_classes() -> Metric:
    """Count notes by pitch class above the tonic of the first key signature (estimated if there is none), 12 classes.

    The figure is the Jensen-Shannon divergence, base 2, from the histogram of the real pieces (Lin 1991).
    """
    return Metric(DISTANCE, _count_pitch_classes)


def _count_pitch_classes(view: ScoreView) -> Counts:
    return count_histogram(view, view.notes["start"], measure_above_tonic(view.notes["pitch"], view.key), 12)


def measure_melodic_intervals() -> Metric:
    """Count semitones from note to note of the top line, those beyond an octave as one.

    The top line consists of notes at whose onset no higher one sounds. The figure is the Jensen-Shannon divergence,
    base 2, from the histogram of the real pieces (Lin 1991).
    """

    def count(view: ScoreView) -> Counts:
        line = view.top_line
        places = np.clip(compute_intervals(line["pitch"]), -WIDEST, WIDEST) + WIDEST
        return count_histogram(view, line["start"][1:], places, 2 * WIDEST + 1)

    return Metric(DISTANCE, count)


def measure_repeated_notes() -> Metric:
    """Count steps of the top line (the notes at whose onset no higher one sounds) that stay on their pitch."""

    def count(view: ScoreView) -> Counts:
        line = view.top_line
        later = line["start"][1:]
        return pair_counts(count_ticks(view, later[compute_intervals(line["pitch"]) == 0]), count_ticks(view, later))

    return Metric("% of steps", count, make_share())


def measure_notes_outside_key() -> Metric:
    """Count notes outside the scale of the first key signature; in minor the raised sixth and seventh belong to it."""

    def count(view: ScoreView) -> Counts:
        starts = view.notes["start"]
        return pair_counts(
            count_ticks(view, starts[is_outside_scale(view.notes["pitch"], view.key)]), count_ticks(view, starts)
        )

    return Metric("% of notes", count, make_share())


def measure_scale_consistency() -> Metric:
    """Count notes in the one major or natural minor scale that has most of the piece's notes (Mogren 2016, C-RNN-GAN).

    There are twelve, since a major scale and its relative minor have the same notes. The scale of a bar is that of its
    piece.
    """

    def count(view: ScoreView) -> Counts:
        classes = _count_pitch_classes(view)
        best = int(np.argmax(classes.sum(axis=0) @ _IN_SCALE))
        return pair_counts(classes @ _IN_SCALE[:, best], classes.sum(axis=1))

    return Metric("0 to 1", count, make_share(1.0))


def measure_pitch_range() -> Metric:
    """Measure semitones from the lowest to the highest note of a piece (Yang and Lerch 2020); the mean over pieces."""

    def count(view: ScoreView) -> Counts:
        pitches = view.notes["pitch"]
        return count_in_last_bar(view, np.ptp(pitches) if len(pitches) else 0, len(pitches) > 0)

    return Metric("semitones", count, make_share(1.0))


def measure_pitch_range_per_bar() -> Metric:
    """Measure semitones from the lowest to the highest onset in a bar; the mean over bars with an onset."""

    def count(view: ScoreView) -> Counts:
        pitches, rows = view.notes["pitch"].astype(np.int64), view.rows_of_notes
        low, high = np.full(view.rows, 127), np.zeros(view.rows, dtype=np.int64)
        np.minimum.at(low, rows, pitches)
        np.maximum.at(high, rows, pitches)
        return pair_counts(np.maximum(high - low, 0), count_ticks(view, view.notes["start"]) > 0)

    return Metric("semitones", count, make_share(1.0))


def make_entropy(bars: int, text: str) -> Callable[[], Metric]:
    """Make the metric of the entropy of `bars` bars."""

    def count(view: ScoreView) -> Counts:
        classes = np.cumsum(np.pad(_count_pitch_classes(view), ((bars, 0), (0, 0))), axis=0)
        complete = np.cumsum(np.pad(view.is_bar, (bars, 0)))
        notes = classes[bars:] - classes[:-bars]
        counted = (complete[bars:] - complete[:-bars] == bars) & notes.any(axis=1)
        return pair_counts(np.where(counted, _compute_entropy(notes), 0.0), counted)

    def measure_entropy() -> Metric:
        return Metric("bits", count, make_share(1.0))

    measure_entropy.__doc__ = text
    return measure_entropy


def _compute_entropy(counts: Counts) -> Counts:
    """Compute the entropy (rows,) of histograms (rows, W)."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.maximum(-(shares * logs).sum(axis=1), 0.0)


METRICS: dict[str, Callable[[], Metric]] = {
    "pitch-classes": measure_pitch_classes,
    "melodic-intervals": measure_melodic_intervals,
    "repeated-notes": measure_repeated_notes,
    "notes-outside-the-key": measure_notes_outside_key,
    "scale-consistency": measure_scale_consistency,
    "pitch-range": measure_pitch_range,
    "pitch-range-per-bar": measure_pitch_range_per_bar,
    "pitch-class-entropy-of-1-bar": make_entropy(
        1,
        "Compute the entropy of the pitch classes of the onsets in a bar; the mean over bars with an onset, without a"
        " pickup (Wu and Yang 2020, The Jazz Transformer, H1).",
    ),
    "pitch-class-entropy-of-4-bars": make_entropy(
        4,
        "Compute the entropy of the pitch classes of the onsets in four bars in a row; the mean over all such four with"
        " an onset, without a pickup (Wu and Yang 2020, The Jazz Transformer, H4).",
    ),
}
