"""Linear layers of one row in C: the bits that torch computes for many, or torch."""

import pytest
import torch

from composer.devices import run_alike
from composer.sampling import torch_products
from composer.sampling.torch_products import replace_products


@pytest.mark.parametrize(("inputs", "outputs", "bias"), [(24, 300, True), (256, 128, False), (520, 40, True)])
def test_one_row_has_the_bits_of_many(inputs, outputs, bias):
    torch.manual_seed(0)
    plain, rows = torch.nn.Sequential(torch.nn.Linear(inputs, outputs, bias=bias)), torch.randn(64, inputs)
    with run_alike():
        wanted = plain(rows)
        layer = replace_products(plain)
        assert torch.equal(layer(rows), wanted)
        if "forward" in vars(layer[0]):  # the order of sums is known on this machine
            assert all(torch.equal(layer(rows[n : n + 1]), wanted[n : n + 1]) for n in range(64))
            assert torch.equal(layer(rows[None, :2]), wanted[None, :2])
    assert layer[0].weight is plain[0].weight
    assert "forward" not in vars(plain[0])


def test_a_layer_whose_sums_are_in_another_order_is_left_to_torch(monkeypatch):
    plain = torch.nn.Sequential(torch.nn.Linear(1000, 40))
    monkeypatch.setattr(torch_products, "_make_forward", lambda *_: lambda rows: rows[:, :40])
    assert "forward" not in vars(replace_products(plain)[0])


def test_a_module_that_cannot_be_copied_is_left_to_torch():
    plain = torch.nn.Sequential(torch.nn.Linear(8, 8))
    plain.held = (number for number in range(3))
    assert replace_products(plain) is plain
