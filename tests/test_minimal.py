"""Minimal layers: worked by hand, and one function whole, in chunks, step by step, in a loop, in a scan and in C."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from composer.errors import BadModelFile, BadOption
from composer.plugins.registry import registry
from composer.testing import check_architecture, check_backend, make_random_model
from composer.tokens.jit import c_compiler
from composer_minimal import compiled
from composer_minimal import layers as module_of_layers
from composer_minimal.layers import MinimalLayers, run_in_parallel, run_sequentially
from composer_recurrent.dropout import Dropout

NAMES = ["mingru", "minlstm"]
KINDS = ["minGRU", "minLSTM"]
WAYS = [run_sequentially, run_in_parallel]
CLOSE = 1e-5
PLACES = 70


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
needs_compiler = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")


@pytest.fixture(params=[*WAYS, pytest.param(compiled.run_layer, marks=needs_compiler)], ids=lambda way: way.__name__)
def way(request, monkeypatch):
    """All ways in turn, whatever the device."""
    if request.param in WAYS:
        monkeypatch.setattr(module_of_layers, "run_recurrence", request.param)
        monkeypatch.setattr(compiled, "is_available", lambda state: False)
    return request.param


def without_compiler(function, *given):
    """What a function returns where no layer can be compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "is_available", lambda state: False)
        return function(*given)


def network(name, **options):
    """A small network with gates that open and shut, and its input (3, PLACES, 2)."""
    torch.manual_seed(0)
    options = {"hidden_size": 7, "embedding_size": 6, "layers": 3, "dropout": 0.0, **options}
    module = registry().make("architectures", name, **options).build_module((11, 5), 11)
    with torch.no_grad():
        for gates in module.recurrence.gates:
            gates.weight *= 4
    return module, torch.stack([torch.randint(0, size, (3, PLACES)) for size in (11, 5)], dim=-1)


def off(found, expected):
    return float((found - expected).detach().abs().max())


# --- the recurrence ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [1, 2, 3, 7, 8, 100])
@pytest.mark.parametrize("decays", ["any", "all 0", "all 1", "nearly 0"])
def test_loop_and_scan_give_the_same_states_and_gradients(places, decays):
    torch.manual_seed(places)
    decay = torch.rand(3, places, 5)
    decay = {"any": decay, "all 0": 0 * decay, "all 1": decay**0, "nearly 0": 1e-30 * decay}[decays]
    given = [tensor.requires_grad_() for tensor in (decay, torch.randn(3, places, 5), torch.randn(3, 5))]
    heard = torch.randn(3, places, 5)
    states = [way(*given) for way in WAYS]
    gradients = [torch.autograd.grad(hidden, given, heard) for hidden in states]
    assert all(gradient.isfinite().all() for gradient in gradients[1])
    largest = max(1.0, off(states[0], 0))
    assert off(states[1], states[0]) < CLOSE * largest
    assert all(off(*pair) < CLOSE * largest**2 for pair in zip(*gradients, strict=True))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_three_places_by_hand(way):
    decay, fresh = torch.tensor([[[0.5], [1.0], [0.0]]]), torch.tensor([[[1.0], [2.0], [7.0]]])
    assert way(decay, fresh, torch.tensor([[4.0]])).flatten().tolist() == [3.0, 5.0, 7.0]
    assert way(decay, fresh, torch.tensor([[0.0]])).flatten().tolist() == [1.0, 3.0, 7.0]


@pytest.mark.skipif(find_spec("triton") is None, reason="there is no Triton here")
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_kernels_of_a_gpu_give_the_states_and_gradients_of_the_loop(device):
    environment = {**os.environ, **({"TRITON_INTERPRET": "1"} if device == "cpu" else {})}
    run = [sys.executable, str(Path(__file__).with_name("kernel.py")), device]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=600, check=True)
    cases, layers_off = json.loads(done.stdout)
    for *case, precision, differences in cases:
        rounded = 1e-2 if precision == "bfloat16" else CLOSE  # gradients of sums have their precision
        states, by_sums, by_first = differences
        assert states < CLOSE, case
        assert by_sums < rounded, case
        assert by_first < CLOSE, case
    assert layers_off < CLOSE


