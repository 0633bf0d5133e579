"""The contract of a metric, on pieces that a musician would call simple."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from composer.metrics.measurements import evaluate_metric
from composer.metrics.score_view import ScoreView, view_score
from composer.music.keys import parse_key
from composer.music.score import KeySignature, Notes, Score, TimeSignature, Track, make_notes
from composer.music.transposing import find_room, transpose_score
from composer.testing.rules import require
from composer.testing.sequences import SAMPLES, list_samples, make_drums
from composer.types import Metric

QUARTER = 480


def check_metric(metric: Metric, samples: Sequence[Score] = ()) -> None:
    """Check that counts are a row a bar, figures follow from sums, drums are ignored, and silence is no error.

    Drums change the figures of a metric that states `follows_drums`, a transposition those of one that states
    `follows_pitch`. There is something to count in each of `samples`, and of the metric's own.
    """
    require(metric.unit.strip(), "a metric has a unit")
    own = [*list_samples(metric).values(), *samples]
    simple = [_make_chorale(), _make_tune(), replace(_make_tune(), upbeat=0, time_signatures=(TimeSignature(0, 6, 8),))]
    pieces = [*simple, *own]
    counts = [check_counts(metric, view_score(score)) for score in pieces]
    require(all(found.any() for found in counts[len(simple) :]), "a metric counts something in each of its own samples")
    drums = SAMPLES["drums alone"]
    silent = [check_counts(metric, view_score(score)) for score in (Score(), Score((Track(make_notes([])),)), drums)]
    require(len({found.shape[1] for found in counts + silent}) == 1, "counts have one width in every piece")
    _check_drums(metric, pieces)
    if not metric.follows_pitch:
        for score, found in zip(pieces, counts, strict=True):
            higher = metric.count(view_score(_transpose(score, 3)))
            require(np.allclose(found, higher), "music in another key counts alike; else say `follows_pitch`")
    _check_value(metric, np.array([found.sum(axis=0) for found in counts + silent]))


def _check_drums(metric: Metric, pieces: Sequence[Score]) -> None:
    """Check that drums beside other tracks are ignored, or else change something."""
    changed = False
    for score in pieces:
        beat = make_drums(-(-score.end // (4 * QUARTER)))
        beat = replace(beat, notes=beat.notes[beat.notes["start"] + beat.notes["duration"] <= score.end])
        pitched = [track for track in score.tracks if not track.is_drum]
        drums = [track for track in score.tracks if track.is_drum] or [beat]
        without, with_drums = (
            check_counts(metric, view_score(replace(score, tracks=tuple(tracks))))
            for tracks in (pitched, [*pitched, *drums])
        )
        changed = changed or not np.array_equal(without, with_drums)
    require(metric.follows_drums or not changed, "drums are ignored; else say `follows_drums`")
    require(changed or not metric.follows_drums, "a metric that states `follows_drums` counts drums")


def check_counts(metric: Metric, view: ScoreView) -> NDArray[np.float64]:
    """Check the counts of one piece, and return them."""
    before = view.notes.copy()
    found = metric.count(view)
    require(np.array_equal(before, view.notes), "the argument of a metric is unchanged")
    require(found.ndim == 2 and len(found) == view.rows, "counts are (rows, W), a row for each bar")
    require(found.dtype == np.float64 and np.isfinite(found).all(), "counts are finite numbers")
    require((found >= 0).all(), "counts are 0 or more")
    require(np.array_equal(found, metric.count(view)), "the same piece counts alike each time")
    is_silent = not (view.score.note_count if metric.follows_drums else len(view.notes))
    require(not is_silent or metric.value or not found.any(), "of silence, a histogram counts nothing")
    return found


def _check_value(metric: Metric, sums: NDArray[np.float64]) -> None:
    """Check the figures of sums (pieces, W)."""
    real = sums.sum(axis=0)
    before = sums.copy()
    figures = evaluate_metric(metric, sums, real)
    require(np.array_equal(before, sums), "the argument of a metric is unchanged")
    require(figures.shape == sums.shape[:-1], "sums (..., W) have figures (...)")
    alone = np.array([float(evaluate_metric(metric, row, real)) for row in sums])
    require(np.allclose(figures, alone, equal_nan=True), "a figure is the same among others as alone")
    twice = evaluate_metric(metric, 2 * sums, real)
    require(np.allclose(figures, twice, equal_nan=True), "a set of one piece twice has the figure of that piece")
    require(
        np.isnan(evaluate_metric(metric, np.zeros(sums.shape[-1]), real)).all(),
        "where nothing is counted, the figure is NaN",
    )


def _make_line(*notes: tuple[int, float]) -> Notes:
    """Make notes of pitches with quarters; 0 is a rest."""
    rows, tick = [], 0
    for pitch, quarters in notes:
        if pitch:
            rows.append((tick, int(quarters * QUARTER), pitch, 80))
        tick += int(quarters * QUARTER)
    return make_notes(rows)


def _make_chorale() -> Score:
    """Make five bars in four parts after a pickup, with a note outside of the key."""
    soprano = [
        (67, 1),
        *[(pitch, 1) for pitch in (72, 71, 72, 74, 76, 74, 72, 71, 69, 66, 67, 71, 72, 74, 71)],
        (72, 3),
    ]
    alto = [(64, 1), *[(pitch, 0.5) for pitch in (64, 65, 67, 65, 64, 62, 64, 67, 67, 65)], (64, 10), (64, 3)]
    tenor = [(60, 1), (55, 4), (57, 4), (0, 2), (55, 5), (55, 3)]
    bass = [(48, 1), (48, 2), (43, 2), (45, 2), (41, 2), (0, 2), (43, 5), (36, 3)]
    parts = tuple(Track(_make_line(*part)) for part in (soprano, alto, tenor, bass))
    keys = (KeySignature(0, parse_key("C")),)
    return Score(parts, time_signatures=(TimeSignature(0, 4, 4),), key_signatures=keys, upbeat=QUARTER)


def _make_tune() -> Score:
    """Make a tune in a minor key, with repeated bars and a silent one."""
    bar = [(69, 1), (72, 0.5), (71, 0.5), (69, 1)]
    tune = _make_line(*bar, *bar, (0, 3), (76, 1.5), (74, 0.5), (72, 1), *bar, (68, 1), (69, 2), (69, 3))
    keys = (KeySignature(0, parse_key("Am")),)
    return Score((Track(tune),), time_signatures=(TimeSignature(0, 3, 4),), key_signatures=keys)


def _transpose(score: Score, semitones: int) -> Score:
    """Transpose all but drums; down, where there is no such pitch."""
    return transpose_score(score, semitones if semitones <= find_room(score.tracks)[1] else -semitones)
