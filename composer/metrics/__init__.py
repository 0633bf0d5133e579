"""Metrics: figures of scores, and the comparison of one set with another.

    score_view.py    a score as metrics count in it: notes, bars, beats, voices
    counts.py        counts in every bar, and figures from their sums
    measurements.py  measured scores: `measure`, and figures of one set, piece or bar
    reference.py     reference ranges of real pieces, and a model's pieces beside them
    distances.py     `contrast`: distributions of the figures of single pieces in two sets
    profiles.py      histograms that show whether a condition was followed
    plain_values.py  measured scores as JSON
    plots.py         plots, and the style of all plots

Metrics are plugins.
"""

from composer.metrics.distances import Contrast, Estimate, Feature, contrast
from composer.metrics.measurements import (
    Measurements,
    compute_figures,
    compute_histogram,
    get_definition,
    make_metrics,
    measure,
)
from composer.metrics.profiles import (
    compute_divergence,
    compute_margin,
    compute_onset_profile,
    compute_pitch_class_profile,
    is_nearer,
)
from composer.metrics.reference import (
    HEADINGS,
    Figure,
    ReferenceRange,
    collect_references,
    compare,
    compute_ranges,
    format_rows,
    judge,
    judge_measured,
)

__all__ = [
    "HEADINGS",
    "Contrast",
    "Estimate",
    "Feature",
    "Figure",
    "Measurements",
    "ReferenceRange",
    "collect_references",
    "compare",
    "compute_divergence",
    "compute_figures",
    "compute_histogram",
    "compute_margin",
    "compute_onset_profile",
    "compute_pitch_class_profile",
    "compute_ranges",
    "contrast",
    "format_rows",
    "get_definition",
    "is_nearer",
    "judge",
    "judge_measured",
    "make_metrics",
    "measure",
]
