"""Metrics: figures of scores, and the comparison of one set with another.

Metrics are plugins. `measure` counts in every bar, `figures` are the values of one set, `bands` the reference ranges of
real pieces, and `compare` puts both side by side. `contrast` compares the distributions of the figures of single pieces
in two sets. The profiles show whether a condition was followed.
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
