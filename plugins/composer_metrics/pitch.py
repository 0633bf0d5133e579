"""Metrics of pitch: histograms, range, key, scale and entropy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from composer.metrics.counting import (
    Counts,
    above_tonic,
    histogram_of,
    number_of,
    of_piece,
    outside,
    pairs,
    share,
    steps,
)
from composer.metrics.heard import Heard
from composer.music.keys import MAJOR_SCALE
from composer.types import Metric

DISTANCE = "bits from real"
WIDEST = 12
"""Melodic intervals beyond so many semitones count as this one."""

_MAJOR = np.isin(np.arange(12), MAJOR_SCALE).astype(np.float64)
_IN_SCALE = np.array([np.roll(_MAJOR, tonic) for tonic in range(12)]).T  # (12 pitch classes, 12 scales)


def pitch_classes() -> Metric:
    """Count notes by pitch class above the tonic of the first key signature (estimated if there is none), 12 classes.

    The figure is the Jensen-Shannon divergence, base 2, from the histogram of the real pieces (Lin 1991).
    """
    return Metric(DISTANCE, _pitch_classes)


def _pitch_classes(view: Heard) -> Counts:
    return histogram_of(view, view.notes["start"], above_tonic(view.notes["pitch"], view.key), 12)


def melodic_intervals() -> Metric:
    """Count semitones from note to note of the top line, those beyond an octave as one.

    The top line consists of notes at whose onset no higher one sounds. The figure is the Jensen-Shannon divergence,
    base 2, from the histogram of the real pieces (Lin 1991).
    """

    def count(view: Heard) -> Counts:
        line = view.top_line
        places = np.clip(steps(line["pitch"]), -WIDEST, WIDEST) + WIDEST
        return histogram_of(view, line["start"][1:], places, 2 * WIDEST + 1)

    return Metric(DISTANCE, count)


def repeated_notes() -> Metric:
    """Count steps of the top line (the notes at whose onset no higher one sounds) that stay on their pitch."""

    def count(view: Heard) -> Counts:
        line = view.top_line
        later = line["start"][1:]
        return pairs(number_of(view, later[steps(line["pitch"]) == 0]), number_of(view, later))

    return Metric("% of steps", count, share())


def notes_outside_the_key() -> Metric:
    """Count notes outside the scale of the first key signature; in minor the raised sixth and seventh belong to it."""

    def count(view: Heard) -> Counts:
        starts = view.notes["start"]
        return pairs(number_of(view, starts[outside(view.notes["pitch"], view.key)]), number_of(view, starts))

    return Metric("% of notes", count, share())


def scale_consistency() -> Metric:
    """Count notes in the one major or natural minor scale that has most of the piece's notes (Mogren 2016, C-RNN-GAN).

    There are twelve, since a major scale and its relative minor have the same notes. The scale of a bar is that of its
    piece.
    """

    def count(view: Heard) -> Counts:
        classes = _pitch_classes(view)
        best = int(np.argmax(classes.sum(axis=0) @ _IN_SCALE))
        return pairs(classes @ _IN_SCALE[:, best], classes.sum(axis=1))

    return Metric("0 to 1", count, share(1.0))


def pitch_range() -> Metric:
    """Measure semitones from the lowest to the highest note of a piece (Yang and Lerch 2020); the mean over pieces."""

    def count(view: Heard) -> Counts:
        pitches = view.notes["pitch"]
        return of_piece(view, np.ptp(pitches) if len(pitches) else 0, len(pitches) > 0)

    return Metric("semitones", count, share(1.0))


def pitch_range_per_bar() -> Metric:
    """Measure semitones from the lowest to the highest onset in a bar; the mean over bars with an onset."""

    def count(view: Heard) -> Counts:
        pitches, rows = view.notes["pitch"].astype(np.int64), view.rows_of_notes
        low, high = np.full(view.rows, 127), np.zeros(view.rows, dtype=np.int64)
        np.minimum.at(low, rows, pitches)
        np.maximum.at(high, rows, pitches)
        return pairs(np.maximum(high - low, 0), number_of(view, view.notes["start"]) > 0)

    return Metric("semitones", count, share(1.0))


def entropy(bars: int, text: str) -> Callable[[], Metric]:
    """Make the metric of the entropy of `bars` bars."""

    def count(view: Heard) -> Counts:
        classes = np.cumsum(np.pad(_pitch_classes(view), ((bars, 0), (0, 0))), axis=0)
        complete = np.cumsum(np.pad(view.is_bar, (bars, 0)))
        notes = classes[bars:] - classes[:-bars]
        counted = (complete[bars:] - complete[:-bars] == bars) & notes.any(axis=1)
        return pairs(np.where(counted, _bits(notes), 0.0), counted)

    def pitch_class_entropy() -> Metric:
        return Metric("bits", count, share(1.0))

    pitch_class_entropy.__doc__ = text
    return pitch_class_entropy


def _bits(counts: Counts) -> Counts:
    """Compute the entropy (rows,) of histograms (rows, W)."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.maximum(-(shares * logs).sum(axis=1), 0.0)


METRICS: dict[str, Callable[[], Metric]] = {
    "pitch-classes": pitch_classes,
    "melodic-intervals": melodic_intervals,
    "repeated-notes": repeated_notes,
    "notes-outside-the-key": notes_outside_the_key,
    "scale-consistency": scale_consistency,
    "pitch-range": pitch_range,
    "pitch-range-per-bar": pitch_range_per_bar,
    "pitch-class-entropy-of-1-bar": entropy(
        1,
        "Compute the entropy of the pitch classes of the onsets in a bar; the mean over bars with an onset, without a"
        " pickup (Wu and Yang 2020, The Jazz Transformer, H1).",
    ),
    "pitch-class-entropy-of-4-bars": entropy(
        4,
        "Compute the entropy of the pitch classes of the onsets in four bars in a row; the mean over all such four with"
        " an onset, without a pickup (Wu and Yang 2020, The Jazz Transformer, H4).",
    ),
}
