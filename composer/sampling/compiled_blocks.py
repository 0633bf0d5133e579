"""Blocks of steps in C: network, draw, grammar and constraints, without Python between them.

What Python takes beside the network comes once a block, and not at each step. A block ends with the first piece that
ends, whose row takes the next request, and before what C leaves to the plain loop: a dead end, a model without
probabilities, an error. Then the plain loop takes the next step.

That goes where all parts are in C: a backend that `SupportsC`, a compiled grammar, constraints that can be compiled,
and logits processors that are described. Nothing else may look at a step, such as a sampler with memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_address
from composer.sampling.backtracking import Backtracker
from composer.sampling.batch_state import BatchState
from composer.sampling.distribution import KINDS, Chain
from composer.sampling.drawing import describe_operations, load_drawing
from composer.sampling.random_streams import Streams
from composer.tokens.jit import CompiledConstraints, CompiledGrammar, Past, Turn
from composer.tokens.vocabulary import EOS
from composer.types import CompiledStep, RecentNotes, State, Step, SupportsC, Tokenizer

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST_STEPS = 32
"""Steps of a block. The first blocks are shorter, so that the first tokens come at once."""

MOST_BYTES = 2**23
"""Memory for the model's states in a block, where each of them is kept for going back."""

MOST_PAST = 4
"""Arrays that constraints are told of what was before."""

_POINTERS = ("step", "model", "turn", "constrained", "bound", "kinds", "values", "uniforms", "given", "requested",
             "index", "grammar", "inputs", "state", "legal", "allowed", "logits", "ids", "scratch", "tokens", "nats",
             "costs")  # fmt: skip
_NUMBERS = ("threads", "keeps", "most", "rows", "width", "end", "operations", "numbers", "columns", "floats", "is_dead")


class _Loop(ctypes.Structure):
    """The arguments of `take_steps`; `compiled_blocks.c` says what they are."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_int64) for name in _NUMBERS),
        ("past", ctypes.c_int64 * MOST_PAST),
        ("pasts", ctypes.c_void_p * MOST_PAST),
    )


@dataclass(frozen=True)
class _Places:
    """What steps change, from place to place: a place for each step and one more, or two that are taken in turn."""

    keeps: bool  # which of both
    grammar: Ints  # (P, B, S)
    state: NDArray[np.float32]  # (P, F) the parts, one after the other
    shapes: Sequence[tuple[int, ...]]  # of the parts, each (B, …)
    pasts: Sequence[Ints]  # each (P, B, …)
    inputs: Ints  # (2, B, C)
    legal: Mask  # (2, B, V) by the grammar
    allowed: Mask  # (2, 2, B, V) by constraints as well, and scratch; without any, (2, 0)

    def get_state(self, place: int) -> State:
        """Return the model's state at a place."""
        found, begin = [], 0
        for shape in self.shapes:
            end = begin + prod(shape)
            found.append(self.state[place, begin:end].reshape(shape))
            begin = end
        return tuple(found)


@dataclass(frozen=True)
class CompiledBlock:
    """N steps, of which only the last may end pieces."""

    begun: BatchState
    tokens: Ints  # (N, B)
    nats: Floats  # (N + 1, B, kinds) costs of the pieces before each step, and after the last
    places: _Places

    @cached_property
    def rows(self) -> BatchState:
        """The rows after the last step."""
        return self.get_rows(len(self.tokens))

    def get_rows(self, step: int) -> BatchState:
        """Return the rows before a step. Those of earlier steps than the last two are there only if they are kept."""
        rows, places, place = self.begun, self.places, step if self.places.keeps else step & 1
        history, notes, past = rows.history, rows.recent_notes, [array[place] for array in places.pasts]
        if past and history.shape[1]:
            history = past.pop(0)
        return BatchState(
            number=rows.number,
            index=rows.index + step,
            grammar=places.grammar[place],
            state=places.get_state(place),
            history=history,
            recent_notes=RecentNotes(*past) if past else notes,
            primer=rows.primer,
            nats=self.nats[step],
            memory=rows.memory,
        )

    def list_steps(self) -> Iterator[tuple[Ints, Ints, Ints, Floats]]:
        """Yield numbers, indices, tokens and costs so far of the pieces at each step."""
        for step, tokens in enumerate(self.tokens):
            yield self.begun.number, self.begun.index + step, tokens, self.nats[step + 1]


