"""Histograms that reveal time signature and key, and the distance between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.music.score import TICKS_PER_QUARTER, Score

PROFILE_STEPS = 48
"""Sixteenths in a profile of onsets: four bars of 3/4 or three of 4/4, so that both show."""

_STEP_TICKS = TICKS_PER_QUARTER // 4


def compute_onset_profile(scores: Sequence[Score]) -> NDArray[np.float64]:
    """Compute (48,) the share of onsets at each sixteenth modulo 48, from the first downbeat, over all tracks.

    An onset counts for the nearest sixteenth. The profile is all zeros without notes.
    """
    total = np.zeros(PROFILE_STEPS)
    for score in scores:
        for track in score.tracks:
            steps = (track.notes["start"] - score.upbeat + _STEP_TICKS // 2) // _STEP_TICKS
            total += np.bincount(steps % PROFILE_STEPS, minlength=PROFILE_STEPS)
    return _normalise(total)


def compute_pitch_class_profile(scores: Sequence[Score]) -> NDArray[np.float64]:
    """Compute (12,) the share of time of each pitch class, C first, without drums; all zeros without notes."""
    total = np.zeros(12)
    for score in scores:
        for track in score.tracks:
            if not track.is_drum:
                total += np.bincount(track.notes["pitch"] % 12, weights=track.notes["duration"], minlength=12)
    return _normalise(total)


def _normalise(total: NDArray[np.float64]) -> NDArray[np.float64]:
    return total / max(float(total.sum()), 1.0)


def compute_divergence(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the Jensen-Shannon divergence (...) in bits, 0..1, of histograms (..., W), normalised or not.

    NaN if one of them is empty. After J. Lin, IEEE Transactions on Information Theory 37, 1991.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        p = one / one.sum(axis=-1, keepdims=True)
        q = other / other.sum(axis=-1, keepdims=True)
    middle = (p + q) / 2
    return np.clip((_compute_relative_entropy(p, middle) + _compute_relative_entropy(q, middle)) / 2, 0.0, 1.0)


def _compute_relative_entropy(p: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    p, middle = np.broadcast_arrays(p, middle)
    ratio = np.divide(p, middle, out=np.ones(p.shape), where=p != 0)
    return np.asarray((p * np.log2(ratio)).sum(axis=-1))


def compute_margin(profile: NDArray[np.float64], to: NDArray[np.float64], than: NDArray[np.float64]) -> float:
    """Compute by how many bits `profile` is nearer to `to` than to `than`; NaN if one of the three is empty."""
    return float(compute_divergence(profile, than) - compute_divergence(profile, to))


def is_nearer(profile: NDArray[np.float64], to: NDArray[np.float64], than: NDArray[np.float64]) -> bool:
    """Tell whether `profile` is nearer to `to` than to `than`, by Jensen-Shannon divergence."""
    return compute_margin(profile, to, than) > 0
