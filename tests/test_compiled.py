"""Grammars compiled: C says what NumPy says, and what cannot be compiled goes the plain way."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from composer.arrays import convert_like, get_namespace, make_range
from composer.plugins.registry import registry
from composer.request import Request
from composer.tokens.bar_grammar import Field
from composer.tokens.jit import compile_grammar
from composer.tokens.jit.c_compiler import find_compiler, load_library
from composer.tokens.jit.c_source import Function, write_source
from composer.tokens.jit.grammars import FLAGS, _bind_function
from composer.tokens.jit.tracing import Untraceable, make_argument, trace

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

TABLE = np.array([3, 1, 4, 1, 5])
STATES = np.random.default_rng(0).integers(-9, 10, (50, 6))


def in_c(function):
    """`function` of states (B, 6), traced and compiled."""
    state = make_argument("state", 6)
    made = Function((state,), (function(state),))
    return _bind_function(load_library(write_source({"it": made}), FLAGS), "it", made, function)


FUNCTIONS = {
    "division is rounded down": lambda s: s[:, :3] // s[:, 3:],
    "what is left has the divisor's sign": lambda s: s[:, :3] % s[:, 3:],
    "division by a constant": lambda s: s // 4 - s % -3,
    "a column is no matrix": lambda s: s[:, 0] * s[:, 1],
    "an axis comes in": lambda s: s[:, :3, None] == s[:, None, 2:5],
    "sums": lambda s: get_namespace(s).sum(s[:, :3, None] * s[:, None, 3:], axis=2),
    "sums of bools": lambda s: get_namespace(s).sum(s > 0, axis=1),
    "any and all": lambda s: get_namespace(s).stack(
        [get_namespace(s).any(s, axis=1), get_namespace(s).all(s != 2, axis=1)], axis=1
    ),
    "greatest and least": lambda s: get_namespace(s).max(s, axis=1) - get_namespace(s).min(s, axis=1),
    "from a table": lambda s: get_namespace(s).take(convert_like(TABLE, s), s % 5),
    "along a row": lambda s: get_namespace(s).take_along_axis(s, s[:, 4:] % 6, axis=1),
    "bounded": lambda s: get_namespace(s).clip(s, -2, get_namespace(s).abs(s[:, :1])),
    "of two": lambda s: get_namespace(s).maximum(s, 0) + get_namespace(s).minimum(s[:, ::1], s[:, 1:2]),
    "joined": lambda s: get_namespace(s).concat([s[:, 4:], make_range(3, s) + s[:, :1], s[:, :0]], axis=1),
    "broadcast": lambda s: get_namespace(s).broadcast_to(s[:, :1], (s.shape[0], 4)),
    "not, and, or": lambda s: ~(s > 0) & (s != -3) | (s[:, :1] == 5),
    "chosen": lambda s: get_namespace(s).where(s > 0, s, get_namespace(s).full_like(s, -1)),
}


@needs_compiler
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_c_says_what_numpy_says(name):
    plain = FUNCTIONS[name](STATES)
    quick = in_c(FUNCTIONS[name])(STATES)[0]
    assert quick.dtype == plain.dtype
    np.testing.assert_array_equal(quick, plain)


def take(s, first=0):
    return get_namespace(s).take(convert_like(TABLE, s), s[:, first:])


LOOKUPS = {
    "of a table": take,
    "along a row": lambda s: get_namespace(s).take_along_axis(s[:, :5], s, axis=1),
    "of a table, not chosen": lambda s: get_namespace(s).where(s > 99, take(s), 0),
    "by the element of another table": lambda s: take(take(s) - 1),
    "of one column": lambda s: take(s, 5)[:, 0],
}


@needs_compiler
@pytest.mark.parametrize("beyond", [5, 99, -6, -99, 2**62, -(2**63)])
@pytest.mark.parametrize("name", LOOKUPS)
def test_an_index_beyond_a_table_is_refused_as_numpy_refuses_it(name, beyond):
    function = LOOKUPS[name]
    quick, states = in_c(function), np.array([[0, -5, -1, 0, 4, 4], [-5, -1, 0, 2, 3, 0]])
    np.testing.assert_array_equal(quick(states)[0], function(states))
    states[1, 5] = beyond
    with pytest.raises(IndexError) as plain:
        function(states)
    with pytest.raises(IndexError) as compiled:
        quick(states)
    assert str(compiled.value) == str(plain.value)
    assert quick(states[:1])[0].tolist() == function(states[:1]).tolist()


class Faulty:
    """A grammar with a table of bars that is too short for a long piece."""

    def __init__(self, of):
        self.of = of

    def make_inputs(self, state):
        table = convert_like(np.arange(4), state)
        return self.of.make_inputs(state) + get_namespace(state).take(table, state[:, Field.BAR] + 1)[:, None]

    def __getattr__(self, name):
        return getattr(self.of, name)


@needs_compiler
def test_a_grammar_that_reads_beyond_a_table_fails_alike_compiled_and_plain():
    tokenizer = registry().make("tokenizers", "voices")
    faulty = SimpleNamespace(grammar=Faulty(tokenizer.grammar))
    compiled = compile_grammar(faulty).grammar
    assert compiled is not faulty.grammar
    state = compiled.start(Request(), 2)
    state[:, Field.BAR] = [-1, 2]
    np.testing.assert_array_equal(compiled.make_inputs(state), faulty.grammar.make_inputs(state))
    state[1, Field.BAR] = 3
    for grammar in (compiled, faulty.grammar):
        with pytest.raises(IndexError, match="index 4 is out of bounds"):
            grammar.make_inputs(state)


@needs_compiler
@pytest.mark.filterwarnings("ignore:overflow")
def test_numbers_as_large_as_can_be_are_as_numpy_has_them():
    def function(s):
        return get_namespace(s).concat([s // s[:, :1], s % s[:, :1], s * s, s + s, abs(s), -s], axis=1)

    least, most = -(2**63), 2**63 - 1
    states = np.array([[-1, least, most, 0, 1, 7], [least, -1, least, most, 3, 2], [most, least, -1, 1, 0, 5]])
    np.testing.assert_array_equal(in_c(function)(states)[0], function(states))


@needs_compiler
@pytest.mark.parametrize("shape", [(3, 5), (3, 7), (3,), (3, 6, 1)])
def test_a_state_of_another_shape_is_never_read(shape):
    with pytest.raises(ValueError, match="other shapes than the compiled ones"):
        in_c(lambda s: s + 1)(np.zeros(shape, dtype=np.int64))


@pytest.mark.parametrize(
    "function",
    [
        lambda s: np.arange(5),
        lambda s: np.int64(3),
        lambda s: s[:, 6],
        lambda s: s[:, -7],
        lambda s: get_namespace(s).take(convert_like(TABLE[:0], s), s),
        lambda s: get_namespace(s).take_along_axis(s[:, :, None], s[:, None, :], axis=1),
        lambda s: get_namespace(s).take_along_axis(s[:, :0], s, axis=1),
        lambda s: get_namespace(s).concat([s[:, :3, None], s[:, :2, None]], axis=2),
        lambda s: get_namespace(s).broadcast_to(s, (1, 1)),
        lambda s: get_namespace(s).take(np.arange(2**20), s),
    ],
)
def test_what_would_read_or_hold_more_than_there_is_cannot_be_compiled(function):
    state = make_argument("state", 6)
    with pytest.raises((Untraceable, IndexError, ValueError)):
        write_source({"it": Function((state,), (trace(function(state)),))})


def test_a_function_that_holds_more_than_a_stack_cannot_be_compiled():
    state = make_argument("state", 6)
    wide = state[:, :1] + convert_like(np.arange(2**18)[None, :], state)
    twice = wide * wide + FUNCTIONS["sums of bools"](state)[:, None]
    with pytest.raises(Untraceable, match="it holds too much"):
        write_source({"it": Function((state,), (twice,))})


@pytest.mark.parametrize(
    "function",
    [
        lambda s: s if s[:, 0] > 0 else s + 1,
        lambda s: [row + 1 for row in s],
        lambda s: s[s[:, 0] > 0],
        lambda s: s * 0.5,
        lambda s: get_namespace(s).take(TABLE.astype(np.int8), s) * 100,  # 8 bits overflow earlier
        lambda s: s + TABLE[:1].astype(np.uint64),
        lambda s: get_namespace(s).astype(s, np.int32),
        lambda s: get_namespace(s).sum(s, axis=0),
        lambda s: np.sin(s),
        lambda s: get_namespace(s).unheard_of(s),
    ],
)
def test_what_looks_at_values_or_at_other_rows_cannot_be_traced(function):
    with pytest.raises((Untraceable, AttributeError, TypeError)):
        function(make_argument("state", 6))


@dataclass(frozen=True)
class Branching:
    """A tokenizer whose grammar looks at values."""

    of: object

    @property
    def grammar(self):
        return self

    def start(self, request, rows):
        return self.of.grammar.start(request, rows)

    def interpret(self, state):
        return self.of.grammar.interpret(state)

    def make_inputs(self, state):
        return state[:, :1] if state[0, 0] else state[:, :2]


def test_a_grammar_that_cannot_be_traced_goes_the_plain_way():
    tokenizer = Branching(registry().make("tokenizers", "frames"))
    assert compile_grammar(tokenizer) is tokenizer


class Narrow:
    """A grammar whose states are of another type."""

    def __init__(self, of, kind):
        self.of, self.kind = of, kind

    def start(self, request, rows):
        return self.of.start(request, rows).astype(self.kind)

    def __getattr__(self, name):
        return getattr(self.of, name)


@pytest.mark.parametrize("kind", ["int32", "uint8", "float64", "bool"])
def test_a_grammar_whose_numbers_are_not_those_of_c_goes_the_plain_way(kind, tokenizer):
    narrow = SimpleNamespace(grammar=Narrow(tokenizer.grammar, kind))
    assert compile_grammar(narrow) is narrow


@needs_compiler
@pytest.mark.parametrize("kind", ["float64", "complex64", "U1"])
def test_states_that_are_no_whole_numbers_are_never_rounded(kind):
    with pytest.raises(ValueError, match="no whole numbers"):
        in_c(lambda s: s + 1)(np.zeros((3, 6), dtype=kind))


def test_without_a_compiler_a_grammar_goes_the_plain_way(monkeypatch, tokenizer):
    monkeypatch.setattr("composer.tokens.jit.grammars.load_library", lambda *_: None)
    assert compile_grammar(tokenizer) is tokenizer


@needs_compiler
@pytest.mark.parametrize("name", sorted(n for n in registry().list_names("tokenizers") if not n.startswith("miditok-")))
def test_our_grammars_are_compiled(name):
    tokenizer = registry().make("tokenizers", name)
    assert compile_grammar(tokenizer).grammar is not tokenizer.grammar
