"""Metrics: figures of scores, and the comparison of one set with another.

Metrics are plugins. `measure` counts in every bar, `figures` are the values of one set, `bands` the reference ranges of
real pieces, and `compare` puts both side by side. `contrast` compares the distributions of the figures of single pieces
in two sets. The profiles show whether a condition was followed.
"""

from composer.metrics.bands import Band, bands
from composer.metrics.comparison import HEADINGS, Figure, compare, judge, judge_measured, references, rows
from composer.metrics.contrasting import Contrast, Estimate, Feature, contrast
from composer.metrics.figures import figures, histogram
from composer.metrics.measured import Measured, definition, measure, metrics
from composer.metrics.profiles import divergence, margin, nearer, onset_profile, pitch_class_profile

__all__ = [
    "HEADINGS",
    "Band",
    "Contrast",
    "Estimate",
    "Feature",
    "Figure",
    "Measured",
    "bands",
    "compare",
    "contrast",
    "definition",
    "divergence",
    "figures",
    "histogram",
    "judge",
    "judge_measured",
    "margin",
    "measure",
    "metrics",
    "nearer",
    "onset_profile",
    "pitch_class_profile",
    "references",
    "rows",
]
