"""The constraints on texture: `polyphony` and `density`, `rhythm` and `no-repeat`.

The first two bound numbers of notes; the others, positions of onsets and melodic figures.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, look_up, make_parameter
from composer.errors import BadOption, RequestWarning, printable
from composer.music.score import TICKS_PER_QUARTER
from composer.tokens.vocabulary import compute_pitches, mask_onsets, mask_sustained
from composer.types import Array, Context, Internal, Occasion, TokenInfo

# --- positions of onsets, melodic figures -----------------------------------------------------------------------------


WHOLE = 4 * TICKS_PER_QUARTER
MOST_WINDOW = 1024


def choose_rhythm(options: Mapping[str, Any] | None, occasion: Occasion) -> Mapping[str, Any] | None:
    """Choose the options of `rhythm` for a new request: note values are as long as the model reads them.

    Unasked, new notes to a melody in compound time begin where its eighths do: the model, which reads these as
    quarters, would divide them as quarters are divided.
    """
    if occasion.stretch == 1:
        return options
    if options is None:
        return {"rhythm": "1/4"} if occasion.is_whole else None
    value = re.fullmatch(r"1/(\d{1,3})", str(options.get("rhythm")))
    read = Fraction(1, int(value[1])) * occasion.stretch if value and int(value[1]) else None
    return {**options, "rhythm": f"1/{read.denominator}"} if read and read.numerator == 1 else options


@dataclass(frozen=True)
class Rhythm:
    """Let notes begin only on a grid, or on the beats of a pattern; drums, too.

    With `1/8` a note may begin if its distance from the bar line is a multiple of an eighth note. A pattern such as
    `x..x..x.` divides a bar into equal parts, and a note may begin where a part x does. A pickup is the end of a whole
    bar. If positions are tokens, others are masked for all events, unless what is fixed goes on there.
    """

    rhythm: Annotated[str, "a note value, such as 1/8, or a pattern of a bar, such as x..x..x.", "1/8"]

    choose_options = staticmethod(choose_rhythm)

    def __post_init__(self) -> None:
        """Refuse anything but a note value or a pattern."""
        self._value, self._pattern  # noqa: B018  (for their ValueError)

    @cached_property
    def _value(self) -> int:
        """Ticks of the note value, 0 for a pattern."""
        found = re.fullmatch(r"1/(\d{1,3})", self.rhythm)
        if not found:
            return 0
        if not int(found[1]) or WHOLE % int(found[1]):
            raise ValueError(f"{self.rhythm} has no whole number of ticks")
        return WHOLE // int(found[1])

    @cached_property
    def _pattern(self) -> NDArray[np.bool_]:
        if not self._value and not re.fullmatch(r"[x.]{0,255}x[x.]{0,255}", self.rhythm):
            raise ValueError(
                f"'{printable(self.rhythm)}' is neither a note value such as 1/8 nor a pattern such as x..x"
            )
        return np.array([sign == "x" for sign in self.rhythm])

    def _may_begin(self, place: Array, length: Array) -> Array:
        """Tell whether notes may begin at positions of bars of these lengths, all in ticks."""
        if self._value:
            return place % make_parameter(self._value, place) == 0
        signs, zero = make_parameter(len(self._pattern), place), get_namespace(place).zeros_like(place)
        sign = get_namespace(place).clip(place * signs // length, zero, signs - 1)
        return (place * signs % length == 0) & look_up(self._pattern, sign)

    def mask(self, context: Context) -> Array:
        """Mask onsets off the grid, and positions off the grid if others are left.

        Raises BadOption for a note value that is neither a multiple nor a part of the model's grid step.
        """
        xp, music = get_namespace(context.allowed), context.music
        _check_grid(self, context.token_info)
        length = xp.where(music.bar_ticks > 0, music.bar_ticks, 1)
        here = self._may_begin(music.position, length)
        notes = mask_onsets(context) | convert_like(context.token_info.is_drum, here)[None, :]
        places = convert_like(context.token_info.position, here)[None, :]
        off = (places >= 0) & ~self._may_begin(xp.where(places < 0, 0, places), length[:, None])
        allowed = here[:, None] | ~notes
        left = xp.any(context.allowed & allowed & ~off, axis=1)  # a primer, or what is fixed, may be off the grid
        farthest = xp.max(xp.where(context.allowed, places, -1), axis=1)[:, None]
        return allowed & (~off | (~left[:, None] & (places == farthest)))


@lru_cache(maxsize=64)
def _check_grid(wanted: Rhythm, token_info: TokenInfo) -> None:
    places = np.unique(token_info.position[token_info.position >= 0])
    step = int(places[1] - places[0]) if len(places) > 1 else wanted._value
    if wanted._value and wanted._value % step and step % wanted._value:
        raise BadOption(
            f"rhythm '{wanted.rhythm}' does not fit this model, whose notes begin on a grid of {step} ticks "
            f"of {TICKS_PER_QUARTER} to a quarter note."
        )


@dataclass(frozen=True)
class NoRepeat:
    """Forbid melodic figures that recur soon: n pitches in a row that the same voice had lately.

    A note may begin unless the last n-1 pitches of its voice, and its own, are n successive pitches of that voice
    among the last `window` notes of all voices. Without voices, notes are in the order of their tokens. A sustained
    note is not a new one.
    """

    n: Annotated[int, "how many notes in a row", "4"]
    window: Annotated[int, "how many notes to look back, of all voices together"] = 64
    yields: Annotated[bool, "give way where nothing else could be written", Internal()] = False

    def __post_init__(self) -> None:
        """Refuse an invalid figure or window."""
        if not 1 <= self.n <= 64:
            raise ValueError("n must be from 1 to 64")
        if not self.n <= self.window <= MOST_WINDOW:
            raise ValueError(f"window must be from n to {MOST_WINDOW}")

    @property
    def lookback(self) -> int:
        """The window."""
        return self.window

    def mask(self, context: Context) -> Array:
        """Mask pitches that complete a figure of the window.

        Raises BadOption for single notes and a window that may exhaust the pitches of a voice.
        """
        _check_window(self, context.token_info)
        xp, past, n = get_namespace(context.allowed), context.recent_notes, self.n
        recent = slice(-self.window, None)
        own = (past.voice[:, recent] == context.music.voice[:, None]) & (past.tick[:, recent] >= 0)
        order = xp.argsort(xp.where(own, 1, 0), axis=1, stable=True)  # notes of the voice last, oldest first
        line = xp.take_along_axis(xp.where(own, past.pitch[:, recent], -1), order, axis=1)
        ends = line[:, n - 1 :]  # where a figure of n may end
        same = ends >= 0
        size = line.shape[1]
        for back in range(1, n):
            same = same & (line[:, n - 1 - back : size - back] == line[:, size - back][:, None])
            same = same & (line[:, n - 1 - back : size - back] >= 0)
        banned = xp.where(same, ends, -2)
        pitch = compute_pitches(context.token_info, context.music)
        again = xp.any(pitch[:, :, None] == banned[:, None, :], axis=2)
        return ~again | mask_sustained(context)


@lru_cache(maxsize=64)
def _check_window(wanted: NoRepeat, token_info: TokenInfo) -> None:
    pitches_there = len(np.unique(token_info.pitch[token_info.pitch >= 0]))
    if wanted.n == 1 and token_info.names_pitches and wanted.window >= pitches_there * max(len(token_info.voices), 1):
        raise BadOption(
            f"no-repeat '1' bars a pitch for {wanted.window} notes, and this model has {pitches_there} pitches; "
            "choose a smaller --no-repeat-window, or longer figures."
        )


# --- numbers of notes -------------------------------------------------------------------------------------------------


MOST_POLYPHONY = 32
MOST_DENSITY = 256


@dataclass(frozen=True)
class Polyphony:
    """Let at most so many notes sound at once; drums are not counted.

    A note may begin if, with it, at most `polyphony` notes sound. The same applies to tokens that sustain a note.
    """

    polyphony: Annotated[int, "how many notes may sound at once", "3"]

    def __post_init__(self) -> None:
        """Refuse a number out of range."""
        if not 1 <= self.polyphony <= MOST_POLYPHONY:
            raise ValueError(f"polyphony must be from 1 to {MOST_POLYPHONY}")

    def mask(self, context: Context) -> Array:
        """Mask pitches while as many notes sound as may."""
        _warn_of_voices(f"polyphony '{self.polyphony}'", self.polyphony, "at once", context.token_info)
        room = context.music.others < make_parameter(self.polyphony, context.music.others)
        return convert_like(context.token_info.pitch < 0, room)[None, :] | room[:, None]


@lru_cache(maxsize=64)
def _warn_of_voices(name: str, notes: int, when: str, token_info: TokenInfo) -> None:
    """Warn, once, if the model has more sustaining voices than notes are allowed."""
    if token_info.has_voices and notes < len(token_info.voices):
        text = f"{name} is less than the {len(token_info.voices)} voices of this model: not all have a note {when}."
        warnings.warn(text, RequestWarning, stacklevel=2)


@dataclass(frozen=True)
class Density:
    """Begin at most so many notes in a bar or a beat; drums are not counted.

    A note may begin if, with it, its bar (or beat) has at most `density` onsets, of all voices together. A full bar (or
    beat) leads on to the next.
    """

    density: Annotated[int, "how many notes may begin", "8"]
    per: Annotated[str, "bar or beat"] = "bar"

    def __post_init__(self) -> None:
        """Refuse an invalid density."""
        if not 1 <= self.density <= MOST_DENSITY:
            raise ValueError(f"density must be from 1 to {MOST_DENSITY}")
        if self.per not in ("bar", "beat"):
            raise ValueError("per must be bar or beat")

    @property
    def lookback(self) -> int:
        """The number of onsets in a bar or beat at most."""
        return self.density

    def mask(self, context: Context) -> Array:
        """Mask onsets, and positions, in a full bar or beat."""
        xp, music = get_namespace(context.allowed), context.music
        _warn_of_voices(f"density '{self.density}'", self.density, f"in a {self.per}", context.token_info)
        length = music.bar_ticks if self.per == "bar" else music.beat_ticks
        length = xp.where(length > 0, length, 1)
        begin = music.position - music.position % length  # of the bar or beat, in ticks of the bar
        since = music.tick - music.position + begin
        onsets = context.recent_notes.tick
        full = xp.sum(xp.where((onsets >= since[:, None]) & (onsets >= 0), 1, 0), axis=1)
        full = full >= make_parameter(self.density, full)
        place = convert_like(context.token_info.position, since)[None, :]
        stays = (place >= 0) & (place < (begin + length)[:, None])
        return ~full[:, None] | ~(mask_onsets(context) | stays)
