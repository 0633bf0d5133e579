"""Grammars compiled: C says what NumPy says, and what cannot be compiled goes the plain way."""

from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest

from composer.arrays import convert_like, get_namespace, look_up, make_parameter, make_range
from composer.errors import BadOption
from composer.generation.generator import Generator, generate
from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.loop import make_source, sample_each
from composer.sampling.turns import find_compiled
from composer.testing import make_random_model
from composer.tokens.bar_grammar import Field
from composer.tokens.jit import compile_constraints, compile_grammar
from composer.tokens.jit.c_compiler import find_compiler, load_library
from composer.tokens.jit.c_source import Function, write_source
from composer.tokens.jit.grammars import FLAGS, Tables, _bind_function
from composer.tokens.jit.tracing import Untraceable, collect_guards, make_argument, trace
from composer.types import Span

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

TABLE = np.array([3, 1, 4, 1, 5])
STATES = np.random.default_rng(0).integers(-9, 10, (50, 6))


def in_c(function, tables=False):
    """`function` of states (B, 6), traced and compiled."""
    state = make_argument("state", 6)
    with collect_guards() as guards:
        made = Function((state,), (function(state),), guards)
    library = load_library(write_source({"it": made}, tables=tables), FLAGS)
    return _bind_function(library, "it", made, function, Tables(made) if tables else None)


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
    "along another axis": lambda s: get_namespace(s).take(s, convert_like(TABLE, s), axis=1),
    "rows of a table": lambda s: get_namespace(s).take(convert_like(STATES[:5, :3], s), s[:, 0] % 5, axis=0),
    "from a table, in any shape": lambda s: look_up(TABLE, s[:, :3, None] % 5 - s[:, None, 3:] % 2),
    "in order": lambda s: get_namespace(s).argsort(s % 3, axis=1, stable=True),
    "where it would stand": lambda s: get_namespace(s).searchsorted(convert_like(np.arange(-6, 7, 3), s), s[:, 0]),
    "after its equals": lambda s: get_namespace(s).searchsorted(
        convert_like(np.array([-3, 0, 0, 4]), s), s[:, 1], side="right"
    ),
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


@pytest.mark.machine
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


@pytest.mark.machine
def test_without_a_compiler_a_grammar_goes_the_plain_way(monkeypatch, tokenizer):
    monkeypatch.setattr("composer.tokens.jit.grammars.load_library", lambda *_: None)
    assert compile_grammar(tokenizer) is tokenizer


@needs_compiler
@pytest.mark.parametrize("name", sorted(n for n in registry().list_names("tokenizers") if not n.startswith("miditok-")))
def test_our_grammars_are_compiled(name):
    tokenizer = registry().make("tokenizers", name)
    assert compile_grammar(tokenizer).grammar is not tokenizer.grammar


# --- tables, guards, constraints --------------------------------------------------------------------------------------


def list_bars(numbers):
    """A function with a table of any length, and a number."""

    def function(s):
        bar = s[:, 0] % make_parameter(len(numbers), s)
        return get_namespace(s).take(convert_like(np.array(numbers), s), bar) + make_parameter(numbers[0], s)

    return function


@pytest.mark.machine
@needs_compiler
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_c_says_what_numpy_says_with_tables_as_arguments():
    state, made = make_argument("state", 6), {}
    for number, function in enumerate(FUNCTIONS.values()):
        made[f"it{number}"] = Function((state,), (function(state),))
    library = load_library(write_source(made, tables=True), FLAGS)
    for (name, one), function in zip(made.items(), FUNCTIONS.values(), strict=True):
        quick = _bind_function(library, name, one, function, Tables(one))
        np.testing.assert_array_equal(quick(STATES)[0], function(STATES))


@needs_compiler
def test_functions_with_other_tables_have_one_source():
    sources = set()
    for numbers in ([3], [4, 5, 6], [7] * 40):
        state = make_argument("state", 6)
        made = Function((state,), (list_bars(numbers)(state),))
        sources.add(write_source({"it": made}, tables=True))
        np.testing.assert_array_equal(in_c(list_bars(numbers), True)(STATES)[0], list_bars(numbers)(STATES))
    assert len(sources) == 1


@needs_compiler
@pytest.mark.parametrize("length", [1, 3])
def test_an_index_beyond_a_table_that_is_an_argument_is_refused(length):
    def function(s):
        return get_namespace(s).take(convert_like(np.arange(length), s), s[:, 0])

    quick = in_c(function, True)
    assert quick(np.zeros((2, 6), dtype=np.int64))[0].tolist() == [0, 0]
    with pytest.raises(IndexError, match=f"index {length} is out of bounds"):
        quick(np.full((2, 6), length))


def refuse_seven(s):
    if get_namespace(s).any(s == 7):
        raise BadOption("no sevens.")
    return s + 1


