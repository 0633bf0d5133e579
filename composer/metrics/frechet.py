"""The Fréchet distance between two sets of vectors, each taken for a normal distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]
"""(pieces, features)"""

ENOUGH = 0.5
"""The share of the pieces of either set that must have a feature for it to be used."""


def select_comparable(ours: Vectors, real: Vectors) -> tuple[Vectors, Vectors]:
    """Select the features that can be compared, and standardise them; the results hold no NaN.

    A feature is used if half of the pieces of either set have it and its values differ; a missing value becomes the
    mean of its set. Features are in standard deviations of the real pieces from their mean, or of both sets if that
    deviation is 0. So the distances of several sets from the same pieces can be compared.
    """
    present = [np.isfinite(vectors).mean(axis=0) >= ENOUGH for vectors in (ours, real)]
    sets = [_fill_missing(vectors[:, present[0] & present[1]]) for vectors in (ours, real)]
    both = np.concatenate(sets)
    varied = np.ptp(both, axis=0) > 0
    scale = np.where(sets[1].std(axis=0) > 0, sets[1].std(axis=0), both.std(axis=0))[varied]
    centre = sets[1].mean(axis=0)[varied]
    ours, real = ((vectors[:, varied] - centre) / scale for vectors in sets)
    return ours, real


def _fill_missing(vectors: Vectors) -> Vectors:
    there = np.isfinite(vectors)
    means = np.where(there, vectors, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return np.where(there, vectors, means)


def compute_distance(ours: Vectors, real: Vectors) -> float:
    """Compute |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), with means m and shrunk covariances C; 0 for equal sets.

    The squared Fréchet distance of two normal distributions (D. C. Dowson and B. V. Landau, Journal of Multivariate
    Analysis 12, 1982), as M. Heusel et al. (GANs Trained by a Two Time-Scale Update Rule, 2017) use it on a network's
    features. It is larger for smaller sets of the same kind.
    """
    one, other = estimate_covariance(ours), estimate_covariance(real)
    half = compute_root(one)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ other @ half), 0)).sum()  # tr (C1 C2)^(1/2)
    apart = ours.mean(axis=0) - real.mean(axis=0)
    return float(max(apart @ apart + np.trace(one) + np.trace(other) - 2 * cross, 0.0))


def compute_root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the square root of a symmetric positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def estimate_covariance(vectors: Vectors) -> NDArray[np.float64]:
    """Estimate the covariance, shrunk towards a multiple of the identity, so that few pieces do not make it singular.

    By O. Ledoit and M. Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, Journal of
    Multivariate Analysis 88, 2004: more pieces mean less shrinkage.
    """
    pieces, features = vectors.shape
    centred = vectors - vectors.mean(axis=0)
    sample = centred.T @ centred / pieces
    target = np.trace(sample) / max(features, 1) * np.eye(features)
    spread = np.sum((sample - target) ** 2)
    noise = (np.sum(np.sum(centred**2, axis=1) ** 2) / pieces - np.sum(sample**2)) / pieces
    shrink = np.clip(noise / spread, 0.0, 1.0) if spread > 0 else 0.0
    return np.asarray(shrink * target + (1 - shrink) * sample)
