"""A linear recurrence by a loop beside the same by a parallel scan, with gradients, on the device at hand."""

from __future__ import annotations

import torch
from machine import describe, in_turn

from composer.devices import choose_device
from composer_minimal.layers import run_in_parallel, run_sequentially

ROWS, WIDTH = 16, 256
LENGTHS = (1, 16, 128, 512)


def main() -> None:
    """Print milliseconds of both for each length, and how often the scan fits into the loop."""
    print(describe())
    device = choose_device()
    for length in LENGTHS:
        shape = (ROWS, length, WIDTH)
        decay = torch.rand(shape, device=device, requires_grad=True)
        fresh = torch.randn(shape, device=device, requires_grad=True)
        before = torch.zeros(ROWS, WIDTH, device=device)
        heard = torch.randn(shape, device=device)

        def run(way, given=(decay, fresh, before), heard=heard) -> None:
            torch.autograd.grad(way(*given), given[:2], heard)
            if device.type == "cuda":
                torch.cuda.synchronize()

        found = in_turn({way.__name__: lambda way=way: run(way) for way in (run_sequentially, run_in_parallel)}, 3)
        loop, scan = (1000 * found[way.__name__] for way in (run_sequentially, run_in_parallel))
        print(f"{length:5} places: loop {loop:8.2f} ms, scan {scan:8.2f} ms, loop / scan {loop / scan:6.2f}")


if __name__ == "__main__":
    main()
