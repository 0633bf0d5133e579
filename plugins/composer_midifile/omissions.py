"""What does not fit: contents of a file without a counterpart in a Score, and Scores beyond a file's limits.

The contents are counted by kind. Default values, such as a centred bend or the power-on volume, are not counted.

Sources: MIDI 1.0 Detailed Specification; General MIDI System Level 1 (RP-003); RP-015.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from composer.music.score import Notes, Score
from composer_midifile.conversion import DENOMINATORS, FASTEST, SLOWEST
from composer_midifile.events import TrackEvents
from composer_midifile.messages import Messages
from composer_midifile.pedal import SUSTAIN
from composer_midifile.walking import AFTERTOUCH, BEND, CONTROLLER

# --- contents without a counterpart -----------------------------------------------------------------------------------


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


# --- limits of a file -------------------------------------------------------------------------------------------------


MOST_TICKS = 2**28 - 1
"""The longest time between two events."""

MOST_TRACKS = 32_766
"""Tracks beside the first one; some programs read their number as a signed one."""


def check_limits(score: Score) -> None:
    """Raise ValueError, with the reason, for a score that a file cannot hold."""
    _demand(len(score.tracks) <= MOST_TRACKS, f"it has {len(score.tracks):,} tracks, and {MOST_TRACKS:,} are possible")
    for number, track in enumerate(score.tracks, 1):
        _check_notes(track.notes, f"track {number}")
        _demand(0 <= track.program <= 127, f"track {number} has the program {track.program}, not one of 0..127")
    _demand(score.length <= MOST_TICKS, f"it is longer than {MOST_TICKS:,} ticks")
    _demand(
        all(0 <= tick <= MOST_TICKS for tick in list_ticks(score)), "a tempo, signature or marker has an invalid tick"
    )
    for tempo in score.tempos:
        _demand(SLOWEST <= tempo.bpm <= FASTEST, f"a tempo of {tempo.bpm} is not in {SLOWEST:g}..{FASTEST:g}")
    for signature in score.time_signatures:
        possible = 1 <= signature.numerator <= 64 and signature.denominator in DENOMINATORS
        _demand(possible, f"there is no time signature {signature}")


def _check_notes(notes: Notes, title: str) -> None:
    pitch, velocity = notes["pitch"], notes["velocity"]
    _demand(bool(np.all((pitch >= 0) & (pitch <= 127))), f"{title} has a pitch outside 0..127")
    _demand(bool(np.all((velocity >= 1) & (velocity <= 127))), f"{title} has a velocity outside 1..127")
    _demand(bool(np.all((notes["start"] >= 0) & (notes["duration"] >= 1))), f"{title} has a note outside time")


def list_ticks(score: Score) -> Iterator[int]:
    """Yield the ticks of all events except notes."""
    for events in (score.tempos, score.time_signatures, score.key_signatures, score.markers):
        yield from (event.tick for event in events)


def _demand(true: bool, otherwise: str) -> None:
    if not true:
        raise ValueError(otherwise)
