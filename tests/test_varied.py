"""LSTMs with norms, and with dropout of candidates or of recurrent weights."""

import pytest
import torch

from composer.building import build_module
from composer.errors import BadOption
from composer.plugins.registry import registry
from composer.testing.backends import make_columns
from composer.tokens.jit import c_compiler
from composer_recurrent import compiled_varied
from composer_recurrent.varied import make_varied_lstm

SIZES = (11, 4, 11)
NEARLY_ALL = 0.99999
NOTHING = {"layer_norm": False, "recurrent_dropout": 0.0, "weight_dropout": 0.0}
VARIANTS = [
    {"layer_norm": True},
    {"recurrent_dropout": 0.3},
    {"layer_norm": True, "recurrent_dropout": 0.3, "weight_dropout": 0.2},
]

needs_compiler = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")


def network(**options):
    torch.manual_seed(0)
    given = {"hidden_size": 6, "layers": 2, "embedding_size": 5, "dropout": 0.0, **options}
    return build_module(registry().make("architectures", "lstm", **given), make_columns(SIZES, 11), 11)


def music():
    torch.manual_seed(1)
    return torch.stack([torch.randint(0, size, (3, 12)) for size in SIZES], dim=-1)


@pytest.mark.parametrize("options", [{"recurrent_dropout": 0.3}, {"weight_dropout": 0.3}], ids=str)
def test_nothing_is_dropped_but_in_training(options):
    plain, varied = network(), network(**options)
    wanted = plain.eval()(music())[0]
    assert varied.eval()(music())[0].equal(wanted)
    assert not torch.allclose(varied.train()(music())[0], wanted, atol=1e-3)


def test_steps_in_torch_are_those_of_torchs_layers():
    plain, varied = network(), network(recurrent_dropout=1e-9)  # which is rounded to none
    assert torch.allclose(varied.train()(music())[0], plain.train()(music())[0], atol=1e-6)


def test_dropped_candidates_leave_the_past_of_the_cell():
    module = network(recurrent_dropout=NEARLY_ALL, layers=1).train()
    before = (torch.zeros(1, 1, 6), torch.ones(1, 1, 6))
    _, (_, cell) = module.recurrence(torch.zeros(1, 1, 5), before)
    _, _, bias, state_bias = module.recurrence.get_weights(0)
    forget = torch.sigmoid(bias + state_bias)[6:12]
    assert torch.allclose(cell[0, 0], forget)


def test_dropped_weights_are_those_of_the_state_and_differ_from_batch_to_batch():
    layers = network(weight_dropout=0.5).train().recurrence
    (inputs, recurrent, *_), (same, other, *_) = layers.get_weights(1), layers.get_weights(1)
    assert inputs.equal(same)
    assert inputs.equal(layers.weight_ih_l1)
    kept = recurrent != 0
    assert torch.allclose(recurrent[kept], 2 * layers.weight_hh_l1[kept], rtol=1e-4)
    assert 0.3 < float(kept.float().mean()) < 0.7
    assert not recurrent.equal(other)


def test_with_norms_the_size_of_the_weights_does_not_matter():
    module, inputs = network(layer_norm=True).eval(), music()
    before = module(inputs)[0]
    with torch.no_grad():
        for layer in range(2):
            getattr(module.recurrence, f"weight_ih_l{layer}").mul_(7)
            getattr(module.recurrence, f"weight_hh_l{layer}").mul_(3)
    assert torch.allclose(module(inputs)[0], before, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recurrent_dropout": 1.0}, "must be at least 0 and less than 1"),
        ({"weight_dropout": -0.1}, "must be at least 0 and less than 1"),
        ({"layer_norm": True, "hidden_size": 1}, "hidden_size must be at least 2 with layer_norm"),
    ],
    ids=str,
)
def test_options_that_make_no_network_are_refused(options, said):
    with pytest.raises(BadOption, match=said):
        registry().make("architectures", "lstm", **options)


def trained(options, dtype, *, low=False):
    """What layers compute for random input and states while training, with all gradients."""
    torch.manual_seed(0)
    layers = make_varied_lstm(7, 16, 2, 0.2, **{**NOTHING, **options}).to(dtype)
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    shapes = ((5, 12, 7), (2, 5, 16), (2, 5, 16))
    x, *state = (torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes)
    with torch.autocast("cpu", torch.bfloat16, enabled=low):
        read, after = layers(x, tuple(state))
    made = (read, *after)
    heard = [torch.randn_like(tensor) for tensor in made]
    return [*made, *torch.autograd.grad(made, [x, *state, *layers.parameters()], heard)]


@needs_compiler
@pytest.mark.parametrize("options", VARIANTS, ids=str)
@pytest.mark.parametrize(
    ("dtype", "low", "close"),
    [(torch.float64, False, 1e-11), (torch.float32, False, 1e-4), (torch.float32, True, 0.05)],
    ids=str,
)
def test_c_computes_what_torch_does_and_the_same_gradients(monkeypatch, options, dtype, low, close):
    compiled = trained(options, dtype, low=low)
    monkeypatch.setattr(compiled_varied, "load_library", lambda _: None)
    for found, expected in zip(compiled, trained(options, dtype, low=low), strict=True):
        assert float((found - expected).detach().abs().max() / expected.detach().abs().max()) < close


@needs_compiler
def test_gradients_are_those_of_differences():
    torch.manual_seed(0)
    layers = make_varied_lstm(3, 4, 2, 0.0, **NOTHING | {"layer_norm": True}).double()
    given = [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in ((2, 3, 3), (2, 2, 4), (2, 2, 4))]
    names = [name for name, _ in layers.named_parameters()]

    def run(x, hidden, cell, *weights):
        read, after = torch.func.functional_call(layers, dict(zip(names, weights, strict=True)), (x, (hidden, cell)))
        return read, *after

    assert torch.autograd.gradcheck(run, (*given, *layers.parameters()))
