"""The reference backend: one step of any model in plain torch.

A row's numbers must not depend on its neighbours, or piece 17 alone would differ from piece 17 of a batch. Matrix
products and vector units sum and round in an order that depends on the number of rows, though mostly not beyond a few.
So rows are padded to one of a few sizes, of which a trial of the module itself has shown that they agree to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer.devices import switch_off_onednn, use_one_thread
from composer.fitting import check_columns, convert_columns
from composer.types import Column, State, Step

if TYPE_CHECKING:
    import torch
    from torch import nn

SIZES = (4, 8, 16, 32, 64)
"""Numbers of rows that a module may be run with at once; one by one where no trial of these succeeds."""

TRIES = 4
"""Batches that each number of rows is tried with."""

TRIAL_STEPS = 3
"""Steps of a trial: a difference in the state shows itself in the next logits."""


def make_torch_step(module: nn.Module, features: Sequence[Column] | None = None) -> Step:
    """Make `step(inputs (B, C), state) -> (logits (B, V), state)`: NumPy outside, torch on the module's device inside.

    A step raises BadModelFile for inputs beyond the sizes of `features`, if they are given, and ValueError for a state
    of other rows. Without `features`, it runs the fewest rows at once.
    """
    import torch

    device = next(module.parameters()).device
    limits, names = np.array([c.size for c in features or ()]), [c.name for c in features or ()]
    module.eval()
    sizes = find_sizes(module, limits) if names else SIZES[:1]

    def step(inputs: NDArray[np.int64], state: State | None) -> tuple[NDArray[np.float32], State]:
        if names:
            inputs = convert_columns(inputs, len(names))
            check_columns(inputs, limits, names)
        rows = len(inputs)
        if state is not None and any(len(part) != rows for part in state):
            raise ValueError(f"the state of a step has other rows than the {rows} of its inputs")
        found = []
        with torch.inference_mode(), use_one_thread(), switch_off_onednn():
            for begin, end, size in cut_rows(rows, sizes):
                mine = torch.from_numpy(_pad(inputs[begin:end], size, np.concatenate)).to(device)
                before = None if state is None else tuple(_pad(part[begin:end], size, torch.cat) for part in state)
                logits, after = module(mine[:, None], before)
                found.append((logits[: end - begin, 0], *(part[: end - begin] for part in after)))
            logits, *after = found[0] if len(found) == 1 else map(torch.cat, zip(*found, strict=True))
        return logits.float().cpu().numpy(), tuple(after)

    return step


def cut_rows(rows: int, sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and padded size of the parts that so many rows are run in."""
    for begin in range(0, rows, sizes[-1]):
        count = min(rows - begin, sizes[-1])
        yield begin, begin + count, next(size for size in sizes if size >= count)


def _pad(rows: Any, size: int, join: Callable[[Any], Any]) -> Any:
    """Repeat the first row until there are `size` of them."""
    missing = size - len(rows)
    if size == 1:  # a copy, since a row may begin anywhere in memory, and sums depend on where
        return join([rows])
    return join([rows, *[rows[:1]] * missing]) if missing else rows


def find_sizes(module: nn.Module, limits: NDArray[np.int64]) -> Sequence[int]:
    """Find numbers of rows with which a row has the same bits, wherever it stands, as a trial shows.

    The order of a sum depends on shapes and places, and not on values; how a function is rounded depends on the place,
    and shows itself in some values. So random rows are tried in random places. `limits` are the sizes of features.
    """
    import torch

    device, rng = next(module.parameters()).device, np.random.default_rng(0)
    inputs = torch.from_numpy(rng.integers(0, limits, (TRIAL_STEPS, SIZES[-1], len(limits)))).to(device)
    order = torch.from_numpy(rng.permutation(SIZES[-1])).to(device)
    with torch.inference_mode(), use_one_thread(), switch_off_onednn():
        whole = _run(module, inputs)
        alike = [size for size in SIZES if _agrees(module, inputs, whole, order, size)]
    return alike if SIZES[-1] in alike else (1,)


def _agrees(module: nn.Module, inputs: torch.Tensor, whole: list[torch.Tensor], order: torch.Tensor, size: int) -> bool:
    """Tell whether rows in this order, so many at once, have the bits that they have in the whole."""
    import torch

    for rows in order.split(size)[:TRIES]:
        part = _run(module, inputs[:, rows])
        if not all(torch.equal(a, b[rows]) for a, b in zip(part, whole, strict=True)):
            return False
    return True


def _run(module: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the logits (B, 1, V) of each step and the last state."""
    found, state = [], None
    for columns in inputs:
        logits, state = module(columns[:, None], state)
        found.append(logits)
    return [*found, *(state or ())]
