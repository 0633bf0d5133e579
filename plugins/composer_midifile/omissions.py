"""Contents of a file without a counterpart in a Score, counted by kind.

Default values, such as a centred bend or the power-on volume, are not counted.
Sources: MIDI 1.0 Detailed Specification; General MIDI System Level 1 (RP-003); RP-015.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from composer_midifile.codes import AFTERTOUCH, BEND, CONTROLLER
from composer_midifile.events import TrackEvents
from composer_midifile.messages import Messages
from composer_midifile.pedal import SUSTAIN

PEDAL = "sustain pedal"

_KINDS = (
    "", PEDAL, "sostenuto pedal", "soft pedal", "volume", "expression", "pan", "modulation", "bank selects",
    "other controllers", "aftertouch", "pitch bends",
)  # fmt: skip
_NUMBERS = {
    PEDAL: (SUSTAIN,), "sostenuto pedal": (66,), "soft pedal": (67,), "volume": (7, 39), "expression": (11, 43),
    "pan": (8, 10, 40, 42), "modulation": (1, 33), "bank selects": (0, 32), "": range(120, 128),
}  # fmt: skip
"""Controllers by kind; those from 120 on only silence notes."""

_UNMOVED = {7: 100, 11: 127, 8: 64, 10: 64, 98: 127, 99: 127, 100: 127, 101: 127}
"""Default values of controllers, if not 0."""

_NOTHING = np.zeros((256, 128), dtype=np.int16)
"""The second data byte of a default value, by status and first data byte; -1 for none."""

_KIND = np.zeros((256, 128), dtype=np.int8)
for _kind, _numbers in {"other controllers": range(128), **_NUMBERS}.items():
    _KIND[CONTROLLER : CONTROLLER + 16, list(_numbers)] = _KINDS.index(_kind)
for _number, _value in _UNMOVED.items():
    _NOTHING[CONTROLLER : CONTROLLER + 16, _number] = _value
_KIND[AFTERTOUCH : AFTERTOUCH + 16] = _KINDS.index("aftertouch")
_KIND[BEND : BEND + 16] = _KINDS.index("pitch bends")
_NOTHING[BEND : BEND + 16] = -1
_NOTHING[BEND : BEND + 16, 0] = 64


def count_omissions(messages: Messages, tracks: Sequence[TrackEvents]) -> Counter[str]:
    """Count what a Score leaves out, by kind."""
    found: Counter[str] = Counter()
    (its,) = (messages.status >= AFTERTOUCH).nonzero()
    if len(its):
        status, first = messages.status[its], messages.first[its]
        kinds = _KIND[status, first][messages.second[its] != _NOTHING[status, first]]
        counts = np.bincount(kinds, minlength=len(_KINDS)).tolist()
        found.update({kind: count for kind, count in zip(_KINDS, counts, strict=True) if kind and count})
    for track in tracks:
        if track.left_out:
            found.update(track.left_out)
    return found
