"""A compiled grammar: the same masks and states as the plain grammar, but faster.

One step of one piece takes about a hundred NumPy calls on tiny arrays, which together are slower than the network. In C
they cost next to nothing. A grammar that cannot be traced, or a machine without a compiler, uses the plain functions.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_addresses
from composer.music.score import Score
from composer.request import Request
from composer.tokens.jit.c_compiler import load_library
from composer.tokens.jit.c_source import GUARDED, Function, write_source
from composer.tokens.jit.tracing import Untraceable, collect_guards, make_argument, trace
from composer.types import Array, Column, Grammar, MusicalState, Span, TokenInfo, Tokenizer, Tokens

TURN = """
int grammar_turn(int64_t rows, const int64_t *state, const int64_t *tokens,
                 int64_t *after, int64_t *inputs, uint8_t *allowed)
{
    if (grammar_advance(rows, state, tokens, after)) return 1;
    return grammar_make_inputs(rows, after, inputs) | grammar_mask(rows, after, allowed) ? 2 : 0;
}
"""
"""A state after a token, and what a loop asks for next, in one call from Python."""

BEYOND = 1
"""Bit of a status: an index is beyond its array. With 2 only the first result is there."""

FLAGS = ("-O1", "-ftree-vectorize", "-fwrapv", "-march=native", "-shared", "-fPIC", "-w")


@dataclass(frozen=True, eq=False)
class CompiledGrammar:
    """A grammar with compiled functions for NumPy arrays. Other arrays go to the plain grammar."""

    grammar: Grammar
    columns: tuple[Column, ...]
    _inputs: _Call
    _allowed: _Call
    _advance: _Call  # the state after a token, and the inputs and the mask there, which come next
    _facts: _Call
    _last: dict[str, tuple[Array, ...]] = field(default_factory=dict)  # the last ones of these, if there are any

    def start(self, request: Request, rows: int) -> Array:
        """Return the states before the first token."""
        return self.grammar.start(request, rows)

    def mask(self, state: Array) -> Array:
        """Mask the tokens that may come next."""
        if type(state) is not np.ndarray:
            return self.grammar.mask(state)
        known = self._last.get("step")
        if known is not None and known[0] is state:
            return known[2].copy()
        return self._allowed(state)[0]

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        if type(state) is not np.ndarray:
            return self.grammar.advance(state, tokens)
        found = self._advance(state, tokens)
        if len(found) > 1:
            self._last["step"] = tuple(found)
        return found[0]

    def make_inputs(self, state: Array) -> Array:
        """Return the inputs of the model."""
        if type(state) is not np.ndarray:
            return self.grammar.make_inputs(state)
        known = self._last.get("step")
        if known is not None and known[0] is state:
            return known[1].copy()
        return self._inputs(state)[0]

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states as music."""
        return MusicalState(*self._facts(state)) if type(state) is np.ndarray else self.grammar.interpret(state)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return masks that keep the fixed notes of `score`."""
        return compile_mask(self.grammar.fix_notes(score, spans), self.width)

    @property
    def width(self) -> int:
        """The numbers of a state, S."""
        return self._advance.result_shapes[0][0]

    @cached_property
    def turn_address(self) -> int:
        """The address of `grammar_turn`, for C."""
        return ctypes.cast(self._advance.function, ctypes.c_void_p).value or 0

    def make_results(self, rows: int) -> tuple[NDArray[Any], ...]:
        """Make arrays for the results of `grammar_turn`."""
        shapes = zip(self._advance.result_shapes, self._advance.bools, strict=True)
        return tuple(np.empty((rows, *shape), dtype=np.bool_ if is_bool else np.int64) for shape, is_bool in shapes)

    def remember(self, results: tuple[NDArray[Any], ...]) -> None:
        """Remember what `grammar_turn` has computed: `mask` and `make_inputs` are asked for next."""
        self._last["step"] = results


@dataclass(frozen=True, eq=False)
class CompiledTokenizer:
    """A tokenizer with its grammar compiled."""

    tokenizer: Tokenizer
    grammar: Grammar

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The tokenizer's vocabulary."""
        return self.tokenizer.vocabulary

    @property
    def token_info(self) -> TokenInfo:
        """The tokenizer's description of each token."""
        return self.tokenizer.token_info

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode a score."""
        return self.tokenizer.encode(score, ends=ends)

    def decode(self, tokens: Tokens) -> Score:
        """Decode tokens to a score."""
        return self.tokenizer.decode(tokens)


class Tables:
    """The tables of a function, as C gets them."""

    def __init__(self, function: Function) -> None:
        self._arrays = [table.detail.astype(np.bool_ if table.is_bool else np.int64) for table in function.tables]
        self._pointers = np.array([array.ctypes.data for array in self._arrays] or [0], dtype=np.uintp)
        self._lengths = np.array([len(array) for array in self._arrays] or [0], dtype=np.int64)
        self.addresses = get_addresses([self._pointers, self._lengths])


@dataclass(frozen=True)
class _Call:
    """A compiled function. Its integer results share one block of memory: one allocation is faster than many."""

    function: Any
    argument_shapes: tuple[tuple[int, ...], ...]  # shape of a row of each argument
    result_shapes: tuple[tuple[int, ...], ...]  # shape of a row of each result
    bools: tuple[bool, ...]
    plain: Callable[..., Any]  # the function that was traced
    tables: Tables | None = None  # where tables are arguments

    @cached_property
    def layout(self) -> tuple[tuple[tuple[int, ...], bool, int], ...]:
        """Of each result: the shape of a row, whether it is of bools, and the numbers of a row."""
        shapes = zip(self.result_shapes, self.bools, strict=True)
        return tuple((shape, is_bool, math.prod(shape)) for shape, is_bool in shapes)

    @cached_property
    def width(self) -> int:
        """The whole numbers of a row in all results."""
        return sum(size for _, is_bool, size in self.layout if not is_bool)

    def __call__(self, *arguments: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Return the results (B, …).

        Raises ValueError for arrays of other shapes, or of other than whole numbers, and IndexError where NumPy does.
        """
        rows = len(arguments[0])
        arrays: list[NDArray[Any]] = []
        for argument, shape in zip(arguments, self.argument_shapes, strict=True):
            if argument.dtype.kind not in "iub":
                raise ValueError("states or tokens are no whole numbers")  # they would be rounded
            if argument.shape != (rows, *shape):
                raise ValueError("states or tokens have other shapes than the compiled ones")  # C would read beyond
            arrays.append(np.ascontiguousarray(argument, dtype=np.int64))
        block = np.empty(rows * self.width, dtype=np.int64)
        masks = [np.empty((rows, *shape), dtype=np.bool_) for shape, is_bool, _ in self.layout if is_bool]
        places = iter(get_addresses([*arrays, block, *masks]))
        pointers = [] if self.tables is None else [*self.tables.addresses]
        pointers += [next(places) for _ in arrays]
        begin, here, waiting, results = 0, next(places), iter(masks), list[NDArray[Any]]()
        for shape, is_bool, size in self.layout:
            if is_bool:
                results.append(next(waiting))
                pointers.append(next(places))
            else:
                end = begin + rows * size
                results.append(block[begin:end].reshape(rows, *shape) if shape else block[begin:end])
                pointers.append(here + begin * block.itemsize)
                begin = end
        status = self.function(rows, *pointers)
        if status & (BEYOND | GUARDED):
            plain = self.plain(*arguments)  # raises what NumPy says of the index, or the author of what a guard finds
            if status & GUARDED:
                return list(plain) if isinstance(plain, tuple) else [plain]
            raise IndexError("an index is beyond its array")
        return results if not status else results[:1]


