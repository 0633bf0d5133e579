"""The constraint `ending`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, is_all_false, make_parameter, take_columns, take_latest
from composer.errors import BadOption
from composer.music.keys import ALL_KEYS, parse_key
from composer.music.score import Score
from composer.sampling.batch_state import select_rows
from composer.tokens.vocabulary import EOS, compute_pitches, mask_onsets
from composer.types import Array, Context, Internal, MusicalState, TokenInfo
from composer_harmony.degrees import (
    FIFTH,
    FOURTH,
    LEADING_TONE,
    are_inside,
    has_degree,
    has_third,
    is_approach,
    is_degree,
    is_final_chord,
    is_third,
    leads_home,
    mark_other_third,
)
from composer_harmony.endings import choose_ending, describe_end
from composer_harmony.scale import mask_classes

MAJOR, MINOR = (0, 4, 7), (0, 3, 4, 7)
"""Degrees of the final chord, in semitones. In minor either third is right: a piece in minor may end in major."""

CHORDS = np.array([np.isin((np.arange(12) - key.tonic) % 12, MINOR if key.minor else MAJOR) for key in ALL_KEYS])
TONICS = np.array([key.tonic for key in ALL_KEYS])

VOICES = 3
"""Voices at least that make a full chord."""


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

    Three voices and more: a `full` chord has its third. A `cadence` also has a bass that comes to the tonic from the
    fifth or the fourth, and is there on the beat before. Above the fifth the leading tone sounds, perhaps after a
    suspension: an authentic cadence. Above the fourth it does not: a plagal one. New pieces have a cadence, and wholes
    end so unasked, where the model writes keys and announces the last bar. Around a given melody that ends with them,
    the final chord is at its last onset, and ends with it.
    """

    ending: Annotated[bool, "end with a cadence; whole pieces do"] = True
    key: Annotated[str, "its key, such as Dm, unless the model writes keys", "Dm"] = ""
    kind: Annotated[Literal["chord", "full", "cadence"], "what it ends with"] = "chord"
    at: Annotated[int, "where the final chord begins in the last bar, in ticks; -1: strong beats", Internal()] = -1
    yields: Annotated[bool, "give way where nothing else could be written", Internal()] = False

    def __post_init__(self) -> None:
        """Refuse an invalid key."""
        self._own_key  # noqa: B018  (for its ValueError)

    choose_options = staticmethod(choose_ending)

    def describe_broken(self, score: Score) -> str:
        """Describe an end that is none, as far as this is not the mask's to prevent."""
        if not self.ending or self.kind == "chord":
            return ""
        return describe_end(score, None if self._own_key < 0 else ALL_KEYS[self._own_key], VOICES)

    @property
    def lookback(self) -> int:
        """The notes of the final chord, and of a cadence those back to the bass before it."""
        return 32 if self.kind == "cadence" else 8

    @cached_property
    def _own_key(self) -> int:
        return parse_key(self.key).index if self.key else -1

    def mask(self, context: Context) -> Array:
        """Mask tokens that preclude such an ending. Raises BadOption if the model announces no key or no end."""
        xp, music = get_namespace(context.allowed), context.music
        if not self.ending or (self.yields and not self._has_key(context)):
            return xp.ones_like(context.allowed)
        if not self.yields:
            self._check(context)
        last = music.bars_left == 1
        near = _is_near_end(music) if self._has_cadence(context) else last
        if is_all_false(near):  # until then only lengths matter: none may reach into the last chord
            middle = self._find_final_onset(music)[:, None]
            return xp.broadcast_to(self._mask_durations(context, middle, last[:, None]), context.allowed.shape)
        if type(near) is np.ndarray and context.token_info.has_voices:
            return self._mask_few_rows(context, last, near)
        may = self._mask_chord(context) & self._mask_end(context)
        if not self._has_cadence(context):
            return may
        return may & self._mask_inner(context) & self._mask_bass(context) & self._mask_passing(context)

    def _mask_few_rows(self, context: Context, last: NDArray[np.bool_], near: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mask tokens, (B, V), with voices, by the rows that each part concerns: few of a batch are there at once."""
        music = context.music
        may = np.ones(context.allowed.shape, dtype=bool)
        middle, moves = self._find_final_onset(music), music.voice < 0
        in_chord = last & ((music.position > middle) | ((music.position == middle) & ~moves))
        parts = [(in_chord, self._mask_chord), (last & moves, self._mask_end)]
        if self._has_cadence(context):
            bass, left = music.sounding.shape[1] - 1, self._count_ticks_left(music)
            parts.append((_is_turn_before_end(music, left, bass - 1), self._mask_inner))
            parts.append((_is_turn_before_end(music, left, bass), self._mask_bass))
            passing = near & moves & (left > 0)
            if passing.any():
                passing &= ~leads_home(music.sounding, self._find_tonic(context)[1])[:, 0]
            parts.append((passing, self._mask_passing))
        for concerned, mask in parts:
            if len(rows := np.flatnonzero(concerned)):
                may[rows] &= mask(select_rows(context, rows))
        return may

    def _find_tonic(self, context: Context) -> tuple[Array, Array]:
        """Find the tones of the final chord, (B, 12), and the tonic, (B,), -1 where it is unknown."""
        xp, own = get_namespace(context.allowed), context.music.key
        key = own if self._own_key < 0 else _fill_like(own, self._own_key)
        chord = xp.take(convert_like(CHORDS, own), xp.clip(key, 0, 23), axis=0) | (key < 0)[:, None]
        return chord, xp.where(key < 0, -1, xp.take(convert_like(TONICS, own), xp.clip(key, 0, 23)))

    def _mask_chord(self, context: Context) -> Array:
        """Mask tokens, (B, V), so that the final chord is right, and nothing begins after it."""
        music = context.music
        place, middle = music.position[:, None], self._find_final_onset(music)[:, None]
        last, (chord, tonic) = (music.bars_left == 1)[:, None], self._find_tonic(context)
        at_end, after_end = last & (place == middle), last & (place > middle)
        may = ~at_end | self._mask_final_chord(context, chord, tonic)
        may = may & self._mask_durations(context, middle, last)
        if is_all_false(after_end):
            return may
        may = may & (~after_end | ~mask_onsets(context))
        if not context.token_info.is_framed:  # a frame cannot announce that it passes the chord by
            may = may & (~after_end | self._is_sustained(context, chord, tonic, middle))
        return may

    def _find_final_onset(self, music: MusicalState) -> Array:
        """Return ticks from the beginning of the last bar to its final chord at the latest, (B,)."""
        return _find_last_strong_beat(music) if self.at < 0 else _fill_like(music.bar_ticks, self.at)

    def _has_cadence(self, context: Context) -> bool:
        return self.kind == "cadence" and _is_full(context)

    def _has_key(self, context: Context) -> bool:
        return self._own_key >= 0 or _writes_keys(context.token_info)

    def _check(self, context: Context) -> None:
        if not self._has_key(context):
            raise BadOption("this model writes no keys; state the key of the ending with --ending-key.")
        if _has_any(context.allowed[:, EOS] & (context.music.bars_left == 0)):
            raise BadOption("this model does not announce its end; --ending needs --bars.")

    def _mask_final_chord(self, context: Context, chord: Array, tonic: Array) -> Array:
        """Mask tokens on the last strong beat, (B, V): tones of the chord, and no other sustained notes."""
        xp, music, token_info = get_namespace(chord), context.music, context.token_info
        pitch = compute_pitches(token_info, music)
        lowest = is_degree(pitch, tonic, 0)
        may = mask_classes(context, chord & ~mark_other_third(music.written, tonic))
        if np.any(token_info.ticks >= 0):  # notes come in any order, so that each may be the last
            below = xp.min(xp.where(music.written < 0, 128, music.written), axis=1)[:, None]
            grounded = is_degree(below, tonic, 0) & (below < 128)
            may = may & ((pitch < 0) | xp.where(pitch < below, lowest, grounded))
        if not token_info.has_voices:
            return may
        voice = xp.clip(music.voice, 0, music.sounding.shape[1] - 1)[:, None]
        held = take_columns(music.sounding, voice)
        held_class = xp.where(held < 0, 0, held % 12)
        fits = (held < 0) | take_columns(chord & ~mark_other_third(music.written, tonic), held_class)
        last_voice = (music.voice == music.sounding.shape[1] - 1)[:, None]
        may = may & (~last_voice | (pitch < 0) | lowest)
        fits = fits & (~last_voice | (held < 0) | is_degree(held, tonic, 0))
        if self.kind != "chord":  # the last voice sounds, and below all others
            others = xp.min(xp.where(music.written < 0, 128, music.written), axis=1)[:, None]
            may = may & (~last_voice | (pitch <= others))
            fits = fits & (~last_voice | ((held >= 0) & (held <= others)))
        if self.kind != "chord" and _is_full(context):  # the last voice but one has the third, if no other has
            wanted = (music.voice == music.sounding.shape[1] - 2)[:, None] & ~has_third(music.written, tonic)
            may = may & (~wanted | (pitch < 0) | is_third(pitch, tonic))
            fits = fits & (~wanted | is_third(held, tonic))
        may = may & (fits | ~convert_like(token_info.is_hold, chord)[None, :])
        return may & ~convert_like(token_info.is_rest, chord)[None, :]

    def _mask_inner(self, context: Context) -> Array:
        """Mask tokens, (B, V), so that the last voice but one takes the leading tone, unless a higher one has it.

        It does so above the fifth, within the beat before the final chord. On that beat itself, the tonic will do, too:
        it may resolve to the leading tone. If the voice can take neither, it is free.
        """
        xp, music, token_info = get_namespace(context.allowed), context.music, context.token_info
        inner, tonic = music.sounding.shape[1] - 2, self._find_tonic(context)[1]
        left = self._count_ticks_left(music)
        on_beat, held = (left == music.beat_ticks)[:, None], music.sounding[:, inner][:, None]

        def fits(pitch: Array) -> Array:
            return is_degree(pitch, tonic, LEADING_TONE) | (on_beat & is_degree(pitch, tonic, 0))

        higher = music.written[:, :inner]
        above = xp.any(fits(higher), axis=1)[:, None] | ~xp.any(higher >= 0, axis=1)[:, None]  # or none of them sounds
        hold = convert_like(token_info.is_hold, held)[None, :]
        right = fits(compute_pitches(token_info, music)) | (hold & fits(held))
        bass = music.sounding[:, inner + 1][:, None]
        wanted = _is_turn_before_end(music, left, inner)[:, None] & ~above & (on_beat | is_degree(bass, tonic, FIFTH))
        wanted = wanted & xp.any(right & context.allowed, axis=1)[:, None]
        return ~wanted | right

    def _mask_bass(self, context: Context) -> Array:
        """Mask tokens, (B, V), that keep the bass from the fifth or the fourth on the beat before the final chord.

        No leading tone may sound above the fourth. After the beat, one must sound above the fifth.
        """
        music, token_info = context.music, context.token_info
        bass, tonic = music.sounding.shape[1] - 1, self._find_tonic(context)[1]
        left = self._count_ticks_left(music)
        leads = has_degree(music.written[:, :bass], tonic, LEADING_TONE)
        late = (left < music.beat_ticks)[:, None]

        def fits(pitch: Array) -> Array:
            fifth, fourth = is_degree(pitch, tonic, FIFTH), is_degree(pitch, tonic, FOURTH)
            return (fifth & (leads | ~late)) | (fourth & ~leads)

        right = fits(compute_pitches(token_info, music))
        right = right | (convert_like(token_info.is_hold, right)[None, :] & fits(music.sounding[:, bass][:, None]))
        return right | ~_is_turn_before_end(music, left, bass)[:, None]

    def _mask_passing(self, context: Context) -> Array:
        """Mask positions and bar lines, (B, V), that pass by that beat while the bass is on another tone.

        None reaches the final chord unless the chord before leads there.
        """
        music, token_info = context.music, context.token_info
        bass, tonic, left = music.sounding.shape[1] - 1, self._find_tonic(context)[1], self._count_ticks_left(music)
        ready = is_approach(music.sounding[:, bass][:, None], tonic)
        end = (music.position + left)[:, None]  # the final chord, in ticks of this bar
        until = end - music.beat_ticks[:, None]
        places, line = convert_like(token_info.position, left)[None, :], convert_like(token_info.is_bar, ready)[None, :]
        bar = music.bar_ticks[:, None]
        near = _is_near_end(music)
        waits = (near & (left >= music.beat_ticks))[:, None] & ~ready
        leads = leads_home(music.sounding, tonic) | ~(near & (left > 0))[:, None]
        passes = (places > until) | (line & (bar > until))
        arrives = (places >= end) | (line & (bar >= end))
        return ~(waits & passes) & (leads | ~arrives)

    def _count_ticks_left(self, music: MusicalState) -> Array:
        """Count the ticks up to the final chord at the latest, (B,), of rows in the last two bars."""
        xp, middle = get_namespace(music.position), self._find_final_onset(music)
        return xp.where(music.bars_left == 1, middle, middle + music.bar_ticks) - music.position

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

    def _mask_end(self, context: Context) -> Array:
        """Mask the end of the piece, and of frames in the last bar, (B, V), until the final chord is right.

        Positions after the last strong beat are masked, too.
        """
        xp, music, token_info = get_namespace(context.allowed), context.music, context.token_info
        place, middle = music.position[:, None], self._find_final_onset(music)[:, None]
        last, (chord, tonic) = (music.bars_left == 1)[:, None], self._find_tonic(context)
        after, at_middle = place > middle, place == middle
        strong = at_middle | (place == 0) if self.at < 0 else at_middle
        late = last & (convert_like(token_info.position, place)[None, :] > middle)
        if self.at >= 0:  # what is given may end before its bar: the next position is there
            places = convert_like(token_info.position, place)[None, :]
            farthest = xp.max(xp.where(context.allowed, places, -1), axis=1)[:, None]
            late = late & (context.allowed[:, EOS][:, None] | (places < farthest))
        begins_here = context.recent_notes.tick[:, -1:] == music.tick[:, None]
        final = strong & begins_here & is_final_chord(music.written, chord, tonic)
        if np.any(token_info.ticks >= 0):
            final = final & at_middle
        if self._has_cadence(context):  # before the last strong beat, nothing has seen to it
            final = final & (at_middle | _has_approach(context, tonic))
        end = convert_like(token_info.kind == "EOS", chord)[None, :]
        if not token_info.is_framed:
            return ~late & (~end | ~last | final | after)  # once it is sustained; otherwise no token would be left
        held = _count(music.written) == _count(music.sounding)
        frame = convert_like(token_info.is_frame, chord)[None, :]
        at_frame = xp.where(after, held, ~at_middle | final)
        return ~late & (~frame | ~last | at_frame) & (~end | ~last | after)

    def _is_sustained(self, context: Context, chord: Array, tonic: Array, middle: Array) -> Array:
        """Tell whether the final chord was there, and nothing else sounds, (B, 1)."""
        if self.at >= 0 and context.token_info.has_voices:  # voices may have ended, with what is given
            return are_inside(context.music.sounding, chord, tonic)
        return _is_held(context, chord, tonic, middle)


@lru_cache(maxsize=32)
def _writes_keys(token_info: TokenInfo) -> bool:
    return bool(np.any(token_info.key >= 0))


def _fill_like(array: Array, value: int) -> Array:
    """Return (B,) a number for each row of `array`; masks are compiled once for all such numbers."""
    return 0 * array + make_parameter(value, array)


def _is_full(context: Context) -> bool:
    """Tell whether there are voices enough for a full chord."""
    return context.token_info.has_voices and context.music.sounding.shape[1] >= VOICES


def _find_last_strong_beat(music: MusicalState) -> Array:
    """Return ticks from the beginning of a bar to its last strong beat, (B,)."""
    beat = music.beat_ticks + (music.beat_ticks == 0)
    beats = music.bar_ticks // beat
    halved = (beats >= 4) & (beats % 2 == 0)
    return halved * (beats // 2) * beat


def _is_near_end(music: MusicalState) -> Array:
    """Tell (B,) which rows are in the last two bars."""
    return (music.bars_left == 1) | (music.bars_left == 2)


def _is_turn_before_end(music: MusicalState, left: Array, voice: int) -> Array:
    """Tell (B,) where a voice is in turn within the beat before the final chord, which is `left` (B,) ticks away."""
    return _is_near_end(music) & (music.voice == voice) & (left > 0) & (left <= music.beat_ticks)


def _has_approach(context: Context, tonic: Array) -> Array:
    """Tell whether the chord before the last onset led to the tonic, with its bass there a beat before, (B, 1)."""
    music, past = context.music, context.recent_notes
    voices = range(music.sounding.shape[1])
    earlier = (past.tick >= 0) & (past.tick < music.tick[:, None])
    own = [earlier & (past.voice == voice) for voice in voices]
    before = get_namespace(tonic).concat([take_latest(past.pitch, marked) for marked in own], axis=1)
    since = music.tick[:, None] - take_latest(past.tick, own[-1])
    return leads_home(before, tonic) & (since >= music.beat_ticks[:, None])


def _is_held(context: Context, chord: Array, tonic: Array, middle: Array) -> Array:
    """Tell whether the last notes were a final chord on the last strong beat, and nothing else sounds, (B, 1)."""
    xp, music, past = get_namespace(chord), context.music, context.recent_notes
    there = past.tick == music.tick[:, None] - music.position[:, None] + middle
    final = is_final_chord(xp.where(there, past.pitch, -1), chord, tonic)
    return there[:, -1:] & final & are_inside(music.sounding, chord, tonic)


def _count(sounds: Array) -> Array:
    xp = get_namespace(sounds)
    return xp.sum(xp.where(sounds >= 0, 1, 0), axis=1)[:, None]


def _has_any(mask: Array) -> bool:
    return bool(get_namespace(mask).any(mask))
