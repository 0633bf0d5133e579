"""The contract of a sampler, on random logits along random pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.request import Request
from composer.sampling.batch_state import BatchState, begin, build_context, find_history, find_lookback, select_rows
from composer.sampling.drawing import draw_tokens, make_draw
from composer.testing.rules import BrokenRule, rebuild, require
from composer.testing.sequences import make_chooser, name_tokens
from composer.tokens.jit import CompiledConstraints, Past, compile_constraints, compile_grammar
from composer.tokens.vocabulary import EOS
from composer.tokens.yielding import compute_mask
from composer.types import (
    Array,
    Constraint,
    Context,
    Drawn,
    HasMemory,
    HasOperations,
    MusicalState,
    RecentNotes,
    Sampler,
    TokenInfo,
    Tokenizer,
)

ROWS, STEPS = 6, 120

TRIES = 6
"""How often all pieces may reach a dead end: random tokens find one sooner or later."""

REPEATED = 12
"""Steps that are repeated after all others, as after backtracking."""

MORE = 64
"""Tokens and notes that the context has beyond those that the sampler asks for, as for another sampler."""

Mask = NDArray[np.bool_]


def check_sampler(sampler: Sampler, tokenizer: Tokenizer, seed: int = 0) -> None:
    """Check that rows are independent, a token stays possible, none becomes so, and arguments are unchanged.

    A sampler does not change itself. Memory has one size, and holds all that the sampler remembers. No more tokens and
    notes count than it asks for. A constraint may lead to a dead end, where the engine backtracks. Here other pieces
    continue, or begin anew.
    """
    require(rebuild(sampler) == sampler, "a sampler rebuilt from its fields is equal")
    before = _show_attributes(sampler)
    if isinstance(sampler, HasMemory):
        _check_begin(sampler, tokenizer.token_info)
    for repeat in _walk(sampler, tokenizer, np.random.default_rng(seed)):
        repeat()
    require(_show_attributes(sampler) == before, "a sampler does not change itself; what it remembers is its memory")


def _show_attributes(sampler: Sampler) -> dict[str, str]:
    """Show the attributes of a sampler, but those of `cached_property`, which come with time."""
    own, kind = getattr(sampler, "__dict__", {}), type(sampler)
    return {name: repr(own[name]) for name in own if not isinstance(getattr(kind, name, None), cached_property)}


def _walk(sampler: Sampler, tokenizer: Tokenizer, random: np.random.Generator) -> list[Callable[[], None]]:
    """Check each step along random pieces, and return checks that repeat the first ones."""
    choose = make_chooser(tokenizer, random)
    more = _Asking(find_history([sampler]) + MORE, find_lookback([sampler]) + MORE)
    started = rows = begin(tokenizer, [sampler, more], [Request(bars=4)] * ROWS)
    repeats: list[Callable[[], None]] = []
    tries, compiled = 1, _compile(sampler, tokenizer, rows)
    for _ in range(STEPS):
        context = build_context(tokenizer, rows)
        _check_compiled(compiled, sampler, rows, context)
        logits = np.where(context.allowed, random.normal(scale=3.0, size=context.allowed.shape), -np.inf)
        possible = _check_or_shrink(sampler, context, logits, tokenizer)
        going = np.flatnonzero(possible.any(axis=1))
        if not len(going):
            require(rows is not started and tries < TRIES, "of several pieces under a constraint, one at least goes on")
            rows, tries = started, tries + 1
            continue
        rows, context, possible = rows.gather(going), select_rows(context, going), possible[going]
        tokens = choose(possible)
        if len(repeats) < REPEATED:
            after = _apply(sampler, logits[going], _copy(context))
            repeats.append(partial(_check_repeated, sampler, context, logits[going], after))
        if isinstance(sampler, HasMemory):
            masked = replace(context, allowed=context.allowed & possible)
            memory = check_memory(sampler, masked, drawn := _draw(tokens, possible, random))
            repeats.append(partial(_check_remembered, sampler, masked, drawn, memory, memory.copy()))
            rows = replace(rows, memory=memory)
        rows = rows.advance(tokenizer, tokens, context.music)
        if np.all(tokens == EOS):
            break
    return repeats


def _compile(sampler: Sampler, tokenizer: Tokenizer, rows: BatchState) -> CompiledConstraints | None:
    """Compile a constraint for these rows, if that is possible."""
    if not isinstance(sampler, Constraint):
        return None
    lookback = rows.recent_notes.tick.shape[1]
    return compile_constraints(compile_grammar(tokenizer), [sampler], rows.history.shape[1], lookback)


def _check_compiled(compiled: CompiledConstraints | None, sampler: Sampler, rows: BatchState, context: Context) -> None:
    """Check that a compiled constraint masks the same tokens."""
    if compiled is None or not isinstance(sampler, Constraint):
        return
    past = Past(rows.history, rows.recent_notes)
    found = compiled.mask(rows.grammar, rows.index, past, context.allowed, np.ones_like(context.allowed))
    same = found is None or np.array_equal(found[0], context.allowed & compute_mask(sampler, context))
    require(same, "a constraint treats every row alike, by functions of arrays: the compiled one differs")


@dataclass(frozen=True)
class _Asking:
    """Another sampler of the chain, which asks for more tokens and notes."""

    history: int
    lookback: int

    def __call__(self, logits: Array, context: Context) -> Array:
        return logits


# --- one step ---------------------------------------------------------------------------------------------------------


def _check_or_shrink(sampler: Sampler, context: Context, logits: Array, tokenizer: Tokenizer) -> Mask:
    """Check one step; a broken rule is reported with the fewest rows that show it."""
    try:
        return check_step(sampler, context, logits)
    except BrokenRule as broken:
        rows, found = _find_fewest(sampler, context, logits, broken)
        histories = (history[history >= 0].tolist() for history in context.history[rows])
        after = ", and ".join(name_tokens(tokenizer, history) or "nothing" for history in histories)
        raise found.add_example(f"in a batch of {len(rows)}, after {after}") from None


def _find_fewest(
    sampler: Sampler, context: Context, logits: Array, broken: BrokenRule
) -> tuple[NDArray[np.int64], BrokenRule]:
    """Find one row, or two, that break the same rule; all of them if it takes more."""
    count = len(logits)
    few = [[row] for row in range(count)] + [[0, other] for other in range(1, count)]
    for rows in map(np.array, few):
        try:
            check_step(sampler, select_rows(context, rows), logits[rows])
        except BrokenRule as found:
            if found.name == broken.name:
                return rows, found
    return np.arange(count), broken


def check_step(sampler: Sampler, context: Context, logits: Array) -> Mask:
    """Check one step, and return the possible tokens (B, V)."""
    logits, context = logits.copy(), _copy(context)
    before = [array.copy() for array in _list_arrays(context, logits)]
    after = _apply(sampler, logits, context)
    _require_unchanged(before, _list_arrays(context, logits))
    require(after.shape == logits.shape, "a sampler gives an array (B, V)")
    require(not np.isnan(after).any() and not np.isposinf(after).any(), "logits are numbers or -inf")
    possible = after > -np.inf
    require(not np.any(possible & ~context.allowed), "tokens at -inf stay there")
    if not isinstance(sampler, Constraint):
        require(possible.any(axis=1).all(), "at least one token stays possible")
        _check_operations(sampler, logits, context)
        _check_tensors(sampler, logits, context, after)
    for row in (0, len(logits) - 1):
        alone = _apply(sampler, logits[row : row + 1], select_rows(context, slice(row, row + 1)))
        require(np.array_equal(alone, after[row : row + 1]), "a row is the same in a batch as alone")
    _check_asked(sampler, context, logits, after)
    return possible


def _check_operations(sampler: Sampler, logits: Array, context: Context) -> None:
    """Check that a described logits processor does what its operations do, by draws with several uniforms."""
    if isinstance(sampler, Constraint) or not isinstance(sampler, HasOperations):
        return
    draw, single, none = make_draw([sampler]), logits.astype(np.float32), np.full(len(logits), -1)
    for uniform in (0.01, 0.5, 0.99):
        uniforms = np.full(len(logits), uniform)
        found = draw(single, context, None, uniforms, none)
        wanted = draw_tokens([sampler], single, context, None, uniforms, none)
        same = np.array_equal(found.tokens, wanted.tokens) and np.allclose(found.nats, wanted.nats, atol=1e-6)
        require(same, "the operations of a logits processor do what it does itself")


def _check_tensors(sampler: Sampler, logits: Array, context: Context, after: Array) -> None:
    """Check that a logits processor that runs on tensors gives what it gives in NumPy; one that does not need not."""
    import torch

    if isinstance(sampler, Constraint):
        return
    step, history, allowed, memory = map(torch.tensor, (context.step, context.history, context.allowed, context.memory))
    music, notes = MusicalState(**_tensors_of(context.music)), RecentNotes(**_tensors_of(context.recent_notes))
    there = Context(step, music, context.token_info, history, allowed, notes, memory)
    try:
        found = sampler(torch.tensor(logits), there)
    except Exception:  # it needs NumPy, and runs on the host
        return
    same = not isinstance(found, torch.Tensor) or np.allclose(found.numpy(), after, rtol=1e-6, atol=1e-6)
    require(same, "a logits processor gives the same for tensors as for arrays of NumPy")


def _tensors_of(part: MusicalState | RecentNotes) -> dict[str, Any]:
    import torch

    return {field.name: torch.tensor(getattr(part, field.name)) for field in fields(part)}


def _check_asked(sampler: Sampler, context: Context, logits: Array, after: Array) -> None:
    """Check that a sampler needs no more tokens and notes than it asks for."""
    rule = "a sampler asks for the tokens and notes that it needs, by `history` and `lookback`"
    try:
        found = _apply(sampler, logits, _narrow(sampler, context))
    except (IndexError, ValueError) as error:
        raise BrokenRule(f"{rule}; with no more it raises {type(error).__name__}") from None
    require(np.array_equal(found, after), rule)


def _narrow(sampler: Sampler, context: Context) -> Context:
    """Leave only the tokens and notes that a sampler asks for."""
    notes = find_lookback([sampler])
    parts = {field.name: _take_last(getattr(context.recent_notes, field.name), notes) for field in fields(RecentNotes)}
    history = _take_last(context.history, find_history([sampler]))
    return replace(context, history=history, recent_notes=RecentNotes(**parts))


def _take_last(array: Array, count: int) -> Array:
    return array[:, array.shape[1] - count :]


def _apply(sampler: Sampler, logits: Array, context: Context) -> NDArray[Any]:
    """Apply a sampler to logits; a constraint masks them."""
    if not isinstance(sampler, Constraint):
        return np.asarray(sampler(logits, context))
    mask = sampler.mask(context)
    require(mask.dtype == bool, "the mask of a constraint is of booleans")
    return np.where(mask, logits, -np.inf)


def _check_repeated(sampler: Sampler, context: Context, logits: Array, after: Array) -> None:
    """Check that a step after all others, as after backtracking, is as it was."""
    again = _apply(sampler, logits.copy(), _copy(context))
    require(np.array_equal(again, after), "a sampler remembers nothing but its memory: a step repeated later is equal")


# --- memory -----------------------------------------------------------------------------------------------------------


def _check_begin(sampler: HasMemory, token_info: TokenInfo) -> None:
    """Check how a memory begins."""
    begun = sampler.begin_memory(token_info)
    fits = isinstance(begun, np.ndarray) and begun.ndim == 1 and begun.dtype == np.float64 and not np.isnan(begun).any()
    require(fits, "a memory begins as an array (M,) of float64, without NaN")
    require(np.array_equal(begun, sampler.begin_memory(token_info)), "a memory begins the same each time")


def check_memory(sampler: HasMemory, context: Context, drawn: Drawn) -> NDArray[np.float64]:
    """Check the memory after a step, and return it (B, M)."""
    context, drawn = _copy(context), _select_drawn(drawn, np.arange(len(drawn.token)))
    before = [array.copy() for array in _list_arrays(context, *vars(drawn).values())]
    memory = sampler.update_memory(context, drawn)
    _require_unchanged(before, _list_arrays(context, *vars(drawn).values()))
    size = context.memory.shape
    fits = isinstance(memory, np.ndarray) and memory.shape == size and memory.dtype == np.float64
    require(fits, f"a memory has one size and is of float64; here {size} became {getattr(memory, 'shape', memory)}")
    require(not np.isnan(memory).any(), "a memory is without NaN")
    for row in (slice(0, 1), slice(len(memory) - 1, len(memory))):
        alone = sampler.update_memory(select_rows(context, row), _select_drawn(drawn, row))
        require(np.array_equal(alone, memory[row]), "a memory is the same in a batch as alone")
    narrow = replace(_narrow(sampler, context), memory=context.memory)  # type: ignore[arg-type]
    found = sampler.update_memory(narrow, drawn)
    require(np.array_equal(found, memory), "a memory needs the tokens and notes that its sampler asks for, and no more")
    return memory


def _check_remembered(sampler: HasMemory, context: Context, drawn: Drawn, memory: Array, was: Array) -> None:
    """Check a memory after all other steps: nobody has written into it, and it comes out again."""
    require(np.array_equal(memory, was), "a memory stays as it is when later steps are made")
    again = sampler.update_memory(_copy(context), drawn)
    require(np.array_equal(again, was), "a memory follows from the one before: after backtracking it is the same")


def _draw(tokens: Array, possible: Mask, random: np.random.Generator) -> Drawn:
    """Draw log-probabilities for tokens, of which some are fixed."""
    chosen = (random.random(len(tokens)) < 0.8) & (possible.sum(axis=1) > 1)
    model, chain = (np.where(chosen, -random.standard_exponential(len(tokens)), 0.0) for _ in range(2))
    return Drawn(tokens, chosen, model, chain)


def _select_drawn(drawn: Drawn, rows: slice | NDArray[np.int64]) -> Drawn:
    return Drawn(**{name: array[rows] for name, array in vars(drawn).items()})


# --- arrays -----------------------------------------------------------------------------------------------------------


def _require_unchanged(before: Sequence[Array], after: Sequence[Array]) -> None:
    unchanged = (np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    require(all(unchanged), "the arguments of a sampler are unchanged")


def _list_arrays(context: Context, *more: Array) -> list[NDArray[Any]]:
    parts = [getattr(part, field.name) for part in (context.music, context.recent_notes) for field in fields(part)]
    return [*more, context.step, context.history, context.allowed, context.memory, *parts]


def _copy(context: Context) -> Context:
    """Copy a context, in case a sampler writes into it."""
    return select_rows(context, np.arange(len(context.step)))
