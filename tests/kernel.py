"""The kernels of minimal layers beside torch operations; run as a program, it prints the differences as JSON."""

import json
import sys

import torch

from composer_minimal import layers
from composer_minimal.kernel import run_scan
from composer_minimal.layers import CELLS, run_sequentially

SHAPES = [(2, 2, 3), (1, 64, 5), (1, 130, 33)]
"""Rows, places and units: less than a tile, a whole one, and a little more."""

SIZES = {"usual": 1.0, "open and shut": 100.0}


def run_reference(sums, before):
    """Gates and states by torch operations, in fp64."""
    split = CELLS[sums.shape[-1] // before.shape[-1]]
    return run_sequentially(*split(sums.double()), before.double())


def compare(device, kind, shape, size, dtype):
    """The largest differences of states, and of gradients by sums and by the first state."""
    rows, places, width = shape
    torch.manual_seed(places)
    sums = (size * torch.randn(rows, places, kind * width, device=device)).to(dtype).requires_grad_()
    before = torch.randn(rows, width, device=device).requires_grad_()
    heard = torch.randn(rows, places, width, device=device)
    found, wanted = run_scan(sums, before), run_reference(sums, before)
    gradients = torch.autograd.grad(found, (sums, before), heard)
    expected = torch.autograd.grad(wanted, (sums, before), heard.double())
    pairs = zip((found, *gradients), (wanted, *expected), strict=True)
    return [measure(one, other) for one, other in pairs]


def measure(found, wanted):
    """The largest difference, as a share of the largest number if that is above 1."""
    found, wanted = found.detach().double(), wanted.detach().double()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1))


def compare_layers(device):
    """The largest difference of what layers read by the kernel, beside the same in torch operations."""
    torch.manual_seed(0)
    made, x = layers.MinimalLayers("minGRU", 3, 5, 2, 0.0).to(device), torch.randn(2, 9, 3, device=device)
    found = []
    for has_kernel in (True, False):
        layers.has_kernel = lambda state, has_kernel=has_kernel: has_kernel
        layers.compiled.is_available = lambda state: False
        found.append(made(x)[0])
    return measure(*found)


if __name__ == "__main__":
    cases = [(kind, shape, "usual", "float32") for kind in CELLS for shape in SHAPES]
    cases += [
        (kind, SHAPES[1], *how) for kind in CELLS for how in (("open and shut", "float32"), ("usual", "bfloat16"))
    ]
    found = [(*case, compare(sys.argv[1], *case[:2], SIZES[case[2]], getattr(torch, case[3]))) for case in cases]
    print(json.dumps([found, compare_layers(sys.argv[1])]))
