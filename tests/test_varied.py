"""LSTMs with norms, and with dropout of candidates or of recurrent weights."""

import pytest
import torch

from composer.building import build_module
from composer.errors import BadOption
from composer.plugins.registry import registry
from composer.testing.backends import make_columns

SIZES = (11, 4, 11)
NEARLY_ALL = 0.99999


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