def compile_grammar(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer with its grammar compiled, or the tokenizer itself where that is impossible."""
    grammar = tokenizer.grammar
    try:
        text, functions = _trace_grammar(grammar)
    except Exception:  # a plugin's function may fail in any way on traced arrays
        return tokenizer
    if (made := load_library(text, FLAGS)) is None:
        return tokenizer
    calls = {
        name: _bind_function(made, f"grammar_{name}", function, getattr(grammar, name))
        for name, function in functions.items()
    }
    parts = (calls["make_inputs"], calls["mask"], _bind_turn(made, calls), calls["interpret"])
    return CompiledTokenizer(tokenizer, CompiledGrammar(grammar, grammar.columns, *parts))


def compile_mask(mask: Callable[[Array], Array], width: int) -> Callable[[Array], Array]:
    """Return a function from states (B, `width`) to masks, compiled, or the function itself where that is impossible.

    Its tables are arguments, so that functions of one kind have one library.
    """
    state = make_argument("state", width)
    try:
        with collect_guards() as guards:
            traced = Function((state,), (trace(mask(state)),), guards)
        text = write_source({"mask": traced}, tables=True)
    except Exception:  # a plugin's function may fail in any way on traced arrays
        return mask
    if not traced.results[0].is_bool or (made := load_library(text, FLAGS)) is None:
        return mask
    call = _bind_function(made, "mask", traced, mask, Tables(traced))

    def compiled(state: Array) -> Array:
        return call(state)[0] if type(state) is np.ndarray else mask(state)

    return compiled


def _trace_grammar(grammar: Grammar) -> tuple[str, dict[str, Function]]:
    """Trace a grammar; return the C source and the functions. Raises Untraceable, or any error of the grammar."""
    begun = grammar.start(Request(), 1)
    if begun.dtype != np.int64:
        raise Untraceable(f"states are {begun.dtype}, whose sums overflow elsewhere than those of int64")
    state, tokens = make_argument("state", begun.shape[1]), make_argument("tokens", None)
    music = grammar.interpret(state)
    functions = {
        "make_inputs": Function((state,), (grammar.make_inputs(state),)),
        "mask": Function((state,), (grammar.mask(state),)),
        "advance": Function((state, tokens), (grammar.advance(state, tokens),)),
        "interpret": Function((state,), tuple(trace(getattr(music, field.name)) for field in fields(MusicalState))),
    }
    named = {f"grammar_{name}": function for name, function in functions.items()}  # `advance` is one of the C library
    return write_source(named) + TURN, functions


def _bind_function(
    made: ctypes.CDLL, name: str, function: Function, plain: Callable[..., Any], tables: Tables | None = None
) -> _Call:
    compiled, pointers = getattr(made, name), len(function.arguments) + len(function.results) + 2 * bool(tables)
    compiled.restype = ctypes.c_int
    compiled.argtypes = [ctypes.c_int64] + [ctypes.c_void_p] * pointers
    taken, shapes = (tuple(a.shape[1:] for a in of) for of in (function.arguments, function.results))
    return _Call(compiled, taken, shapes, tuple(result.is_bool for result in function.results), plain, tables)


def _bind_turn(made: ctypes.CDLL, calls: Mapping[str, _Call]) -> _Call:
    advance, inputs, allowed = (calls[name] for name in ("advance", "make_inputs", "mask"))
    compiled = made.grammar_turn
    compiled.restype = ctypes.c_int
    compiled.argtypes = [ctypes.c_int64] + [ctypes.c_void_p] * 5
    shapes = (*advance.result_shapes, *inputs.result_shapes, *allowed.result_shapes)
    return _Call(
        compiled, advance.argument_shapes, shapes, (*advance.bools, *inputs.bools, *allowed.bools), advance.plain
    )