@needs_compiler
def test_an_error_of_a_branch_on_any_value_is_raised_by_compiled_code_too():
    quick = in_c(refuse_seven)
    without = np.minimum(STATES, 6)
    np.testing.assert_array_equal(quick(without)[0], without + 1)
    with pytest.raises(BadOption, match="no sevens"):
        quick(STATES)


def test_without_guards_a_branch_is_refused():
    with pytest.raises(Untraceable, match="a branch"):
        refuse_seven(make_argument("state", 6))


CHAINS = {
    "harmony": {"scale": {"scale": "C major"}, "chords": {"chords": "C | C6"}, "ending": {"key": "C"}},
    "texture": {
        "range": {"range": "C3:A5"},
        "polyphony": {"polyphony": 5},
        "density": {"density": 12},
        "rhythm": {"rhythm": "1/8"},
        "no-repeat": {"n": 4, "window": 20},
    },
}


@lru_cache
def make_small(name):
    return Generator(make_random_model("gru", name, hidden_size=16, embedding_size=16))


def make_chain(name):
    return tuple(registry().make("samplers", sampler, **options) for sampler, options in CHAINS[name].items())


@pytest.mark.machine
@needs_compiler
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", ["voices", "remi", "frames"])
def test_constraints_in_c_draw_what_numpy_draws(name, chain):
    player, samplers = make_small(name), make_chain(chain)
    assert find_compiled(player.writing, samplers, 0, 32 if chain == "texture" else 8) is not None
    requests = [player.resolve(Request(seed=3, index=index, bars=2)) for index in range(2)]
    quick, plain = (
        sample_each_of(player, tokenizer, samplers, requests) for tokenizer in (player.writing, player.tokenizer)
    )
    assert quick == plain
    assert len(quick) == len(requests)


def sample_each_of(player, tokenizer, samplers, requests):
    """What becomes of each request: tokens and figures, or an error."""
    step = player.get_step(requests[0])
    made = dict(sample_each(step, tokenizer, samplers, make_source(requests), len(requests)))
    return {
        number: str(one) if isinstance(one, Exception) else (one.tokens.tolist(), one.model_nats, one.dead_ends)
        for number, one in made.items()
    }


@needs_compiler
def test_other_chords_scales_and_ranges_need_no_other_library(monkeypatch):
    writing, loaded = make_small("voices").writing, []

    def load(source, flags):
        loaded.append(source)
        return load_library(source, flags)

    monkeypatch.setattr("composer.tokens.jit.constraints.load_library", load)
    for scale, chords, bounds in [("C major", "C | F | G7", "C3:C6"), ("A minor", "Dm7 G7", "bass=E2:C4")]:
        options = {"scale": {"scale": scale}, "chords": {"chords": chords}, "range": {"range": bounds}}
        chain = [registry().make("samplers", sampler, **given) for sampler, given in options.items()]
        assert compile_constraints(writing, chain, 0, 0) is not None
    assert len(loaded) == 2
    assert len(set(loaded)) == 1


@needs_compiler
@pytest.mark.parametrize("name", ["voices", "remi", "frames"])
def test_fixed_notes_in_c_are_those_of_numpy_and_scores_share_a_library(name, monkeypatch):
    player, sources = make_small(name), []

    def load(source, flags):
        sources.append(source)
        return load_library(source, flags)

    monkeypatch.setattr("composer.tokens.jit.grammars.load_library", load)
    plain, quick = player.tokenizer.grammar, player.writing.grammar
    sources.clear()
    for seed, spans in [(1, [Span(0, 1920)]), (2, [Span(0, 960), Span(1920, 2**40)])]:
        score = generate(player, [Request(seed=seed, bars=1 + seed)])[0].score
        masks = [grammar.fix_notes(score, spans) for grammar in (plain, quick)]
        state = plain.start(Request(bars=1 + seed), 3)
        for place in range(40):
            wanted, found = (mask(state) for mask in masks)
            np.testing.assert_array_equal(found, wanted)
            allowed = wanted & plain.mask(state)
            choices = [np.flatnonzero(row) for row in allowed]
            state = plain.advance(state, np.array([of[(place * row) % len(of)] for row, of in enumerate(choices)]))
    assert len(set(sources)) == 1


@pytest.mark.machine
def test_without_a_compiler_constraints_go_the_plain_way(monkeypatch):
    monkeypatch.setattr("composer.tokens.jit.constraints.load_library", lambda *_: None)
    writing, samplers = make_small("voices").writing, make_chain("harmony")
    assert compile_constraints(writing, samplers, 0, 8) is None
    assert compile_constraints(make_small("voices").tokenizer, samplers, 0, 8) is None


@dataclass(frozen=True)
class Counting:
    """A constraint with memory."""

    def begin_memory(self, token_info):
        return np.zeros(1)

    def update_memory(self, context, drawn):
        return context.memory + 1

    def mask(self, context):
        return context.allowed | (context.memory[:, :1] < 0)


def test_a_constraint_with_memory_goes_the_plain_way():
    assert compile_constraints(make_small("voices").writing, [Counting()], 0, 0) is None
