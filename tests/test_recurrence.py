"""Recurrent layers in training: compiled C beside torch's layers, their gradients, and what only makes them faster."""

import numpy as np
import pytest
import torch
from torch import nn

from composer.plugins.registry import registry
from composer.testing import check_architecture
from composer.tokens.jit import c_compiler
from composer_recurrent import c_code, compiled, products
from composer_recurrent.dropout import Dropout, hash_positions
from composer_recurrent.layers import LAYERS, make_torch_layers
from composer_recurrent.network import sum_rows

needs_compiler = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")
KINDS = sorted(LAYERS)
SHAPES = [(1, 2, 1, 1, 1), (3, 7, 5, 7, 3), (5, 33, 17, 16, 2)]


@pytest.fixture(autouse=True)
def always_in_c(monkeypatch):
    """An LSTM in C as well, whatever is faster."""
    monkeypatch.setattr(LAYERS["LSTM"], "_prefers_c", lambda self, x: True)


def off(found, expected):
    """The largest difference, beside the largest number."""
    return float(((found - expected).abs().max() / expected.abs().max()).detach())


def trained(kind, shape, dtype, *, ours, low=False, dropout=0.3):
    """What layers compute for random input and states, with all gradients; ours, or torch's own."""
    rows, steps, size, width, layers = shape
    torch.manual_seed(0)
    module = make_torch_layers(kind, size, width, layers, dropout).to(dtype)
    if not ours:
        plain = getattr(nn, kind)(size, width, layers, batch_first=True, dropout=module.dropout).to(dtype)
        plain.load_state_dict(module.state_dict())
        module = plain
    torch.manual_seed(1)
    parts = 2 if kind == "LSTM" else 1
    given = [torch.randn(rows, steps, size, dtype=dtype), *torch.randn(parts, layers, rows, width, dtype=dtype)]
    given = [tensor.requires_grad_() for tensor in given]
    heard = [torch.randn(rows, steps, width), *torch.randn(parts, layers, rows, width)]
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        read, state = module(given[0], tuple(given[1:]) if parts > 1 else given[1])
    made = [read, *(state if parts > 1 else [state])]
    heard = [gradient.to(tensor.dtype) for gradient, tensor in zip(heard, made, strict=True)]
    return [*made, *torch.autograd.grad(made, [*given, *module.parameters()], heard)]


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_c_computes_what_torch_does_and_the_same_gradients(kind, shape):
    for dtype, close in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        pairs = zip(*(trained(kind, shape, dtype, ours=ours, dropout=0.0) for ours in (True, False)), strict=True)
        assert max(off(*pair) for pair in pairs) < close


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("low", [False, True])
def test_without_a_compiler_the_same_numbers_are_dropped(monkeypatch, kind, low):
    shape, found = (5, 9, 17, 16, 3), []
    for library in (c_code.c_compiler.load_library, lambda *_: None):
        monkeypatch.setattr(c_code.c_compiler, "load_library", library)
        found.append(trained(kind, shape, torch.float32, ours=True, low=low))
    assert max(off(*pair) for pair in zip(*found, strict=True)) < (0.1 if low else 2e-5)


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout_in_c_is_that_in_torch_bit_for_bit(monkeypatch, dtype):
    x, found = torch.randn(3, 5, 7, dtype=dtype), []
    x[0, 0] = torch.nan
    for library in (c_code.c_compiler.load_library, lambda *_: None):
        monkeypatch.setattr(c_code.c_compiler, "load_library", library)
        torch.manual_seed(0)
        given = x.transpose(0, 1).clone().transpose(0, 1).requires_grad_()
        made = Dropout(0.3).train()(given)
        found.append(torch.stack([made, torch.autograd.grad(made.sum(), given)[0]]).detach())
    assert found[0].nan_to_num(7).equal(found[1].nan_to_num(7))


@needs_compiler
@pytest.mark.parametrize("size", [0, 1, 2, 33, 40_001])
def test_c_drops_what_numpy_drops(monkeypatch, size):
    found = []
    for library in (c_code.c_compiler.load_library, lambda *_: None):
        monkeypatch.setattr(c_code.c_compiler, "load_library", library)
        torch.manual_seed(5)
        found.append(Dropout(0.3).train().draw((size,), torch.device("cpu")).levels)
    assert found[0].equal(found[1])


def test_levels_are_spread_evenly_and_neighbours_and_seeds_have_nothing_in_common():
    levels = hash_positions(12345, 200_000).view(np.uint16).astype(float) / 2**16
    assert abs(levels.mean() - 0.5) < 0.003
    assert abs(levels.std() - 12**-0.5) < 0.003
    others = [levels[apart:] for apart in (1, 2, 3, 16, 256)]
    others += [hash_positions(seed, 200_000).view(np.uint16) for seed in (12346, 12345 + 2**32)]
    for other in others:
        assert abs(np.corrcoef(levels[: len(other)], other)[0, 1]) < 0.01


