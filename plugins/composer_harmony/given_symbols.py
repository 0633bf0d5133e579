"""Chords that are given to a model which writes chord symbols: it writes these, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace, make_parameter, make_range
from composer.music.chords import Chord, Progression, find_class, find_nearest_quality
from composer.types import Array, Context, TokenInfo

NEVER = 2**40
"""A tick that no bar reaches."""

ROOTS = 13
"""No chord, and twelve semitones."""


def find_start(number: Array, count: Array, length: Array, beat: Array) -> Array:
    """Find the tick in the bar at which chord `number` of `count` begins, (B,): on a beat, or on a part of one."""
    xp = get_namespace(number)
    part = xp.where(beat % 9 == 0, beat // 3, beat // 2)  # of a dotted beat a third, 240 of 720 ticks
    unit = xp.where(count * beat <= length, beat, xp.where(count * part <= length, part, part // 2))
    unit = xp.where(unit > 0, unit, 1)
    return -(-(number * length) // (count * unit)) * unit


@dataclass(frozen=True, eq=False)
class GivenSymbols:
    """The symbols of a progression of P bars with N chords, as tokens of one vocabulary."""

    first: NDArray[np.int64]  # (P,) the first chord of each bar
    counts: NDArray[np.int64]  # (P,) and how many
    root: NDArray[np.int64]  # (N,) pitch classes, -1 for no chord
    quality: NDArray[np.int64]  # (N,) tokens
    bass: NDArray[np.int64]  # (N,) tokens, -1 for none
    is_new: NDArray[np.bool_]  # (N,) whether it differs from the chord before, for the first one the last
    tokens: _SymbolTokens

    def mask(self, context: Context) -> Array:
        """Mask (B, V) to the symbol that is due here, and to no position beyond the next one."""
        xp, known, allowed = get_namespace(context.allowed), self.tokens, context.allowed
        starts, is_valid = self._find_starts(context)
        position = convert_like(known.position, allowed)[None, None, :]
        may_go = allowed[:, None, known.positions] & (position == starts[:, :, None])
        due = xp.min(xp.where(is_valid & xp.any(may_go, axis=2), starts, NEVER), axis=1)
        here = is_valid & (starts == context.music.position[:, None])
        wanted = self._find_wanted(context, here)
        ids = make_range(known.size, allowed)
        ticks = convert_like(known.ticks, allowed)[None, :]
        within = (ticks <= due[:, None]) & ~(convert_like(known.leaves, allowed)[None, :] & (due < NEVER)[:, None])
        free = within & ~convert_like(known.is_symbol, allowed)[None, :]
        return xp.where((wanted >= 0)[:, None], ids == wanted[:, None], free)

    def _find_bar(self, context: Context) -> tuple[Array, Array]:
        """Find (B,) the bar of the progression, and the number of whole bars before it, below 0 in a pickup."""
        xp, music = get_namespace(context.allowed), context.music
        whole = music.bar - xp.where(music.upbeat > 0, 1, 0)
        return whole % make_parameter(len(self.first), music.bar), whole

    def _find_starts(self, context: Context) -> tuple[Array, Array]:
        """Find (B, K) the ticks in the bar at which its chords begin, and which of them there are."""
        xp, music = get_namespace(context.allowed), context.music
        bar, whole = self._find_bar(context)
        count, first = (xp.take(convert_like(table, bar), bar) for table in (self.counts, self.first))
        number = make_range(int(self.counts.max()), bar)
        length, beat = (xp.where(ticks > 0, ticks, 1)[:, None] for ticks in (music.bar_ticks, music.beat_ticks))
        starts = find_start(number, count[:, None], length, beat)
        place = xp.minimum(first[:, None] + number, make_parameter(len(self.root) - 1, bar))
        is_new = xp.stack(
            [xp.take(convert_like(self.is_new, bar), place[:, one]) for one in range(place.shape[1])], axis=1
        )
        is_first = (whole == 0)[:, None] & (number == 0)
        return starts, (number < count[:, None]) & (is_new | is_first) & (whole >= 0)[:, None]

    def _find_wanted(self, context: Context, here: Array) -> Array:
        """Find (B,) the token that comes next of the chord that begins `here` (B, K); -1 for none."""
        xp, known, allowed = get_namespace(context.allowed), self.tokens, context.allowed
        bar, _ = self._find_bar(context)
        number = xp.sum(xp.where(here, make_range(here.shape[1], bar), 0), axis=1)
        place = xp.take(convert_like(self.first, bar), bar) + number
        root, quality, bass = (
            xp.take(convert_like(table, bar), place) for table in (self.root, self.quality, self.bass)
        )
        written = known.first_root + xp.where(root < 0, 0, 1 + (root - context.music.shift) % 12)
        is_open, takes_quality, takes_bass = (xp.any(allowed[:, each], axis=1) for each in known.parts)
        is_open = is_open & ~xp.any(allowed[:, known.positions], axis=1)
        wanted = xp.where(is_open, written, xp.where(takes_quality, quality, xp.where(takes_bass, bass, -1)))
        return xp.where(xp.any(here, axis=1), wanted, -1)


@dataclass(frozen=True, eq=False)
class _SymbolTokens:
    """Where the tokens of symbols and positions are in a vocabulary of `size`."""

    size: int
    first_root: int
    parts: tuple[slice, slice, slice]  # roots, qualities, basses
    positions: slice
    position: NDArray[np.int64]  # (positions,) ticks in the bar
    ticks: NDArray[np.int64]  # (V,) ticks in the bar that a token moves to, -1 for none
    leaves: NDArray[np.bool_]  # (V,) the tokens that leave the bar
    is_symbol: NDArray[np.bool_]  # (V,) roots and basses


@lru_cache(maxsize=32)
def find_symbols(bars: Progression, token_info: TokenInfo) -> GivenSymbols:
    """Find the symbols of a progression in a vocabulary that has chords."""
    known = _find_tokens(token_info)
    chords = [chord for bar in bars for chord in bar]
    counts = np.array([len(bar) for bar in bars])
    roots = [find_class(chord.root) if chord.root else -1 for chord in chords]
    return GivenSymbols(
        np.cumsum(counts) - counts,
        counts,
        np.array(roots),
        np.array([_find_quality(chord, token_info, known) for chord in chords]),
        np.array([_find_bass(chord, known) for chord in chords]),
        np.array([chord != before for before, chord in zip([chords[-1], *chords], chords, strict=False)]),
        known,
    )


def _find_tokens(token_info: TokenInfo) -> _SymbolTokens:
    kind = token_info.kind
    roots, qualities, basses, positions = (
        _find_slice(kind == name) for name in ("Root", "Quality", "Bass", "Position")
    )
    leaves = np.isin(kind, ("Bar", "EOS", "TimeSignature", "Section"))
    return _SymbolTokens(
        len(kind),
        roots.start,
        (roots, qualities, basses),
        positions,
        token_info.position[positions],
        token_info.position,
        leaves,
        np.isin(kind, ("Root", "Bass")),
    )


def _find_slice(marked: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(marked)
    return slice(int(places.min(initial=len(marked))), int(places.max(initial=-1)) + 1)


def _find_quality(chord: Chord, token_info: TokenInfo, known: _SymbolTokens) -> int:
    nearest: str = find_nearest_quality(chord.quality, token_info.qualities)
    return known.parts[1].start + token_info.qualities.index(nearest)


def _find_bass(chord: Chord, known: _SymbolTokens) -> int:
    above = (find_class(chord.bass) - find_class(chord.root)) % 12 if chord.root and chord.bass else 0
    return known.parts[2].start + above - 1 if above else -1
