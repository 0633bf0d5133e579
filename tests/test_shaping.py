"""The links of the sampling chain: each against a distribution worked out by hand, and all against their contract."""

from dataclasses import fields, replace

import numpy as np
import pytest

from composer.errors import BadOption
from composer.plugins.registry import registry
from composer.testing import check_sampler
from composer.types import Constraint, Context, HasMemory, MusicalState, RecentNotes, TokenInfo

NONE = -np.inf

EXAMPLES = {
    "temperature": ["0.5", "1.0", "3"],
    "top-k": ["1", "5", "10000"],
    "top-p": ["0.05", "0.9", "1"],
    "min-p": ["0", "0.1", "1"],
    "repetition-penalty": ["1.5", "0.5"],
    "mirostat": ["0.5", "2"],
    "notes-per-beat": ["2.5", "8"],
    "pitch-range": ["C3:C6"],
    "range": ["C3:C6", "all=C3:C6"],
    "widest-leap": ["12"],
    "programs": ["0,73"],
    "scale": ["D dorian", "A minor", "Bb", "chromatic"],
    "chords": ["Dm7 G7 | Cmaj7", "F#m7b5/C"],
    "polyphony": ["1", "3"],
    "density": ["1", "7"],
    "rhythm": ["1/8", "x..x..x."],
    "no-repeat": ["1", "3"],
}
"""Values of the first option; a sampler that is not here is tried with none."""


def make(name, value, **more):
    first, *_ = registry().get_offer("samplers", name).options
    return registry().make("samplers", name, **{first.name: value}, **more)


def context(rows, history=(), pitches=(60, 62, 64, 65, -1)):
    """The context of rows of five tokens, of which the last has no pitch."""
    zeros = np.zeros(rows, dtype=np.int64)
    none = np.full(5, -1)
    token_info = TokenInfo(np.array(["Pitch"] * 4 + ["Bar"]), np.array(pitches), none, none, none)
    past = np.full((rows, 64), -1)
    if len(history):
        past[:, -len(history) :] = history
    return Context(zeros, make_music(zeros), token_info, past, np.ones((rows, 5), bool), RecentNotes(past, past, past))


def make_music(zeros):
    """The state of music where all is 0, of no voice."""
    others = {"sounding": zeros[:, None], "written": zeros[:, None], "voice": zeros - 1}
    return MusicalState(**{**{field.name: zeros for field in fields(MusicalState)}, **others})


def shaped(name, value, shares, *, history=(), **more):
    """The distribution that is left of `shares` (of five tokens)."""
    with np.errstate(divide="ignore"):
        logits = np.log(np.array([shares], dtype=float))
    after = np.exp(make(name, value, **more)(logits, context(1, history)))[0]
    return after / after.sum()


HALVES = [0.5, 0.25, 0.15, 0.1, 0.0]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("temperature", 1, HALVES),
        ("temperature", 0.5, [0.25 / 0.345, 0.0625 / 0.345, 0.0225 / 0.345, 0.01 / 0.345, 0]),
        ("temperature", 100, [0.2525, 0.2508, 0.2495, 0.2485, 0]),
        ("top-k", 1, [1, 0, 0, 0, 0]),
        ("top-k", 2, [2 / 3, 1 / 3, 0, 0, 0]),
        ("top-k", 9, HALVES),
        ("top-p", 0.4, [1, 0, 0, 0, 0]),
        ("top-p", 0.6, [2 / 3, 1 / 3, 0, 0, 0]),
        ("top-p", 0.89, [5 / 9, 2.5 / 9, 1.5 / 9, 0, 0]),
        ("top-p", 1, HALVES),
        ("min-p", 0, HALVES),
        ("min-p", 0.25, [5 / 9, 2.5 / 9, 1.5 / 9, 0, 0]),
        ("min-p", 0.4, [2 / 3, 1 / 3, 0, 0, 0]),
        ("min-p", 1, [1, 0, 0, 0, 0]),
    ],
)
def test_a_link_leaves_what_it_should(name, value, expected):
    assert shaped(name, value, HALVES) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "value", "kept"), [("top-k", 2, [1, 3]), ("top-p", 0.3, [1]), ("min-p", 1, [1, 3, 4])]
)
def test_of_equals_those_with_the_lower_ids_stay_where_not_all_can(name, value, kept):
    assert np.flatnonzero(shaped(name, value, [0.1, 0.3, 0, 0.3, 0.3])).tolist() == kept


def sorted_out(logits, name, value):
    """What is kept of one row, by the definition: tokens from the likeliest down, of equals the lower id first."""
    order = np.argsort(-logits, kind="stable")
    weights = np.exp(logits[order] - logits.max())
    before = np.concatenate([[0], np.cumsum(weights)[:-1]])
    kept = np.arange(len(order)) < value if name == "top-k" else before < value * np.cumsum(weights)[-1]
    return np.sort(order[kept & (weights > 0)])


