"""Attention and slow layers: worked by hand, by a plain reference, and one function whole, in chunks and in steps."""

import pytest
import torch

from composer.building import build_module
from composer.errors import BadOption
from composer.plugins.registry import registry
from composer.testing import make_random_model
from composer.tokens.jit import c_compiler
from composer.types import Column
from composer_remembering.attention import AttentionToBars, AttentionToSteps
from composer_remembering.clock import find_ticks, sum_up
from composer_remembering.slow import SlowLayer
from composer_traced.steps import explain

CLOSE = 1e-5
PLACES = 23
COLUMNS = (Column("token", 11, tokens=True), Column("bar", 5), Column("place", 3))
SMALL = {"hidden_size": 8, "embedding_size": 6, "dropout": 0.0}
MEMORIES = {
    "steps": ("attention", {"window": 5, "attention_size": 8}),
    "bars": ("attention", {"over": "bars", "window": 3, "attention_size": 8}),
    "slow": ("hierarchical", {"slow_size": 4}),
}


def ticks_of(values, every=1, before=(-1, 0)):
    """The ticks of one row, and what the next chunk is given."""
    values = torch.tensor([values])
    return find_ticks(values, torch.zeros(1, values.shape[1], 1), torch.tensor([before], dtype=torch.float32), every)


def network(name, columns=COLUMNS, **options):
    torch.manual_seed(0)
    return build_module(registry().make("architectures", name, **SMALL, **options), columns, 11).eval()


