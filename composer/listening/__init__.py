"""Listens with numbers: figures of sets of scores, and one set against another; it knows no model and no file format.

`DEFINITIONS` holds every figure with its exact definition, `figures` has the values of one set, `bands` says where a
set of real pieces would lie, and `compare` puts both side by side. The profiles show whether a wish was followed.
"""

from composer.listening.bands import Band, bands
from composer.listening.comparison import HEADINGS, Figure, compare, judge, references, rows
from composer.listening.definitions import DEFINITIONS, Definition
from composer.listening.figures import figures, histogram
from composer.listening.profiles import divergence, margin, nearer, onset_profile, pitch_class_profile

__all__ = [
    "DEFINITIONS",
    "HEADINGS",
    "Band",
    "Definition",
    "Figure",
    "bands",
    "compare",
    "divergence",
    "figures",
    "histogram",
    "judge",
    "margin",
    "nearer",
    "onset_profile",
    "pitch_class_profile",
    "references",
    "rows",
]
