"""Draws of tokens: in C where the whole chain is described by operations, else in NumPy.

NumPy (`composer.sampling.distribution`) is the reference. A chain is described if each of its logits processors has
`operations` (`composer.types.HasOperations`). Both ways draw the same tokens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_address, get_namespace
from composer.sampling.distribution import KINDS, Choice, choose, find_unsound, refuse_unsound
from composer.tokens.jit.c_compiler import load_library
from composer.types import Array, Context, HasOperations, LogitsProcessor, Operation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SOURCE = Path(__file__).with_name("drawing.c")

FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
"""Without fused products and sums, and without `-ffast-math`: exponentials are those of the reference, to the bit."""

CODES = {"divide": 0, "keep count": 1, "keep mass": 2, "keep ratio": 3}
"""The operations, as numbered in C."""

MOST = 2**53
"""A count beyond all vocabularies, which a double holds."""


@dataclass(frozen=True)
class DrawnTokens:
    """A token for each row, its costs, and rows that a logits processor left empty."""

    tokens: Array  # (B,)
    nats: Array  # (B, kinds) by `composer.sampling.distribution.KINDS`, 0 for given tokens
    emptied: Array | None = None  # see `Choice.emptied`
    unsound: Array | None = None  # (B,) rows whose logits are NaN or infinite; None where that was refused


Draw: TypeAlias = "Callable[[NDArray[Any], Context, Mask | None, Floats, Ints], DrawnTokens]"
"""`draw(logits (B, V), context, legal, uniforms (B,), given (B,))`: see `draw_tokens`."""


def make_draw(links: Sequence[LogitsProcessor]) -> Draw:
    """Make the function that draws tokens with a chain of logits processors, the fastest there is.

    Its arguments are the model's logits (B, V), the context, the mask (B, V) of the grammar alone if there are
    constraints, uniforms (B,), and given tokens (B,), -1 where one is drawn. It raises BadModelFile for a model without
    probabilities.
    """

    def draw(logits: NDArray[Any], context: Context, legal: Mask | None, uniforms: Floats, given: Ints) -> DrawnTokens:
        return draw_tokens(links, logits, context, legal, uniforms, given)

    operations = find_operations(links)
    compiled = None if operations is None else _bind_compiled(links, operations)
    return compiled or draw


def find_operations(links: Sequence[LogitsProcessor]) -> list[Operation] | None:
    """List the operations of a chain, in order; None if one of its links is not described."""
    if not all(isinstance(link, HasOperations) for link in links):
        return None
    return [operation for link in links if isinstance(link, HasOperations) for operation in link.operations]


def draw_tokens(
    links: Sequence[LogitsProcessor],
    logits: NDArray[Any],
    context: Context,
    legal: Mask | None,
    uniforms: Floats,
    given: Ints,
) -> DrawnTokens:
    """Draw a token for each row by NumPy; arguments and errors as in `make_draw`."""
    drawn = draw_unchecked(links, logits, context, legal, uniforms, given)
    if np.any(drawn.unsound):
        raise refuse_unsound()
    return drawn


def draw_unchecked(
    links: Sequence[LogitsProcessor],
    logits: Array,
    context: Context,
    legal: Array | None,
    uniforms: Array,
    given: Array,
) -> DrawnTokens:
    """Draw as `draw_tokens`, with arrays of any library; unsound rows are marked, since none is looked at here."""
    choice: Choice = choose(links, logits, context, legal)
    xp, free = get_namespace(logits), given < 0
    unsound = find_unsound(choice.model, ~free)  # given tokens need no probability
    tokens = xp.where(free, choice.chain.draw(uniforms), given)
    nats = xp.where(free[:, None], choice.compute_costs(tokens), 0.0)
    return DrawnTokens(tokens, nats, choice.emptied, unsound)


@lru_cache(maxsize=1)
def load_choice() -> Any:
    """Return the compiled function, or None if no compiler can build it."""
    library = load_library(SOURCE.read_text(encoding="utf-8"), FLAGS)
    if library is None:
        return None
    function = library.choose_tokens
    function.restype = None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.argtypes = [number, number, *[pointer] * 3, number, *[pointer] * 9]
    return function


def _bind_compiled(links: Sequence[LogitsProcessor], operations: Sequence[Operation]) -> Draw | None:
    """Bind the compiled function to operations; None if there is none."""
    if (function := load_choice()) is None:
        return None
    kinds = np.array([CODES[operation.kind] for operation in operations], dtype=np.int32)
    values = np.array([min(operation.value, MOST) for operation in operations], dtype=np.float64)
    described = (len(operations), kinds.ctypes.data, values.ctypes.data)
    ids, scratch = np.empty(0, dtype=np.int32), np.empty(0)

    def draw(logits: NDArray[Any], context: Context, legal: Mask | None, uniforms: Floats, given: Ints) -> DrawnTokens:
        nonlocal ids, scratch
        if logits.dtype != np.float32:
            return draw_tokens(links, logits, context, legal, uniforms, given)
        rows, width = logits.shape
        if len(ids) < width:
            ids, scratch = np.empty(width, dtype=np.int32), np.empty(4 * width)
        for mask in (context.allowed, legal):
            if mask is not None and (mask.shape != (rows, width) or mask.dtype != np.bool_):
                raise ValueError("a mask has another shape than the logits")  # C would read beyond it
        arrays = [np.ascontiguousarray(array) for array in (logits, context.allowed, uniforms, given)]
        held = None if legal is None else np.ascontiguousarray(legal)
        tokens, nats, unsound = np.empty(rows, dtype=np.int64), np.empty((rows, len(KINDS))), np.empty(rows, np.bool_)
        made_of = [get_address(array) for array in arrays]
        results = [get_address(array) for array in (ids, scratch, tokens, nats, unsound)]
        legal_at = None if held is None else get_address(held)
        function(rows, width, *made_of[:2], legal_at, *described, *made_of[2:], *results)
        if unsound.any():
            raise refuse_unsound()
        return DrawnTokens(tokens, nats)

    draw.made_of = (kinds, values)  # type: ignore[attr-defined]  # keeps the arrays behind its pointers alive
    return draw
