"""Gates and recurrence of a minimal layer on a GPU: a parallel scan in one kernel of Triton, and one for gradients.

A program has one row and some units. It walks over time in tiles, and scans each tile in parallel (Blelloch 1990); the
last state of a tile is carried to the next. The tile is read as sums of gates and written as states, so that decays and
additions are never in memory. For gradients it walks back, and computes the gates again. Numbers are in fp32; sums may
be in bf16. The order of sums does not depend on the number of rows.

The reference is `run_recurrence` in `layers`. With TRITON_INTERPRET=1 the kernels run on a CPU, for tests.
"""

# Kernels are compiled from their source, in which types are of Triton's.
# ruff: noqa: ANN001, ANN202, N803, RUF059
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

TIMES, UNITS = 64, 32
"""Size of a tile."""


def run_scan(sums: Tensor, before: Tensor) -> Tensor:
    """Compute the states (B, T, H) from the sums (B, T, 2 or 3 times H) of gates and the state (B, H) before them."""
    return _Scan.apply(sums, before)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, before: Tensor) -> Tensor:
        sums, before = sums.contiguous(), before.contiguous()
        hidden = before.new_empty((*sums.shape[:2], before.shape[-1]))
        _launch(_run_forward, sums, before, hidden)
        ctx.save_for_backward(sums, before, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, heard: Tensor) -> tuple[Tensor, Tensor]:
        sums, before, hidden = ctx.saved_tensors
        d_sums, d_before = torch.empty_like(sums), torch.empty_like(before)
        _launch(_run_backward, sums, before, hidden, heard.contiguous(), d_sums, d_before)
        return d_sums, d_before


def _launch(kernel: Any, sums: Tensor, before: Tensor, *others: Tensor) -> None:
    (rows, width), places = before.shape, sums.shape[1]
    with torch.cuda.device_of(sums):
        grid = (rows, triton.cdiv(width, UNITS))
        kernel[grid](sums, before, *others, places, width, KIND=sums.shape[2] // width, TIMES=TIMES, UNITS=UNITS)


# --- on the device ----------------------------------------------------------------------------------------------------


@triton.jit
def _combine(decay, added, later_decay, later_added):
    """Join two steps h -> decay * h + added to one."""
    return decay * later_decay, later_decay * added + later_added


@triton.jit
def _sigmoid(x):
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def _log_sigmoid(x):
    return tl.minimum(x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(x)))


@triton.jit
def _load_odds(sums, mask, width, KIND: tl.constexpr):
    """Load the gates at these addresses; return the log odds that the state is kept, and both gates."""
    first = tl.load(sums, mask=mask, other=0.0).to(tl.float32)
    if KIND == 2:
        second = first
        odds = -first
    else:
        second = tl.load(sums + width, mask=mask, other=0.0).to(tl.float32)
        odds = _log_sigmoid(first) - _log_sigmoid(second)
    return odds, first, second


@triton.jit
def _run_forward(sums, before, hidden, places, width, KIND: tl.constexpr, TIMES: tl.constexpr, UNITS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * UNITS + tl.arange(0, UNITS)
    carried = tl.load(before + row * width + unit, mask=unit < width, other=0.0)
    within = tl.arange(0, TIMES)
    for start in range(0, places, TIMES):
        time = start + within
        mask = (time < places)[:, None] & (unit < width)[None, :]
        place = (row * places + time)[:, None]
        gates = sums + place * (KIND * width) + unit[None, :]
        odds, first, second = _load_odds(gates, mask, width, KIND)
        x = tl.load(gates + (KIND - 1) * width, mask=mask, other=0.0).to(tl.float32)
        added = _sigmoid(-odds) * tl.where(x >= 0.0, x + 0.5, _sigmoid(x))
        decay, added = (
            tl.where(mask, _sigmoid(odds), 1.0),
            tl.where(mask, added, 0.0),
        )  # beyond the end, the state stays
        product, total = tl.associative_scan((decay, added), 0, _combine)
        state = product * carried[None, :] + total
        tl.store(hidden + place * width + unit[None, :], state, mask=mask)
        carried = tl.sum(tl.where((within == TIMES - 1)[:, None], state, 0.0), axis=0)


@triton.jit
def _run_backward(
    sums, before, hidden, heard, d_sums, d_before, places, width,
    KIND: tl.constexpr, TIMES: tl.constexpr, UNITS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    unit = tl.program_id(1) * UNITS + tl.arange(0, UNITS)
    first_state = tl.load(before + row * width + unit, mask=unit < width, other=0.0)
    carried = tl.zeros((UNITS,), dtype=tl.float32)
    within = tl.arange(0, TIMES)
    for start in range(0, places, TIMES):
        time = places - 1 - (start + within)
        mask = (time >= 0)[:, None] & (unit < width)[None, :]
        place = (row * places + time)[:, None]
        gates = sums + place * (KIND * width) + unit[None, :]
        # The gradient of a state: what is heard of it, and of the next one through its decay.
        later = mask & (time + 1 < places)[:, None]
        odds, first, second = _load_odds(gates + KIND * width, later, width, KIND)
        passed = tl.where(mask, tl.where(later, _sigmoid(odds), 0.0), 1.0)
        added = tl.load(heard + place * width + unit[None, :], mask=mask, other=0.0)
        product, total = tl.associative_scan((passed, added), 0, _combine)
        gradient = product * carried[None, :] + total
        carried = tl.sum(tl.where((within == TIMES - 1)[:, None], gradient, 0.0), axis=0)
        # From there to the sums.
        earlier = tl.load(hidden + (place - 1) * width + unit[None, :], mask=mask & (time > 0)[:, None], other=0.0)
        earlier = tl.where((time == 0)[:, None], first_state[None, :], earlier)
        odds, first, second = _load_odds(gates, mask, width, KIND)
        decay, update = _sigmoid(odds), _sigmoid(-odds)
        x = tl.load(gates + (KIND - 1) * width, mask=mask, other=0.0).to(tl.float32)
        low = _sigmoid(x)
        candidate, slope = tl.where(x >= 0.0, x + 0.5, low), tl.where(x >= 0.0, 1.0, low * (1.0 - low))
        d_odds = gradient * (earlier - candidate) * decay * update
        goal = d_sums + place * (KIND * width) + unit[None, :]
        if KIND == 2:
            tl.store(goal, -d_odds, mask=mask)
        else:
            tl.store(goal, d_odds * _sigmoid(-first), mask=mask)
            tl.store(goal + width, -d_odds * _sigmoid(-second), mask=mask)
        tl.store(goal + (KIND - 1) * width, gradient * update * slope, mask=mask)
        begins = mask & (time == 0)[:, None]
        tl.store(d_before + row * width + unit[None, :] + 0 * place, gradient * decay, mask=begins)
