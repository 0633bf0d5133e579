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

from composer.arrays import get_addresses, get_namespace
from composer.sampling.distribution import (
    KINDS,
    LOWEST,
    Choice,
    check_sound,
    choose,
    find_unsound,
    refuse_unsound,
)
from composer.tokens.jit.c_compiler import load_library
from composer.types import Array, Context, HasOperations, LogitsProcessor, Operation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

SOURCES = [Path(__file__).with_name(name) for name in ("drawing.c", "compiled_blocks.c")]
"""The second one, blocks of steps, calls the first."""

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

    operations = describe_operations(links)
    compiled = None if operations is None else _bind_compiled(links, *operations)
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


def load_drawing() -> ctypes.CDLL | None:
    """Return the compiled library, or None if no compiler can build it."""
    return load_library("".join(path.read_text(encoding="utf-8") for path in SOURCES), FLAGS)


def describe_operations(links: Sequence[LogitsProcessor]) -> tuple[NDArray[np.int32], Floats] | None:
    """Return the codes and the values of a chain's operations, for C; None if one of its links is not described."""
    if (operations := find_operations(links)) is None:
        return None
    kinds = np.array([CODES[operation.kind] for operation in operations], dtype=np.int32)
    return kinds, np.array([min(operation.value, MOST) for operation in operations], dtype=np.float64)


@lru_cache(maxsize=1)
def load_choice() -> Any:
    """Return the compiled function, or None if no compiler can build it."""
    library = load_drawing()
    if library is None:
        return None
    function = library.choose_tokens
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    function.restype = number
    function.argtypes = [number, number, *[pointer] * 3, number, *[pointer] * 8]
    return function


def _bind_compiled(links: Sequence[LogitsProcessor], kinds: NDArray[np.int32], values: Floats) -> Draw | None:
    """Bind the compiled function to operations; None if there is none."""
    if (function := load_choice()) is None:
        return None
    described = (len(kinds), kinds.ctypes.data, values.ctypes.data)
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
        tokens, nats = np.empty(rows, dtype=np.int64), np.empty((rows, len(KINDS)))
        given_in = (logits, context.allowed, context.allowed if legal is None else legal, uniforms, given)
        arrays = [*map(np.ascontiguousarray, given_in), ids, scratch, tokens, nats]
        places = get_addresses(arrays)
        if legal is None:
            places[2] = 0
        if function(rows, width, *places[:3], *described, *places[3:]):
            raise refuse_unsound()
        return DrawnTokens(tokens, nats)

    draw.made_of = (kinds, values)  # type: ignore[attr-defined]  # keeps the arrays behind its pointers alive
    return draw


# --- particles --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DrawnParticles:
    """A token for each of N particles, which share R rows, and what the fixed notes cost a row."""

    tokens: Ints  # (N,)
    nats: Floats  # (N, kinds) by `composer.sampling.distribution.KINDS`
    share: Floats  # (R,) log of the share of the kept tokens in the model's probability
    emptied: Ints | None = None  # see `Choice.emptied`


DrawParticles: TypeAlias = "Callable[[NDArray[Any], Context, Mask | None, Mask, Mask, Floats, Ints], DrawnParticles]"
"""`draw(logits (R, V), context, legal, kept (R, V), spared (R,), uniforms (N,), at (N,))`: see `draw_particles`."""


def make_particle_draw(links: Sequence[LogitsProcessor]) -> DrawParticles:
    """Make the function that draws the tokens of particles with a chain of logits processors, the fastest there is."""

    def draw(*given: Any) -> DrawnParticles:
        return draw_particles(links, *given)

    operations = describe_operations(links)
    compiled = None if operations is None else _bind_particles(links, *operations)
    return compiled or draw


def draw_particles(
    links: Sequence[LogitsProcessor],
    logits: NDArray[Any],
    context: Context,
    legal: Mask | None,
    kept: Mask,
    spared: Mask,
    uniforms: Floats,
    at: Ints,
) -> DrawnParticles:
    """Draw a token for each particle, `at` its row, by NumPy; logits processors see the tokens `kept`.

    Raises BadModelFile for a model without probabilities in a row that is not `spared`.
    """
    choice = choose(links, logits, context, legal, kept)
    check_sound(choice.model, spared)
    tokens = choice.chain.draw(uniforms, at)
    with np.errstate(invalid="ignore"):
        share = choice.kept.log_mass - choice.model.log_mass
    return DrawnParticles(tokens, choice.compute_costs(tokens, at), share, choice.emptied)


def _bind_particles(
    links: Sequence[LogitsProcessor], kinds: NDArray[np.int32], operands: Floats
) -> DrawParticles | None:
    """Bind the compiled function to operations; None if there is none."""
    if (library := load_drawing()) is None:
        return None
    function, pointer, number = library.choose_particles, ctypes.c_void_p, ctypes.c_int64
    function.restype = None
    function.argtypes = [number, number, *[pointer] * 4, number, *[pointer] * 2, number, *[pointer] * 7]

    def draw(
        logits: NDArray[Any], context: Context, legal: Mask | None, kept: Mask, spared: Mask, uniforms: Floats, at: Ints
    ) -> DrawnParticles:
        if logits.dtype != np.float32:
            return draw_particles(links, logits, context, legal, kept, spared, uniforms, at)
        (rows, width), count = logits.shape, len(at)
        given = (logits, context.allowed if legal is None else legal, context.allowed, kept)
        if any(array.shape != (rows, width) for array in given) or any(mask.dtype != np.bool_ for mask in given[1:]):
            raise ValueError("a mask has another shape than the logits")  # C would read beyond it
        tokens, values, masses = np.zeros(count, dtype=np.int64), np.empty(count), np.zeros((rows, 4, 2))
        scratch = np.empty(width, dtype=np.int32), np.empty(4 * width)
        arrays = [*map(np.ascontiguousarray, (*given, at, uniforms)), *scratch, tokens, values, masses]
        places = get_addresses(arrays)
        legal_at = 0 if legal is None else places[1]
        masks = (places[0], legal_at, *places[2:4])
        described = (len(kinds), kinds.ctypes.data, operands.ctypes.data)
        function(rows, width, *masks, *described, count, *places[4:])
        tops = masses[~spared, 1, 0]
        if not np.isfinite(tops).all() or (tops == LOWEST).any():
            raise refuse_unsound()
        return _weigh_particles(logits, legal is not None, tokens, values, masses, at)

    return draw


def _weigh_particles(
    logits: NDArray[Any], is_constrained: bool, tokens: Ints, values: Floats, masses: Floats, at: Ints
) -> DrawnParticles:
    """Compute costs and shares, with the logarithms of NumPy: they choose particles, and keep their bits."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = masses[:, :, 0] + np.log(masses[:, :, 1])
        costs = np.zeros((len(at), len(KINDS)))
        costs[:, 0] = -(logits[at, tokens].astype(np.float64) - logs[at, 1])
        costs[:, 1] = -(values - logs[at, 3])
        if is_constrained:
            costs[:, 2] = (logs[:, 0] - logs[:, 1])[at]
        return DrawnParticles(tokens, costs, logs[:, 2] - logs[:, 1])