def music(rows=3, columns=COLUMNS, places=PLACES):
    torch.manual_seed(1)
    drawn = [torch.randint(0, column.size, (rows, places)) for column in columns]
    return torch.stack(
        [one // 2 if column.name == "bar" else one for column, one in zip(columns, drawn, strict=True)], dim=-1
    )


def run(module, inputs, sizes):
    parts, state = [], None
    with torch.no_grad():
        for part in inputs.split(sizes, dim=1):
            logits, state = module(part, state)
            parts.append(logits)
    return torch.cat(parts, dim=1)


# --- ticks ------------------------------------------------------------------------------------------------------------


def test_a_change_of_the_bar_ticks_and_the_first_token_does_not():
    ticks, _ = ticks_of([3, 3, 4, 4, 4, 0])
    assert ticks.at.tolist() == [[0, 0, 1, 0, 0, 1]]
    assert ticks.number.tolist() == [[0, 0, 1, 1, 1, 2]]


def test_every_second_bar_ticks_across_chunks():
    whole, _ = ticks_of([0, 1, 1, 2, 3, 3, 4, 5], every=2)
    first, before = ticks_of([0, 1, 1], every=2)
    second, _ = ticks_of([2, 3, 3, 4, 5], 2, before[0].tolist())
    assert whole.at.tolist() == [[0, 0, 0, 1, 0, 0, 1, 0]]
    assert [*first.at[0].tolist(), *second.at[0].tolist()] == whole.at[0].tolist()


def test_a_bar_is_summed_up_by_its_end_and_its_mean():
    ticks, _ = ticks_of([0, 0, 1, 1, 2, 2])
    found, after = sum_up(torch.tensor([[[1.0], [2.0], [6.0], [5.0], [7.0], [9.0]]]), ticks, torch.zeros(1, 2))
    assert found.tolist() == [[[6, 3], [7, 6]]]
    assert after.tolist() == [[9, 1]]  # one place of the bar that has begun


def test_the_slow_state_changes_at_bar_lines_alone():
    torch.manual_seed(0)
    ticks, _ = ticks_of([0, 0, 1, 1, 1, 2])
    layer, hidden = SlowLayer(6, 4), torch.randn(1, 6, 3)
    slow, (_, last) = layer(hidden, ticks, layer.begin(hidden))
    assert [bool(slow[0, t].equal(slow[0, t - 1])) for t in range(1, 6)] == [True, False, True, True, False]
    assert not slow[0, :2].any()
    assert last[0].equal(slow[:, -1])


def test_a_summary_holds_nothing_of_the_bar_that_follows():
    torch.manual_seed(0)
    ticks, _ = ticks_of([0, 0, 1, 1, 1, 2])
    layer, hidden = SlowLayer(6, 4), torch.randn(1, 6, 3)
    other = hidden.clone()
    other[0, 3:5] += 1
    one, two = (layer(of, ticks, layer.begin(of))[0] for of in (hidden, other))
    assert one[:, :5].equal(two[:, :5])
    assert not one[:, 5].equal(two[:, 5])


# --- attention --------------------------------------------------------------------------------------------------------


def attend(memory, query, seen, nothing):
    """The context of one place by a loop over heads, from what it sees, the latest last."""
    context = []
    for head, vectors in zip(range(memory.heads), memory.distances, strict=True):
        own = slice(head * vectors.shape[1], (head + 1) * vectors.shape[1])
        near = vectors[len(vectors) - len(seen) :]
        matches = (memory.keys(seen)[:, own] + near) @ memory.queries(query)[own] / vectors.shape[1] ** 0.5
        matches = torch.cat([matches, matches.new_zeros(nothing)])
        context.append(matches.softmax(0)[: len(seen)] @ memory.values(seen)[:, own])
    return torch.cat(context)


@pytest.mark.parametrize("window", [2, 5, 23, 40])
def test_attention_to_steps_is_that_of_a_loop(window):
    torch.manual_seed(window)
    memory, hidden = AttentionToSteps(6, 6, 8, 2, window), torch.randn(2, PLACES, 6)
    found, _ = memory(hidden, None, memory.begin(hidden))
    for row, t in ((0, 0), (0, 1), (1, 6), (1, PLACES - 1)):
        expected = attend(memory, hidden[row, t], hidden[row, max(0, t + 1 - window) : t + 1], nothing=0)
        assert torch.allclose(found[row, t], expected, atol=CLOSE)


def test_attention_to_bars_is_that_of_a_loop():
    torch.manual_seed(0)
    memory, hidden = AttentionToBars(6, 12, 8, 2, 2), torch.randn(1, 8, 6)
    ticks, _ = ticks_of([0, 1, 1, 1, 2, 2, 3, 3])
    found, _ = memory(hidden, ticks, memory.begin(hidden))
    summaries, _ = sum_up(hidden, ticks, torch.zeros(1, 7))
    seen = {0: summaries[0, :0], 3: summaries[0, :1], 5: summaries[0, :2], 7: summaries[0, 1:3]}
    for t, bars in seen.items():
        assert torch.allclose(found[0, t], attend(memory, hidden[0, t], bars, nothing=1), atol=CLOSE)


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("core", ["mingru", "minlstm", "lstm", "gru", "rnn"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_a_sequence_is_the_same_whole_in_chunks_and_step_by_step(core, memory):
    name, options = MEMORIES[memory]
    module, inputs = network(name, core=core, **options), music()
    whole = run(module, inputs, PLACES)
    for sizes in ([1] * PLACES, [7, 1, 15], [2, 21]):
        assert float((run(module, inputs, sizes) - whole).abs().max()) < CLOSE


@pytest.mark.parametrize("options", [{"every": 2}, {"clock": "place", "every": 3}, {"clock": "token"}], ids=str)
@pytest.mark.parametrize("memory", ["bars", "slow"])
def test_any_feature_can_be_the_clock(memory, options):
    name, more = MEMORIES[memory]
    module, inputs = network(name, **more, **options), music()
    assert float((run(module, inputs, [1] * PLACES) - run(module, inputs, PLACES)).abs().max()) < CLOSE


def test_without_bars_a_tick_comes_after_32_tokens():
    columns = (COLUMNS[0], COLUMNS[2])
    module, inputs = network("hierarchical", columns, slow_size=4), music(1, columns, 70)
    with torch.no_grad():
        slow = [module(inputs[:, :length])[1][-1][0, 0] for length in (31, 32, 63, 64)]
    assert [bool(state.any()) for state in slow] == [False, True, True, True]
    assert slow[1].equal(slow[2])
    assert not slow[2].equal(slow[3])


def test_a_clock_that_is_no_feature_is_refused():
    with pytest.raises(BadOption, match="no feature 'beat' for clock; the features are token, bar, place"):
        network("hierarchical", clock="beat")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"layers": 1}, "layers must be at least 2"),
        ({"window": 1}, "window must be at least 2"),
        ({"attention_size": 10}, "a multiple of heads"),
        ({"every": 0}, "every must be"),
    ],
)
def test_what_cannot_be_built_is_refused(options, why):
    with pytest.raises(BadOption, match=why):
        registry().make("architectures", "attention", **options)


@pytest.mark.parametrize("memory", MEMORIES)
def test_half_precision_gives_every_weight_a_gradient(memory):
    name, options = MEMORIES[memory]
    module, inputs = network(name, **options).train(), music()
    with torch.autocast("cpu", torch.bfloat16):
        logits, _ = module(inputs)
    logits.float().square().sum().backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in module.parameters())


@pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")
@pytest.mark.parametrize("memory", MEMORIES)
def test_a_step_runs_in_c(memory):
    name, options = MEMORIES[memory]
    assert explain(make_random_model(name, "voices", **SMALL, **options)) == ""
