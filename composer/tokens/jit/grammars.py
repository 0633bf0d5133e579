"""A compiled grammar: the same masks and states as the plain grammar, but faster.

One step of one piece takes about a hundred NumPy calls on tiny arrays, which together are slower than the network. In C
they cost next to nothing. A grammar that cannot be traced, or a machine without a compiler, uses the plain functions.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score
from composer.request import Request
from composer.tokens.jit.c_compiler import load_library
from composer.tokens.jit.c_source import Function, write_source
from composer.tokens.jit.tracing import Untraceable, make_argument, trace
from composer.types import Array, Column, Grammar, MusicalState, Span, TokenInfo, Tokenizer, Tokens

FLAGS = ("-O1", "-ftree-vectorize", "-fwrapv", "-march=native", "-shared", "-fPIC", "-w")


@dataclass(frozen=True, eq=False)
class CompiledGrammar:
    """A grammar with compiled functions for NumPy arrays. Other arrays go to the plain grammar."""

    grammar: Grammar
    columns: tuple[Column, ...]
    _inputs: _Call
    _allowed: _Call
    _advance: _Call
    _facts: _Call

    def start(self, request: Request, rows: int) -> Array:
        """Return the states before the first token."""
        return self.grammar.start(request, rows)

    def mask(self, state: Array) -> Array:
        """Mask the tokens that may come next."""
        return self._allowed(state)[0] if type(state) is np.ndarray else self.grammar.mask(state)

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        return self._advance(state, tokens)[0] if type(state) is np.ndarray else self.grammar.advance(state, tokens)

    def make_inputs(self, state: Array) -> Array:
        """Return the inputs of the model."""
        return self._inputs(state)[0] if type(state) is np.ndarray else self.grammar.make_inputs(state)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states as music."""
        return MusicalState(*self._facts(state)) if type(state) is np.ndarray else self.grammar.interpret(state)

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return masks that keep the fixed notes of `score`."""
        return self.grammar.fix_notes(score, spans)


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


@dataclass(frozen=True)
class _Call:
    """A compiled function. Its integer results share one block of memory: one allocation is faster than many."""

    function: Any
    argument_shapes: tuple[tuple[int, ...], ...]  # shape of a row of each argument
    result_shapes: tuple[tuple[int, ...], ...]  # shape of a row of each result
    bools: tuple[bool, ...]
    plain: Callable[..., Any]  # the function that was traced

    def __call__(self, *arguments: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Return the results (B, …).

        Raises ValueError for arrays of other shapes, or of other than whole numbers, and IndexError where NumPy does.
        """
        if any(a.dtype.kind not in "iub" for a in arguments):
            raise ValueError("states or tokens are no whole numbers")  # they would be rounded
        arrays = [np.ascontiguousarray(a, dtype=np.int64) for a in arguments]
        rows = len(arrays[0])
        if any(a.shape != (rows, *shape) for a, shape in zip(arrays, self.argument_shapes, strict=True)):
            raise ValueError("states or tokens have other shapes than the compiled ones")  # C would read beyond them
        sizes = [
            0 if is_bool else rows * math.prod(s) for s, is_bool in zip(self.result_shapes, self.bools, strict=True)
        ]
        block = np.empty(sum(sizes), dtype=np.int64)
        here, results, pointers = block.ctypes.data, [], []
        begin = 0
        for shape, is_bool, size in zip(self.result_shapes, self.bools, sizes, strict=True):
            result = np.empty((rows, *shape), dtype=np.bool_) if is_bool else block[begin : begin + size]
            pointers.append(result.ctypes.data if is_bool else here + begin * block.itemsize)
            results.append(result.reshape(rows, *shape) if shape else result)
            begin += size
        if self.function(rows, *[a.ctypes.data for a in arrays], *pointers):
            self.plain(*arguments)  # raises what NumPy says of the index
            raise IndexError("an index is beyond its array")
        return results


def compile_grammar(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer with its grammar compiled, or the tokenizer itself where that is impossible."""
    grammar = tokenizer.grammar
    try:
        text, functions = _trace_grammar(grammar)
    except Exception:  # a plugin's function may fail in any way on traced arrays
        return tokenizer
    if (made := load_library(text, FLAGS)) is None:
        return tokenizer
    calls = [_bind_function(made, name, function, getattr(grammar, name)) for name, function in functions.items()]
    return CompiledTokenizer(tokenizer, CompiledGrammar(grammar, grammar.columns, *calls))


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
    return write_source(functions), functions


def _bind_function(made: ctypes.CDLL, name: str, function: Function, plain: Callable[..., Any]) -> _Call:
    compiled = getattr(made, name)
    compiled.restype = ctypes.c_int
    compiled.argtypes = [ctypes.c_int64] + [ctypes.c_void_p] * (len(function.arguments) + len(function.results))
    taken, shapes = (tuple(a.shape[1:] for a in of) for of in (function.arguments, function.results))
    return _Call(compiled, taken, shapes, tuple(result.is_bool for result in function.results), plain)
