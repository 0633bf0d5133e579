"""How pieces end: whether a new one is to, and whether a finished one does. It is decided here alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from composer.metrics.score_view import find_final_chord
from composer.music.keys import Key, name_pitch, parse_key
from composer.music.score import Notes, Score, compute_bars, concatenate_notes
from composer.types import Occasion, TokenInfo
from composer_harmony.chords import Chords

_TRIADS = ({0, 4, 7}, {0, 3, 7})


def choose_ending(options: Mapping[str, Any] | None, occasion: Occasion) -> Mapping[str, Any] | None:
    """Choose the options of `ending` for a new request; None where the piece is not to end so.

    Unasked, whole pieces end if the model writes keys, bars that announce the last one, and pitches. They do not where
    chords were asked for that lead elsewhere, or where a given melody ends on another tone. Then the ending yields to
    all that was asked for.
    """
    asked = options is not None
    chosen: dict[str, Any] = dict(options) if options is not None else {"yields": True}
    if not chosen.get("ending", True) or not (asked or (occasion.is_whole and _can_end(occasion.token_info))):
        return None
    chosen.setdefault("kind", "cadence")
    key = parse_key(chosen.get("key") or occasion.request.key or "C")
    if not asked and _ends_with_other_chord(occasion, key):
        return None
    return chosen if occasion.fixed is None else _fit(chosen, occasion.fixed, key, asked=asked)


def _can_end(token_info: TokenInfo) -> bool:
    writes_keys, writes_pitches = bool(np.any(token_info.key >= 0)), bool(np.any(token_info.pitch >= 0))
    return writes_keys and writes_pitches and bool(token_info.is_bar.any()) and not token_info.is_framed


def _ends_with_other_chord(occasion: Occasion, key: Key) -> bool:
    """Tell whether chords were asked for of which the last is not known to be the tonic's."""
    request = occasion.request
    asked = next((spec for spec in request.samplers if spec.name == "chords"), None)
    if asked is None:
        return False
    if request.key is None or request.bars is None or request.primer:
        return True
    bars = Chords(**asked.options).bars
    degrees = {(tone - key.tonic) % 12 for tone in bars[(request.bars - 1) % len(bars)][-1].tones}
    return not any(triad <= degrees for triad in _TRIADS)


def _fit(chosen: dict[str, Any], fixed: Score, key: Key, *, asked: bool) -> Mapping[str, Any] | None:
    """Fit an ending to fixed notes: at their last onset; None if it was not asked for, and they end on other tones."""
    notes = concatenate_notes([track.notes for track in fixed.tracks])
    bars = compute_bars(fixed)
    last = int(notes["start"].max(initial=-1))
    if not len(notes) or int((notes["start"] + notes["duration"]).max()) <= int(bars.starts[-2]):
        return chosen  # the last bar is new
    chord = (find_final_chord(notes).astype(int) - key.tonic) % 12
    if not asked and not any(set(chord.tolist()) <= triad for triad in _TRIADS):
        return None
    is_bass = len(fixed.tracks) > 1 and len(fixed.tracks[-1].notes) > 0
    if is_bass and not asked and chord[0] != 0:
        return None
    at = max(last - int(bars.nominal[-1]), 0)
    beat = bars.signatures[-1].beat_ticks
    degrees = _find_degrees(notes, last - beat, key)
    led = degrees <= {2, 5, 7, 8, 9, 11}  # tones of the chords of the fifth and the fourth that are no tonic
    # The voice that is to take the leading tone, if it has another one.
    is_inner = len(fixed.tracks) > 2 and not _find_degrees(fixed.tracks[-2].notes, last - beat, key) <= {11}
    kind = chosen["kind"] if (led and not is_bass and not is_inner) or chosen["kind"] != "cadence" else "full"
    return {**chosen, "kind": kind, "at": chosen.get("at", at)}


def _find_degrees(notes: Notes, tick: int, key: Key) -> set[int]:
    """Find the degrees that sound at a tick, in semitones above the tonic."""
    sounding = notes[(notes["start"] <= tick) & (notes["start"] + notes["duration"] > tick)]
    return {int(pitch - key.tonic) % 12 for pitch in sounding["pitch"]}


def describe_end(score: Score, key: Key | None, voices: int) -> str:
    """Describe an end other than the tonic triad in root position; empty for one, and without pitches or a key.

    Of so many `voices` and more, the triad has its third; a single line ends on the tonic.
    """
    parts = [track.notes for track in score.tracks if len(track.notes) and not track.is_drum]
    key = key or (score.key_signatures[-1].key if score.key_signatures else None)
    if not parts or key is None:
        return ""
    chord = find_final_chord(concatenate_notes(parts)).astype(int)
    degrees = {int(pitch - key.tonic) % 12 for pitch in chord}
    if chord[0] % 12 != key.tonic:
        return f"ends on {name_pitch(int(chord[0]))} in {key}"
    if not any(degrees <= triad for triad in _TRIADS):
        return f"ends with other tones than those of {key}"
    return f"ends without the third of {key}" if len(parts) >= voices and not degrees & {3, 4} else ""
