"""Sections in a grammar of bars: `Section_8 Bar_None …` begins a section of eight bars.

A section's token stands before its first bar line, and after a time signature that changes there. Its bars are counted
without the pickup. `Section_None` is longer than `LONGEST`, or of unknown length, as is a piece without marks. The next
section begins where a section has run out, and the last one ends with the piece.

A state has a column with the bars that are left, the current one included: 1 where a section has run out, before the
next bar line. With an unknown length it counts down from 0 to `UNCOUNTED`, from where on another section may begin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from composer.arrays import carry_forward, get_namespace, make_range
from composer.types import Array

LONGEST = 32
"""Bars of the longest section whose length is told."""

UNCOUNTED = -LONGEST - 1
"""The column's value after more than `LONGEST` bars of a section of unknown length."""

DUE = 1
"""The column's value where a section has run out, and before the first."""

TOKENS = ("Section_None", *(f"Section_{bars}" for bars in range(1, LONGEST + 1)))
"""The tokens, in their order."""

VALUES = LONGEST + 2
"""How many values a model's input has: 0 for an unknown length, and one more than `LONGEST` in a pickup."""


def mask_sections(state: Array, whole: Array, is_first: Array) -> Array:
    """Mask (B, LONGEST + 1) the sections that may begin; `state` (B,) is the column.

    `whole` (B,) bars may still begin, the pickup not counted. `is_first` (B,) is true before the first bar.
    """
    xp, bars = get_namespace(state), make_range(LONGEST + 1, state)
    is_known = (bars > 0) & (bars <= xp.maximum(whole, xp.ones_like(whole))[:, None])
    is_unknown = (bars == 0) & ((whole > LONGEST) | is_first)[:, None]
    return (is_due(state) | (state <= UNCOUNTED))[:, None] & (is_known | is_unknown)


def is_due(state: Array) -> Array:
    """Tell (B,) where a section has to begin before the next bar line; `state` (B,) is the column."""
    return state == DUE


def mask_endings(state: Array, left: Array, is_pickup: Array, announced: Array) -> Array:
    """Mask (B, N) the announced numbers of bars (1, N), 0 for none, with which the section and the piece end together.

    `left` (B,) bars may still begin, the next one included, which may be a pickup. A request for fewer bars than the
    section of a primer has left takes precedence.
    """
    xp = get_namespace(state)
    least = state - 1 + xp.where(is_pickup, 1, 0)
    return (announced == 0) | (announced >= xp.minimum(least, left)[:, None])


def advance_sections(state: Array, value: Array, is_section: Array, is_whole_bar: Array) -> Array:
    """Return the column (B,) after tokens that are a section of `value` bars, a whole bar, or neither."""
    xp = get_namespace(state)
    begun = xp.where(value > 0, value + 1, 0)
    counted = xp.where(is_whole_bar, xp.maximum(state - 1, xp.full_like(state, UNCOUNTED)), state)
    return xp.where(is_section, begun, counted)


def compute_sections(
    values: NDArray[np.int64], is_section: NDArray[np.bool_], is_whole_bar: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Compute the column (T,) after each token of a piece, equal to that of `advance_sections`."""
    bars = np.cumsum(is_whole_bar)
    begun = carry_forward(np.where(values > 0, values + 1, 0), is_section, DUE)
    counted = begun - (bars - carry_forward(bars, is_section, 0))
    return np.where(np.cumsum(is_section) > 0, np.maximum(counted, UNCOUNTED), DUE)