# --- the cells --------------------------------------------------------------------------------------------------------


def one_unit(kind, weights):
    """One layer of one unit that is given one number; the logistic of log(3) is 3/4."""
    made = MinimalLayers(kind, 1, 1, 1, 0.0)
    with torch.no_grad():
        made.gates[0].weight.copy_(torch.tensor(weights)[:, None])
        made.gates[0].bias.zero_()
    return made


LOG3 = math.log(3)
AT_MINUS_1 = 1 / (1 + math.e)  # g(-1), the logistic of -1


@pytest.mark.parametrize(
    ("kind", "weights", "states"),
    [
        # z = 3/4, 1/2, 1/4; g = 1.5, 0.5 and the logistic of -1
        ("minGRU", [LOG3, 1.0], [3 / 4 * 1.5, 0.8125, 3 / 4 * 0.8125 + 1 / 4 * AT_MINUS_1]),
        # f = 3/4, 1/2, 1/4 and i = 1/2: of the sum, f is 3/5, 1/2, 1/3
        ("minLSTM", [LOG3, 0.0, 1.0], [2 / 5 * 1.5, 0.55, 1 / 3 * 0.55 + 2 / 3 * AT_MINUS_1]),
    ],
)
def test_three_steps_by_hand(way, kind, weights, states):
    layer, x = one_unit(kind, weights), torch.tensor([[[1.0], [0.0], [-1.0]]])
    for places, expected in enumerate(states, start=1):
        assert layer(x[:, :places])[1].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gates_that_are_shut_or_open_for_good_leave_numbers_and_gradients(way, kind):
    layer = one_unit(kind, [1.0] * (2 if kind == "minGRU" else 3))
    x = torch.tensor([[[-1e4], [1e4], [-200.0], [200.0], [0.0]]])
    read, state = layer(x)
    state.sum().backward()
    assert read.isfinite().all()
    assert state.isfinite().all()
    assert layer.gates[0].weight.grad.isfinite().all()


def test_a_state_that_fades_by_a_thousandth_is_not_rounded_away_in_bf16(way):
    layer = one_unit("minGRU", [0.0, 0.0])
    with torch.no_grad():
        layer.gates[0].bias.copy_(torch.tensor([-math.log(999), 0.5]))  # z = 1/1000, g = 1
    x = torch.zeros(1, 1000, 1)
    with torch.autocast("cpu", torch.bfloat16):
        _, state = layer(x[:, :500])
        _, state = layer(x[:, 500:], state)
    assert state.item() == pytest.approx(1 - 0.999**1000, rel=0.02)


# --- the layers -------------------------------------------------------------------------------------------------------


@pytest.mark.uncounted
@pytest.mark.parametrize("name", NAMES)
def test_the_contract_holds_both_ways(way, name):
    check_architecture(registry().make("architectures", name, hidden_size=8, embedding_size=8, layers=3))