@dataclass(frozen=True)
class _Masks:
    """What rows may write next, and by what that is computed."""

    constraints: CompiledConstraints | None = None
    allowed: Mask | None = None  # (B, V)
    requested: Mask | None = None  # (B, V)


def make_compiled_blocks(
    step: Step, tokenizer: Tokenizer, chain: Chain, backtracker: Backtracker | None
) -> CompiledBlocks | None:
    """Make the blocks of a loop; None where only the plain loop can run it (see the module)."""
    operations, grammar = describe_operations(chain.links), tokenizer.grammar
    if operations is None or not isinstance(step, SupportsC) or not isinstance(grammar, CompiledGrammar):
        return None
    library = load_drawing()
    return None if library is None else CompiledBlocks(step, grammar, operations, library.take_steps, backtracker)


class CompiledBlocks:
    """Runs blocks of steps in C."""

    def __init__(
        self,
        step: SupportsC,
        grammar: CompiledGrammar,
        operations: tuple[NDArray[np.int32], Floats],
        take_steps: Any,
        backtracker: Backtracker | None,
    ) -> None:
        """Begin with short blocks."""
        self._step, self._grammar, self._operations, self._backtracker = step, grammar, operations, backtracker
        self._take_steps, self._taken = take_steps, 0
        take_steps.argtypes, take_steps.restype = [ctypes.POINTER(_Loop)], ctypes.c_int64

    def run(self, rows: BatchState, streams: Streams) -> CompiledBlock | None:
        """Take steps of these rows, which draw from `streams`; None if the plain loop is to take the next one."""
        if (masks := self._find_masks(rows)) is None or (state := self._find_state(rows)) is None:
            return None
        compiled, keeps = self._step.compile(len(rows.number)), masks.constraints is not None
        if compiled is None:
            return None
        most = min(MOST_STEPS, self._taken)
        if keeps:
            most = min(most, MOST_BYTES // sum(part.nbytes for part in state))
        uniforms = streams.draw_ahead(rows.index, max(most, 1))
        given = rows.get_primer_tokens(np.arange(len(uniforms))[:, None])
        places = self._make_places(rows, state, masks, len(uniforms) + 1 if keeps else 2)
        block = CompiledBlock(rows, np.empty_like(given), np.empty((len(given) + 1, *rows.nats.shape)), places)
        block.nats[0] = rows.nats
        steps, is_dead = self._take(compiled, block, masks, uniforms, given)
        if not steps:
            return None
        self._taken += steps
        return self._finish(block, steps, given >= 0, is_dead)

    def _find_masks(self, rows: BatchState) -> _Masks | None:
        """Find what rows may write next; None where that is not for C."""
        if rows.memory.shape[1]:
            return None
        if self._backtracker is None:
            has_past = rows.history.shape[1] or rows.recent_notes.tick.shape[1]
            return None if has_past else _Masks()
        found = self._backtracker.begin_block(rows)
        return None if found is None else _Masks(*found)

    def _find_state(self, rows: BatchState) -> State | None:
        """Return the state of the model, with that of rows not stepped yet; None if these have none."""
        begun, count = int(np.count_nonzero(rows.index)), len(rows.index)
        if begun == count:
            return rows.state
        begin = self._step.begin(count - begun)
        if begin is None or rows.state is None or not begun:
            return begin
        return tuple(np.concatenate([part[:begun], new]) for part, new in zip(rows.state, begin, strict=True))

    def _make_places(self, rows: BatchState, state: State, masks: _Masks, count: int) -> _Places:
        """Make so many places of what steps change, with these rows in the first."""
        inputs, legal = self._grammar.make_inputs(rows.grammar), self._grammar.mask(rows.grammar)
        past = [] if masks.constraints is None else Past(rows.history, rows.recent_notes).arrays
        allowed = np.empty((2, 0) if masks.allowed is None else (2, 2, *legal.shape), dtype=np.bool_)
        if masks.allowed is not None:
            allowed[0, 0] = masks.allowed
        grammar, *pasts = (_place(array, count) for array in (rows.grammar, *past))
        joined = np.empty((count, sum(part.size for part in state)), dtype=np.float32)
        places = _Places(
            keeps=masks.constraints is not None,
            grammar=grammar,
            state=joined,
            shapes=[part.shape for part in state],
            pasts=pasts,
            inputs=_place(inputs, 2),
            legal=_place(legal, 2),
            allowed=allowed,
        )
        for own, part in zip(places.get_state(0), state, strict=True):
            own[...] = part
        return places

    def _take(
        self, compiled: CompiledStep, block: CompiledBlock, masks: _Masks, uniforms: Floats, given: Ints
    ) -> tuple[int, bool]:
        """Take steps; return how many, and whether a row is at a dead end then."""
        places, (kinds, values), constraints = block.places, self._operations, masks.constraints
        (rows, width), index = places.legal.shape[1:], block.begun.index.copy()
        scratch = (
            np.empty((rows, width), dtype=np.float32),
            np.empty(width, dtype=np.int32),
            np.empty(4 * width),
            np.empty((rows, len(KINDS))),
        )
        requested = None if masks.requested is None else np.ascontiguousarray(masks.requested)
        loop = _Loop(
            step=compiled.function,
            model=compiled.model,
            threads=compiled.threads,
            turn=self._grammar.turn_address,
            constrained=0 if constraints is None else constraints.turn_address,
            bound=0 if constraints is None else get_address(constraints.bound),
            keeps=places.keeps,
            most=len(given),
            rows=rows,
            width=width,
            end=EOS,
            operations=len(kinds),
            kinds=kinds.ctypes.data,
            values=values.ctypes.data,
            uniforms=get_address(uniforms),
            given=get_address(given),
            requested=0 if requested is None else get_address(requested),
            index=get_address(index),
            numbers=places.grammar[0].size,
            columns=places.inputs[0].size,
            floats=places.state.shape[1],
            grammar=get_address(places.grammar),
            inputs=get_address(places.inputs),
            state=get_address(places.state),
            legal=get_address(places.legal),
            allowed=get_address(places.allowed),
            logits=get_address(scratch[0]),
            ids=get_address(scratch[1]),
            scratch=get_address(scratch[2]),
            costs=get_address(scratch[3]),
            tokens=get_address(block.tokens),
            nats=get_address(block.nats),
        )
        for number, array in enumerate(places.pasts):
            loop.past[number], loop.pasts[number] = array[0].size, get_address(array)
        began = perf_counter()
        steps = int(self._take_steps(loop))
        if compiled.record is not None and steps:
            compiled.record((perf_counter() - began) / steps)
        return steps, bool(loop.is_dead)

    def _finish(self, block: CompiledBlock, steps: int, given: Mask, is_dead: bool) -> CompiledBlock:
        """Leave the steps that were taken, and tell grammar and backtracker of the rows after them."""
        block = CompiledBlock(block.begun, block.tokens[:steps], block.nats[: steps + 1], block.places)
        after, places, here = block.rows, block.places, steps & 1
        self._grammar.remember((after.grammar, places.inputs[here], places.legal[here]))
        if self._backtracker is not None:
            turn = Turn(after.grammar, Past(after.history, after.recent_notes), places.allowed[here, 0], is_dead)
            self._backtracker.remember_block(block, given, turn)
        return block


def _place(array: NDArray[Any], count: int) -> NDArray[Any]:
    """Make so many places for an array, with it in the first."""
    places = np.empty((count, *array.shape), dtype=array.dtype)
    places[0] = array
    return places
