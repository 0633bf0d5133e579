"""Listens with numbers: figures of scores, and one set against another; it knows no metric, model or file format.

Metrics are plugins. `measure` has what they count in every bar, `figures` the values of one set, `bands` says where a
set of real pieces would lie, and `compare` puts both side by side. `contrast` compares how the figures of single pieces
are distributed in two sets. The profiles show whether a wish was followed.
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