@pytest.mark.parametrize("name", ["gru", "mingru"])
def test_in_bf16_the_input_of_the_layers_is_rounded_in_training_alone(name):
    torch.manual_seed(0)
    module = registry().make("architectures", name, hidden_size=32, embedding_size=32).build_module([9, 5], 9)
    inputs, seen = torch.randint(0, 5, (3, 8, 2)), []
    module.recurrence.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    for training in (False, True):
        with torch.autocast("cpu", torch.bfloat16):
            logits = module.train(training)(inputs)[0]
    logits.float().sum().backward()
    assert [x.dtype for x in seen] == [torch.float32, torch.bfloat16]
    assert module.embedding.weight.grad.dtype == torch.float32


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_in_bf16_c_is_at_least_about_as_near_to_fp32_as_torch_is(kind):
    shape = (4, 40, 24, 32, 2)
    exact = trained(kind, shape, torch.float32, ours=True, dropout=0.0)
    errors = []
    for ours in (True, False):
        made = trained(kind, shape, torch.float32, ours=ours, low=True, dropout=0.0)
        errors.append(sum(off(*pair) for pair in zip(made, exact, strict=True)))
    assert errors[0] < 1.5 * errors[1]


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_differences(kind):
    torch.manual_seed(0)
    module = make_torch_layers(kind, 3, 4, 2, 0.0).double()
    state = [torch.randn(2, 2, 4, dtype=torch.float64) for _ in range(2 if kind == "LSTM" else 1)]
    given = [torch.randn(2, 3, 3, dtype=torch.float64), *state]
    given = [tensor.requires_grad_() for tensor in given]
    names = [name for name, _ in module.named_parameters()]

    def run(x, *rest):
        before = rest[: len(state)]
        weights = dict(zip(names, rest[len(state) :], strict=True))
        read, after = torch.func.functional_call(module, weights, (x, before if len(before) > 1 else before[0]))
        return (read, *(after if len(before) > 1 else (after,)))

    assert torch.autograd.gradcheck(run, (*given, *module.parameters()))


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_a_chunk_after_another_is_the_whole(kind):
    torch.manual_seed(0)
    module, x = make_torch_layers(kind, 5, 6, 2, 0.0), torch.randn(3, 20, 5)
    whole, last = module(x)
    read, state = [], None
    for chunk in x.split(7, dim=1):
        found, state = module(chunk, state)
        read.append(found)
    with torch.no_grad():
        stepwise, _ = module(x)
    assert off(torch.cat(read, dim=1), whole) < 1e-5
    assert off(stepwise, whole) < 1e-5
    for found, expected in zip(state if kind == "LSTM" else [state], last if kind == "LSTM" else [last], strict=True):
        assert off(found, expected) < 1e-5


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_a_nan_reaches_its_own_row_from_its_step_on_and_no_other(kind):
    module, x = make_torch_layers(kind, 5, 6, 2, 0.0), torch.randn(3, 9, 5)
    x[1, 4, 2] = torch.nan
    read, _ = module(x)
    assert read[[0, 2]].isfinite().all()
    assert read[1, :4].isfinite().all()
    assert read[1, 4:].isnan().all()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_compiler_and_without_gradients_torch_computes(kind, monkeypatch):
    asked = []
    monkeypatch.setattr(compiled, "run_layer", lambda *given: asked.append(given))
    module, x = make_torch_layers(kind, 5, 6, 2, 0.0), torch.randn(3, 9, 5)
    with torch.no_grad():
        module(x)
    module(x[:, :1])
    monkeypatch.setattr(compiled, "is_available", lambda *_: False)
    module(x)
    assert not asked


@needs_compiler
@pytest.mark.parametrize("name", ["gru", "lstm", "rnn"])
def test_the_contract_holds(name):
    check_architecture(registry().make("architectures", name, hidden_size=8, embedding_size=8, layers=2))


# --- products, the embedding and the output ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 7), (4, 16, 64, 33)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_product_by_onednn_is_the_linear_function(monkeypatch, shape, bias):
    monkeypatch.setattr(products, "prefers_onednn", lambda: hasattr(torch.ops.mkldnn, "_linear_pointwise"))
    rows, places, size, width = shape
    torch.manual_seed(0)
    given = [torch.randn(rows, places, size), torch.randn(width, size), torch.randn(width)][: 3 if bias else 2]
    given = [tensor.requires_grad_() for tensor in given]
    heard, found = torch.randn(rows, places, width), []
    for function in (products.multiply, nn.functional.linear):
        made = function(*given)
        found.append([made, *torch.autograd.grad(made, given, heard)])
    assert max(off(*pair) for pair in zip(*found, strict=True)) < 1e-5


@pytest.mark.parametrize(("lines", "columns", "table"), [(1, 1, 1), (5, 3, 11), (400, 27, 90)])
def test_the_gradient_of_summed_rows_is_that_of_torch(lines, columns, table):
    torch.manual_seed(0)
    rows, weights = torch.randint(0, table, (lines, columns)), torch.randn(table, 6, requires_grad=True)
    heard, found = torch.randn(lines, 6), []
    for function in (sum_rows, lambda weights, rows: nn.functional.embedding_bag(rows, weights, mode="sum")):
        made = function(weights, rows)
        found.append([made, torch.autograd.grad(made, weights, heard)[0]])
    assert found[0][0].equal(found[1][0])
    assert off(found[0][1], found[1][1]) < 1e-5


@pytest.mark.parametrize("name", ["gru", "mingru"])
def test_a_network_in_training_computes_what_it_computes_elsewhere(name):
    torch.manual_seed(0)
    sizes = (11, 5, 11)
    options = {"hidden_size": 8, "embedding_size": 8, "dropout": 0.0}
    module = registry().make("architectures", name, **options).build_module(sizes, 11)
    nn.init.normal_(module.pointer.weight)
    inputs = torch.stack([torch.randint(0, size, (2, 9)) for size in sizes], dim=-1)
    with torch.no_grad():
        expected, _ = module.eval()(inputs)
    found, _ = module.train()(inputs)
    assert off(found, expected) < 1e-5
