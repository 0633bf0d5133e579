"""The constraint `ending`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from composer.arrays import convert_like, get_namespace, is_all_false, make_range, take_columns
from composer.errors import BadOption
from composer.music.keys import ALL_KEYS, parse_key
from composer.tokens.vocabulary import EOS, compute_pitches, mask_onsets
from composer.types import Array, Context, MusicalState
from composer_harmony.scale import mask_classes

MAJOR, MINOR = (0, 4, 7), (0, 3, 4, 7)
"""Degrees of the final chord, in semitones. In minor either third is right: a piece in minor may end in major."""

CHORDS = np.array([np.isin((np.arange(12) - key.tonic) % 12, MINOR if key.minor else MAJOR) for key in ALL_KEYS])
TONICS = np.array([key.tonic for key in ALL_KEYS])


@dataclass(frozen=True)
class Ending:
    """End with the tonic chord on a strong beat of the last bar, sustained to its end.

    Strong are the first beat of a bar and, of 4, 6, 8… beats, the middle one. The last onsets of the piece are on a
    strong beat of its last bar. All notes from there on last to the end of the bar. They are of the tonic triad (in
    minor with either third, not both), and the lowest is the tonic; so a single melody ends on the tonic. With voices
    that sustain and rest, the lowest voice has the tonic. With durations or frames as tokens, the last onsets are on
    the last strong beat; otherwise on any. No note with a duration is sustained into the final chord, whose notes are
    as long as the bar, if a token exists for that. Drums are free, but end with these onsets. The key is the one in
    force at the end, or the option.
    """

    ending: Annotated[bool, "end with a cadence"] = True
    key: Annotated[str, "its key, such as Dm, unless the model writes keys", "Dm"] = ""

    lookback = 8  # notes of the final chord

    def __post_init__(self) -> None:
        """Refuse an invalid key."""
        self._own_key  # noqa: B018  (for its ValueError)

    @cached_property
    def _own_key(self) -> int:
        return parse_key(self.key).index if self.key else -1

    def mask(self, context: Context) -> Array:
        """Mask tokens that preclude such an ending. Raises BadOption if the model announces no key or no end."""
        xp, music = get_namespace(context.allowed), context.music
        if not self.ending:
            return xp.ones_like(context.allowed)
        self._check(context)
        place = music.position[:, None]
        middle = _find_last_strong_beat(music)[:, None]
        strong = (place == 0) | (place == middle)
        last = (music.bars_left == 1)[:, None]
        if is_all_false(last):  # until then only lengths matter: none may reach into the last chord
            return xp.broadcast_to(self._mask_durations(context, middle, last), context.allowed.shape)
        at_end, after_end = last & (place == middle), last & (place > middle)
        key = music.key if self._own_key < 0 else xp.full_like(music.key, self._own_key)
        chord = xp.take(convert_like(CHORDS, music.key), xp.clip(key, 0, 23), axis=0) | (key < 0)[:, None]
        tonic = xp.where(key < 0, -1, xp.take(convert_like(TONICS, music.key), xp.clip(key, 0, 23)))
        may = ~(last & (convert_like(context.token_info.position, place)[None, :] > middle))
        may = may & (~at_end | self._mask_final_chord(context, chord, tonic))
        may = may & (~after_end | ~mask_onsets(context))
        may = may & self._mask_durations(context, middle, last)
        if not context.token_info.is_framed:  # a frame cannot announce that it passes the chord by
            may = may & (~after_end | _is_held(context, chord, tonic, middle))
        return may & self._mask_end(context, chord, tonic, last, strong, middle)

    def _check(self, context: Context) -> None:
        token_info = context.token_info
        if self._own_key < 0 and not np.any(token_info.key >= 0):
            raise BadOption("this model writes no keys; state the key of the ending with --ending-key.")
        if _has_any(context.allowed[:, EOS] & (context.music.bars_left == 0)):
            raise BadOption("this model does not announce its end; --ending needs --bars.")

    def _mask_final_chord(self, context: Context, chord: Array, tonic: Array) -> Array:
        """Mask tokens on the last strong beat, (B, V): tones of the chord, and no other sustained notes."""
        xp, music, token_info = get_namespace(chord), context.music, context.token_info
        pitch = compute_pitches(token_info, music)
        lowest = _is_tonic(pitch, tonic)
        may = mask_classes(context, chord & ~_mark_other_third(music.written, tonic))
        if np.any(token_info.ticks >= 0):  # notes come in any order, so that each may be the last
            below = xp.min(xp.where(music.written < 0, 128, music.written), axis=1)[:, None]
            grounded = _is_tonic(below, tonic) & (below < 128)
            may = may & ((pitch < 0) | xp.where(pitch < below, lowest, grounded))
        if not token_info.has_voices:
            return may
        voice = xp.clip(music.voice, 0, music.sounding.shape[1] - 1)[:, None]
        held = take_columns(music.sounding, voice)
        held_class = xp.where(held < 0, 0, held % 12)
        fits = (held < 0) | take_columns(chord & ~_mark_other_third(music.written, tonic), held_class)
        last_voice = (music.voice == music.sounding.shape[1] - 1)[:, None]
        may = may & (~last_voice | (pitch < 0) | lowest)
        fits = fits & (~last_voice | (held < 0) | _is_tonic(held, tonic))
        may = may & (fits | ~convert_like(token_info.is_hold, chord)[None, :])
        return may & ~convert_like(token_info.is_rest, chord)[None, :]

    def _mask_durations(self, context: Context, middle: Array, last: Array) -> Array:
        """Mask durations, (B, V): they end before the final chord, or are its own, the longest."""
        xp, music = get_namespace(middle), context.music
        ticks = convert_like(context.token_info.ticks, middle)[None, :]
        if not np.any(context.token_info.ticks >= 0):
            return ticks < 0
        left = music.bars_left[:, None]
        place = music.position[:, None]
        # Later bars may have another time signature: a quarter at least.
        until = xp.where(last, middle, music.bar_ticks[:, None] + 480 * (left - 2)) - place
        before = (ticks <= until) | (left == 0)
        allowed = xp.where(context.allowed, ticks, -1)
        own = ticks == xp.max(allowed, axis=1)[:, None]
        return (ticks < 0) | xp.where(last & (place == middle), own, before)

    def _mask_end(
        self, context: Context, chord: Array, tonic: Array, last: Array, strong: Array, middle: Array
    ) -> Array:
        """Mask the end of the piece, and of frames in the last bar, (B, V), until the final chord is right."""
        xp, music, token_info = get_namespace(chord), context.music, context.token_info
        place = music.position[:, None]
        after = place > middle
        begins_here = context.recent_notes.tick[:, -1:] == music.tick[:, None]
        final = strong & begins_here & _is_final_chord(music.written, chord, tonic)
        if np.any(context.token_info.ticks >= 0):
            final = final & (place == middle)
        end = convert_like(token_info.kind == "EOS", chord)[None, :]
        if not token_info.is_framed:
            return ~end | ~last | final | after  # once it is sustained; otherwise no token would be left
        held = _count(music.written) == _count(music.sounding)
        frame = convert_like(token_info.is_frame, chord)[None, :]
        at_frame = xp.where(after, held, (place != middle) | final)
        return (~frame | ~last | at_frame) & (~end | ~last | after)


def _find_last_strong_beat(music: MusicalState) -> Array:
    """Return ticks from the beginning of a bar to its last strong beat, (B,)."""
    beat = music.beat_ticks + (music.beat_ticks == 0)
    beats = music.bar_ticks // beat
    halved = (beats >= 4) & (beats % 2 == 0)
    return halved * (beats // 2) * beat


def _is_tonic(pitch: Array, tonic: Array) -> Array:
    """Tell whether pitches (B, n) are the tonic; all are if the tonic is unknown."""
    return (pitch % 12 == tonic[:, None]) | (tonic < 0)[:, None]


def _mark_other_third(written: Array, tonic: Array) -> Array:
    """Mark the third of the other mode, (B, 12), once one is written."""
    xp, classes = get_namespace(written), make_range(12, written)
    degree = xp.where((written < 0) | (tonic < 0)[:, None], -1, (written - tonic[:, None]) % 12)
    minor, major = (xp.any(degree == third, axis=1)[:, None] for third in (3, 4))
    above = (classes - tonic[:, None]) % 12
    return (minor & (above == 4)) | (major & (above == 3))


def _is_final_chord(sounds: Array, chord: Array, tonic: Array) -> Array:
    """Tell whether the sounds (B, n) are of the chord, with one third, and the tonic lowest, (B, 1)."""
    xp = get_namespace(sounds)
    lowest = xp.min(xp.where(sounds < 0, 128, sounds), axis=1)[:, None]
    return _are_inside(sounds, chord, tonic) & (lowest < 128) & _is_tonic(lowest, tonic)


def _are_inside(sounds: Array, chord: Array, tonic: Array) -> Array:
    """Tell whether all sounds (B, n) are of the chord, with one third, (B, 1)."""
    xp, silent = get_namespace(sounds), sounds < 0
    inside = take_columns(chord & ~_mark_other_third(sounds, tonic), xp.where(silent, 0, sounds % 12))
    return xp.all(silent | inside, axis=1)[:, None]


def _is_held(context: Context, chord: Array, tonic: Array, middle: Array) -> Array:
    """Tell whether the last notes were a final chord on the last strong beat, and nothing else sounds, (B, 1)."""
    xp, music, past = get_namespace(chord), context.music, context.recent_notes
    there = past.tick == music.tick[:, None] - music.position[:, None] + middle
    final = _is_final_chord(xp.where(there, past.pitch, -1), chord, tonic)
    return there[:, -1:] & final & _are_inside(music.sounding, chord, tonic)


def _count(sounds: Array) -> Array:
    xp = get_namespace(sounds)
    return xp.sum(xp.where(sounds >= 0, 1, 0), axis=1)[:, None]


def _has_any(mask: Array) -> bool:
    return bool(get_namespace(mask).any(mask))