@pytest.mark.parametrize("name", NAMES)
def test_whole_networks_agree_in_logits_and_gradients(monkeypatch, name):
    monkeypatch.setattr(compiled, "is_available", lambda state: False)
    module, inputs = network(name)
    found = []
    for way in WAYS:
        monkeypatch.setattr(module_of_layers, "run_recurrence", way)
        logits, (state,) = module(inputs)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), inputs[..., 0].flatten())
        found.append([logits, state, *torch.autograd.grad(loss, list(module.parameters()))])
    assert all(off(scanned, looped) < CLOSE for looped, scanned in zip(*found, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunk", [1, 3, 16, 64])
def test_a_state_that_one_way_leaves_goes_on_in_the_other(monkeypatch, name, chunk):
    module, inputs = network(name)
    with torch.no_grad():
        whole, (last,) = module(inputs)
        logits, state = [], None
        for number, part in enumerate(inputs.split(chunk, dim=1)):
            monkeypatch.setattr(module_of_layers, "run_recurrence", WAYS[number % 2])
            found, state = module(part, state)
            logits.append(found)
    assert off(torch.cat(logits, dim=1), whole) < CLOSE
    assert off(state[0], last) < CLOSE


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_heard_of_other_rows_of_later_places_or_of_an_earlier_call(way, name):
    module, inputs = network(name)
    with torch.no_grad():
        before, (state,) = module(inputs)
        changed = inputs.clone()
        changed[1, 30:, 0] = (changed[1, 30:, 0] + 1) % 11
        after, _ = module(changed)
        silent = torch.zeros_like(state)
        again, _ = module(inputs, (silent,))
    assert after[[0, 2]].equal(before[[0, 2]])
    assert after[1, :30].equal(before[1, :30])
    assert not after[1, 30:].equal(before[1, 30:])
    assert again.equal(before)  # a state of zeros is that before the first token
    assert not silent.any()  # and it is left as it was


@pytest.mark.parametrize("width", [33, 250, 300])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_a_row_is_the_same_bits_in_any_batch_at_widths_that_fill_no_vector(backend, width):
    model = make_random_model("mingru", "voices", hidden_size=width, embedding_size=24, layers=2)
    check_backend(registry().make("backends", backend), model)


@pytest.mark.parametrize("name", NAMES)
def test_a_layer_adds_to_what_is_below(name):
    """The output reads the sum of the layers, normalised: with a silent layer on top, it reads as without one."""
    torch.manual_seed(0)
    kind = dict(zip(NAMES, KINDS, strict=True))[name]
    two = MinimalLayers(kind, 4, 5, 2, 0.0)
    one = MinimalLayers(kind, 4, 5, 1, 0.0)
    one.load_state_dict({key: weight for key, weight in two.state_dict().items() if ".0." in key})
    x = torch.randn(2, 6, 4)
    with torch.no_grad():
        two.gates[1].weight.zero_()
        two.gates[1].bias.zero_()
        two.gates[1].bias[-5:] = -100.0  # g of it is 0
        read, expected = two(x)[0], one(x)[0]
    assert off(read, expected) < CLOSE
    assert off(read.mean(-1), torch.zeros(2, 6)) < CLOSE
    assert off(read.var(-1, correction=0), torch.ones(2, 6)) < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_a_single_unit_which_a_norm_would_silence_is_refused(name):
    with pytest.raises(BadOption, match="hidden_size must be at least 2"):
        registry().make("architectures", name, hidden_size=1)


# --- in C -------------------------------------------------------------------------------------------------------------


def trained(kind, shape, dtype, *, low=False, layers=3, threads=1):
    """What layers with dropout compute for random input and states, with all gradients."""
    rows, places, size, width = shape
    torch.manual_seed(1)  # by which no sum is so near 0, where g has a kink, that rounding decides
    module = MinimalLayers(kind, size, width, layers, 0.3).to(dtype).train()
    given = [torch.randn(rows, places, size, dtype=dtype), torch.randn(layers, rows, width, dtype=dtype)]
    given = [tensor.requires_grad_() for tensor in given]
    heard = torch.randn(rows, places, width, dtype=dtype), torch.randn(layers, rows, width, dtype=dtype)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            read, state = module(*given)
        return [read, state, *torch.autograd.grad((read, state), [*given, *module.parameters()], heard)]
    finally:
        torch.set_num_threads(before)


def distance(found, expected):
    """The largest relative error of all arrays, beside the largest number of each."""
    return max(off(*pair) / float(pair[1].detach().abs().max()) for pair in zip(found, expected, strict=True))


SHAPES = [(1, 2, 3, 2), (3, 7, 5, 7), (2, 33, 17, 65), (5, 16, 32, 48)]


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_c_computes_what_torch_does_and_the_same_gradients(kind, shape):
    for dtype, close in ((torch.float64, 1e-11), (torch.float32, 1e-3)):
        assert distance(trained(kind, shape, dtype), without_compiler(trained, kind, shape, dtype)) < close


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_in_bf16_the_c_code_is_about_as_near_to_fp32_as_torch_is(kind):
    shape = (4, 40, 24, 32)
    exact, found = (trained(kind, shape, torch.float32, low=low) for low in (False, True))
    usual = without_compiler(lambda: trained(kind, shape, torch.float32, low=True))
    errors = [
        sum(float(((a - b).square().mean() / b.square().mean()).detach()) for a, b in zip(way, exact, strict=True))
        for way in (found, usual)
    ]
    assert errors[0] < 3 * errors[1]


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropped", [False, True])
def test_gradients_of_the_c_code_are_those_of_differences(kind, dropped):
    torch.manual_seed(1)
    sums = {"minGRU": 2, "minLSTM": 3}[kind] * 5
    shapes = (2, 4, sums), (sums,), (2, 5), (2, 4, 5)
    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    drop = Dropout(0.4).draw((2, 4, 5), torch.device("cpu")) if dropped else None
    assert torch.autograd.gradcheck(lambda *given: compiled.run_layer(*given, drop, False), given)
    assert torch.autograd.gradcheck(lambda *given: compiled.run_layer(*given, None, drop, False), given[:3])


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("low", [False, True])
def test_no_bit_of_the_c_code_depends_on_the_threads(kind, low):
    rows, places, width = 7, 9, 33
    sums = torch.randn(rows, places, {"minGRU": 2, "minLSTM": 3}[kind] * width)
    found = []
    for threads in (1, 2, 5):
        given = [sums.clone(), torch.zeros(sums.shape[2]), torch.ones(rows, width), torch.ones(rows, places, width)]
        given = [tensor.requires_grad_() for tensor in given]
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        made = compiled.run_layer(given[0].bfloat16() if low else given[0], *given[1:], None, low)
        found.append([*made, *torch.autograd.grad([one.sum() for one in made], given)])
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(a.equal(b) for a, b in zip(found[0], other, strict=True))


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e38, -1e38, 1e-40, 200.0, -200.0])
def test_nan_infinity_and_denormals_go_as_far_as_in_torch(kind, odd):
    sums = {"minGRU": 2, "minLSTM": 3}[kind]
    for number in range(sums):
        layer = one_unit(kind, [1.0] * sums)
        x = torch.zeros(2, 6, 1)

        def states(layer=layer, x=x, number=number):
            with torch.no_grad():
                layer.gates[0].weight.zero_()
                layer.gates[0].weight[number] = 1.0
                x[0, 3] = odd
                x[0, 0] = 1.0
            inputs = x.clone().requires_grad_()
            _, state = layer(inputs)
            return [state, *torch.autograd.grad(state.sum(), [inputs, *layer.parameters()])]

        for found, expected in zip(states(), without_compiler(states), strict=True):
            assert found.isfinite().equal(expected.isfinite())
            assert torch.allclose(found.nan_to_num(), expected.nan_to_num(), rtol=1e-4, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("name", NAMES)
def test_training_learns_the_same_with_and_without_a_compiler(name):
    def learn():
        module, inputs = network(name, dropout=0.3)
        optimiser, losses = torch.optim.SGD(module.train().parameters(), 0.1), []
        for _ in range(5):
            loss = torch.nn.functional.cross_entropy(module(inputs)[0].flatten(0, 1), inputs[..., 0].flatten())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses

    assert learn() == pytest.approx(without_compiler(learn), rel=1e-4)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_another_shape_are_refused_without_torch_too(name):
    model = make_random_model(name, "voices", hidden_size=8, embedding_size=8, layers=2)
    deeper = replace(
        model, architecture=replace(model.architecture, options={**model.architecture.options, "layers": 3})
    )
    gates = "recurrence.gates.1.weight"
    fewer = replace(model, weights={**model.weights, gates: model.weights[gates][:-1]})
    for broken in (deeper, fewer):
        with pytest.raises(BadModelFile, match="its weights do not fit its architecture"):
            broken.make_cell()
        with pytest.raises(BadModelFile, match="its weights do not fit its architecture"):
            broken.make_module()