@pytest.mark.parametrize(("name", "value"), [("top-k", 3), ("top-k", 150), ("top-p", 0.5), ("top-p", 0.95)])
@pytest.mark.parametrize("levels", [3, 40, 0], ids=["many equals", "some equals", "no equals"])
@pytest.mark.parametrize("alive", [0.05, 1.0], ids=["few tokens", "all tokens"])
def test_what_is_kept_is_as_if_each_row_were_sorted(name, value, levels, alive):
    rng = np.random.default_rng(0)
    logits = rng.integers(0, levels, (40, 300)) / 8.0 if levels else 3 * rng.normal(size=(40, 300))
    logits[rng.random(logits.shape) > alive] = NONE
    logits[:, 299] = 0.0
    there = context(40)
    kept = make(name, value)(logits, there) > NONE
    for row, found in zip(logits, kept, strict=True):
        assert np.flatnonzero(found).tolist() == sorted_out(row, name, value).tolist()
        alone = make(name, value)(row[None], context(1)) > NONE
        assert np.array_equal(alone[0], found)


def test_a_repetition_penalty_lowers_pitches_that_were_written_lately():
    found = shaped("repetition-penalty", 2, [0.2] * 5, history=[1, 4, 1, 3])
    assert found == pytest.approx(np.array([2, 1, 2, 1, 2]) / 8)


def test_a_repetition_penalty_below_one_raises_them():
    assert shaped("repetition-penalty", 0.5, [0.2] * 5, history=[0]) == pytest.approx(np.array([2, 1, 1, 1, 1]) / 6)


def test_a_repetition_penalty_looks_back_no_further_than_its_window():
    found = shaped("repetition-penalty", 2, [0.2] * 5, history=[0, 1, 2], window=2)
    assert found == pytest.approx(np.array([2, 1, 1, 2, 2]) / 8)


def test_a_pitch_range_leaves_its_bounds_and_what_has_no_pitch():
    for text in ("D4:E4", "62:64"):
        assert make("pitch-range", text).mask(context(2)).tolist() == [[False, True, True, False, True]] * 2


@pytest.mark.parametrize("name", sorted(registry().offers["samplers"]))
def test_every_sampler_keeps_the_contract(name, tokenizer):
    for value in EXAMPLES.get(name, [None]):
        sampler = registry().make("samplers", name) if value is None else make(name, value)
        check_sampler(sampler, tokenizer)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_link_works_on_the_arrays_of_another_library(name):
    import torch

    there = context(2, history=[1, 3])
    zeros = torch.zeros(2, dtype=torch.int64)
    past, all_ = torch.from_numpy(there.history), torch.ones((2, 5), dtype=bool)
    tensors = Context(zeros, make_music(zeros), there.token_info, past, all_, RecentNotes(past, past, past))
    logits = np.array([[0.5, 2.0, -1.0, NONE, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    sampler = make(name, EXAMPLES[name][-1])
    if isinstance(sampler, HasMemory):
        memory = np.tile(sampler.begin_memory(there.token_info) + 0.5, (2, 1))
        there, tensors = replace(there, memory=memory), replace(tensors, memory=memory)
    if isinstance(sampler, Constraint):
        here, elsewhere = sampler.mask(there), sampler.mask(tensors)
    else:
        here, elsewhere = sampler(logits, there), sampler(torch.from_numpy(logits), tensors)
    assert isinstance(elsewhere, torch.Tensor)
    assert np.allclose(elsewhere.numpy(), here)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "0"),
        ("temperature", "-1"),
        ("temperature", "nan"),
        ("temperature", "warm"),
        ("top-k", "0"),
        ("top-k", "1.5"),
        ("top-p", "0"),
        ("top-p", "1.1"),
        ("min-p", "-0.1"),
        ("min-p", "2"),
        ("repetition-penalty", "0"),
        ("repetition-penalty", "nan"),
        ("pitch-range", "C5:C3"),
        ("pitch-range", "C5"),
        ("pitch-range", "H2:C3"),
        ("pitch-range", "C3:G99"),
    ],
)
def test_nonsense_is_refused_in_a_sentence_that_names_the_sampler(name, value):
    with pytest.raises(BadOption, match=rf"^sampler '{name}': .*\.$"):
        make(name, value)


def test_a_window_beyond_what_is_remembered_is_refused():
    with pytest.raises(BadOption, match="window must be from 1 to 1024"):
        make("repetition-penalty", 2, window=1025)
