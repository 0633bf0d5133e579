"""The constraints `range`, also called `pitch-range`, of all voices or of one, `widest-leap` and `programs`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from composer import hookimpl
from composer.arrays import convert_like, get_namespace, make_parameter, take_columns, take_latest
from composer.errors import BadOption, RequestWarning, printable, suggest
from composer.music.keys import name_pitch, parse_pitch
from composer.tokens.vocabulary import compute_pitches, mask_sustained
from composer.types import Array, Context, Internal, TokenInfo

ALL = "all"


@dataclass(frozen=True)
class Range:
    """Write no note below or above these pitches, in all voices or in those named.

    A pitch p is allowed in a voice if lowest <= p <= highest, by the range of the voice and by that of `all`, if they
    are set. Voices are those of the tokenizer: `bass` of the chorales; General MIDI programs, as in `32=E1:G3`.
    """

    range: Annotated[str, "lowest:highest, as in C3:G5 or 48:79, or of voices, as in bass=E2:C4,tenor=C3:G4", "C3:C6"]

    def __post_init__(self) -> None:
        """Refuse an invalid range."""
        for voice, (low, high) in self.bounds.items():
            if low > high:
                raise ValueError(f"the range of {voice} in {self.range} has its bounds reversed")

    @cached_property
    def bounds(self) -> Mapping[str, tuple[int, int]]:
        """The lowest and the highest MIDI pitch of each voice that is named, in small letters."""
        found: dict[str, tuple[int, int]] = {}
        for part in self.range.split(","):
            voice, equals, text = part.rpartition("=")
            name = voice.strip().lower() if equals else ALL
            low, colon, high = text.partition(":")
            if not colon:
                raise ValueError(f"'{part}' is not a range such as C3:G5 or bass=E2:C4")
            if name in found:
                raise ValueError(f"there are two ranges of {name} in {self.range}")
            found[name] = parse_pitch(low.strip()), parse_pitch(high.strip())
        return found

    def mask(self, context: Context) -> Array:
        """Mask pitches out of range. Raises BadOption for an unknown voice."""
        xp, music = get_namespace(context.allowed), context.music
        limits = xp.take(convert_like(_compute_limits(self, context.token_info), music.voice), music.voice + 1, axis=0)
        pitch = compute_pitches(context.token_info, music)
        inside = (pitch >= limits[:, :1]) & (pitch <= limits[:, 1:])
        return (pitch < 0) | inside | mask_sustained(context)


@lru_cache(maxsize=64)
def _compute_limits(wanted: Range, token_info: TokenInfo) -> NDArray[np.int64]:
    """Return the bounds (voices + 1, 2): of no voice, and of each."""
    names = [voice.lower() for voice in token_info.voices]
    for name in wanted.bounds:
        if name != ALL and name not in names:
            raise BadOption(f"this model has no voice '{printable(name)}' for a range: {suggest(name, [*names, ALL])}")
    reach = _find_reach(token_info)
    for name, (low, high) in wanted.bounds.items():
        if high < reach[0] or low > reach[1]:
            asked, there = (":".join(map(name_pitch, bounds)) for bounds in ((low, high), reach))
            raise BadOption(f"the range {asked} of {name} is outside {there}, the range of this model.")
    everywhere = wanted.bounds.get(ALL, (0, 127))
    own = [wanted.bounds.get(name, (0, 127)) for name in names]
    limits = [(max(low, everywhere[0]), min(high, everywhere[1])) for low, high in own]
    return np.array([everywhere, *limits])


def _find_reach(token_info: TokenInfo) -> tuple[int, int]:
    """Find the lowest and the highest pitch that tokens sound in any state, as far as they tell."""
    written = token_info.pitch[token_info.pitch >= 0]
    if not token_info.names_pitches or not len(written):
        return 0, 127
    moves = 6 if token_info.is_relative else 0  # semitones between a key and C
    return max(int(written.min()) - moves, 0), min(int(written.max()) + moves, 127)


@dataclass(frozen=True)
class WidestLeap:
    """Let no voice leap by more than so many semitones, from a note to its next one.

    This holds across rests, up to 32 notes of all voices. Models without voices leap as they like.
    """

    widest_leap: Annotated[int, "semitones from a note of a voice to its next, at most", "12"]
    yields: Annotated[bool, "give way where nothing else could be written", Internal()] = False

    lookback: ClassVar[int] = 32

    def __post_init__(self) -> None:
        """Refuse fewer than two semitones, with which no voice could move by step."""
        if self.widest_leap < 2:
            raise ValueError("widest_leap must be at least 2")

    def mask(self, context: Context) -> Array:
        """Mask pitches that are too far from the last one of the voice in turn."""
        xp, music, past = get_namespace(context.allowed), context.music, context.recent_notes
        if not _has_voices(context.token_info):
            return xp.ones_like(context.allowed)
        sounding = take_columns(music.sounding, xp.clip(music.voice, 0, None)[:, None])
        before = take_latest(past.pitch, past.voice == music.voice[:, None])
        last = xp.where(sounding < 0, before, sounding)
        pitch = compute_pitches(context.token_info, music)
        near = xp.abs(pitch - last) <= make_parameter(self.widest_leap, pitch)
        return (pitch < 0) | (last < 0) | (music.voice < 0)[:, None] | near


@lru_cache(maxsize=64)
def _has_voices(token_info: TokenInfo) -> bool:
    """Tell whether notes are of voices. Warn with RequestWarning of a model without."""
    if not token_info.has_voices:
        warnings.warn("widest_leap changes nothing: this model writes no voices.", RequestWarning, stacklevel=2)
    return token_info.has_voices


@dataclass(frozen=True)
class Programs:
    """Write for these programs alone, if the model writes for several.

    A model keeps to those of its training music without being asked.
    """

    programs: Annotated[str, "General MIDI numbers from 0, and drums, as in 0,40,drums", "0,40"]

    def __post_init__(self) -> None:
        """Refuse anything but numbers of programs, and drums."""
        if not self.names:
            raise ValueError("programs must name one or more, such as 0,40,drums")
        for name in self.names:
            if name not in _PROGRAMS:
                raise ValueError(f"'{printable(name)}' is no program; they go from 0 to 127, and drums")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The programs as their tokens name them; -1 for drums."""
        words = (word.strip().lower() for word in self.programs.split(","))
        return tuple("-1" if word == "drums" else word for word in words if word)

    def mask(self, context: Context) -> Array:
        """Mask the other programs. Raises BadOption for programs of which the model can write none."""
        return context.allowed & convert_like(_find_allowed(self, context.token_info), context.allowed)[None, :]


_PROGRAMS = frozenset(map(str, range(-1, 128)))


@lru_cache(maxsize=64)
def _find_allowed(wanted: Programs, token_info: TokenInfo) -> NDArray[np.bool_]:
    """Find the tokens (V,) that name no other program. Warn with RequestWarning of a model that names none at all."""
    allowed = np.ones(len(token_info.kind), dtype=bool)
    if not token_info.programs:
        text = f"programs '{printable(wanted.programs)}' change nothing: this model does not choose programs."
        warnings.warn(text, RequestWarning, stacklevel=2)
        return allowed
    if not set(wanted.names) & set(token_info.programs):
        there = ", ".join(token_info.programs)
        raise BadOption(f"this model cannot write for the programs {printable(wanted.programs)}; it has {there}.")
    allowed[token_info.kind == "Program"] = [name in wanted.names for name in token_info.programs]
    return allowed


@hookimpl
def register_samplers() -> dict[str, Callable[..., Any]]:
    """Register `range`, also by its older name, `widest-leap` and `programs`."""
    return {"range": Range, "pitch-range": Range, "widest-leap": WidestLeap, "programs": Programs}
