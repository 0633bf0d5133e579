"""The reference backend: one step of any model in plain torch.

A row's numbers must not depend on its neighbours, or piece 17 alone would differ from piece 17 of a batch. Matrix
products and vector units sum and round in an order that depends on the number of rows, though mostly not beyond a few.
So rows are padded to one of a few sizes, of which a trial of the module itself has shown that they agree to the bit.
One row alone agrees where the sums of its linear layers are those of many rows (`composer.sampling.torch_products`).

A loop of steps that stays on the device is in `composer.sampling.torch_loop`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer.devices import run_alike
from composer.fitting import check_columns, convert_columns
from composer.sampling.torch_products import replace_products
from composer.types import Array, Column, Repeat, State, Turn

if TYPE_CHECKING:
    import torch
    from torch import nn

SIZES = (1, 4, 8, 16, 32, 64)
"""Numbers of rows that a module may be run with at once; one by one where no trial of these succeeds."""

FEWEST = (4,)
"""The same where no trial can be made."""

SIZES_OF_DEVICES = (64, 256, 1024)
"""The same on a device beside the processor, where a few rows take as long as many."""

TRIES, FEW = 4, 16
"""Batches that each number of rows is tried with; and rows at least."""

TRIAL_STEPS = 3
"""Steps of a trial: a difference in the state shows itself in the next logits."""


def make_torch_step(module: nn.Module, features: Sequence[Column] | None = None, block: int = 1) -> TorchStep:
    """Make `step(inputs (B, C), state) -> (logits (B, V), state)`: NumPy outside, torch on the module's device inside.

    A step raises BadModelFile for inputs beyond the sizes of `features`, if they are given, and ValueError for a state
    of other rows. Without `features`, it runs the fewest rows at once. With a `block`, it `SupportsBlocks` of so many
    steps; only a module whose state begins as zeros can.
    """
    return TorchStep(module, features or (), block)


class TorchStep:
    """The step of a module."""

    def __init__(self, module: nn.Module, features: Sequence[Column], block: int) -> None:
        """Find the numbers of rows that the module is run with."""
        self.device = next(module.parameters()).device
        self._module, self._names = module.eval(), [column.name for column in features]
        self._limits = np.array([column.size for column in features])
        self._sizes: Sequence[int] = FEWEST
        if self._names and self.device.type == "cpu":
            self._module = replace_products(self._module)
            self._sizes = find_sizes(self._module, self._limits)
        elif self._names:
            self._sizes = find_sizes(module, self._limits, SIZES_OF_DEVICES)
        self.most = max(self._sizes[-1], SIZES[-1])
        self._first = _find_first_state(module, self._limits) if block > 1 and self._names else None
        self.block = block if self._first is not None else 1

    def __call__(self, inputs: NDArray[np.int64], state: State | None) -> tuple[NDArray[np.float32], State]:
        """Take one step."""
        if self._names:
            inputs = convert_columns(inputs, len(self._names))
            check_columns(inputs, self._limits, self._names)
        if state is not None and any(len(part) != len(inputs) for part in state):
            raise ValueError(f"the state of a step has other rows than the {len(inputs)} of its inputs")
        with run_alike():
            logits, after = self._run(self.place(inputs), state)
            return self.read(logits), after

    def pad(self, rows: int) -> int:
        """Return the number of rows that so many are padded to."""
        return sum(size for _, _, size in cut_rows(rows, self._sizes))

    def place(self, array: NDArray[Any]) -> torch.Tensor:
        """Copy an array to the device."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def read(self, array: torch.Tensor) -> NDArray[Any]:
        """Copy a tensor to the host."""
        found: NDArray[Any] = array.cpu().numpy()
        return found

    def begin(self, rows: int) -> State:
        """Make the state of rows before their first token: zeros."""
        return tuple(part.new_zeros((rows, *part.shape[1:])) for part in self._first or ())

    def run(self, inputs: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Take one step on the device."""
        return self._run(inputs, state)

    def make_repeat(self, turn: Turn, carried: Sequence[Array], given: Sequence[Array]) -> Repeat | None:
        """Make the loop of a turn; None if the turn looks at a number."""
        from composer.sampling.torch_loop import make_loop

        return make_loop(turn, carried, given)

    def _run(self, inputs: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """Run the module with numbers of rows that agree."""
        import torch

        found = []
        for begin, end, size in cut_rows(len(inputs), self._sizes):
            before = None if state is None else tuple(_pad(part[begin:end], size) for part in state)
            logits, after = self._module(_pad(inputs[begin:end], size)[:, None], before)
            found.append((logits[: end - begin, 0], *(part[: end - begin] for part in after)))
        logits, *after = found[0] if len(found) == 1 else map(torch.cat, zip(*found, strict=True))
        return logits.float(), tuple(after)


def cut_rows(rows: int, sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield begin, end and padded size of the parts that so many rows are run in."""
    for begin in range(0, rows, sizes[-1]):
        count = min(rows - begin, sizes[-1])
        yield begin, begin + count, next(size for size in sizes if size >= count)


def _pad(rows: torch.Tensor, size: int) -> torch.Tensor:
    """Repeat the first row until there are `size` of them."""
    import torch

    missing = size - len(rows)
    if size == 1:  # a copy, since a row may begin anywhere in memory, and sums depend on where
        return torch.cat([rows])
    return torch.cat([rows, *[rows[:1]] * missing]) if missing else rows


def _find_first_state(module: nn.Module, limits: NDArray[np.int64]) -> State | None:
    """Return the state of a row; None for a module that begins with another state than zeros.

    A clock, which counts changes of a feature, would take one that is 0 for no change; so the last value is tried, too.
    """
    import torch

    tried = np.stack([np.zeros_like(limits), limits - 1])[:, None]
    inputs = torch.from_numpy(tried).to(next(module.parameters()).device)
    with run_alike():
        logits, state = module(inputs, None)
        zeros = tuple(torch.zeros_like(part) for part in state)
        return zeros if torch.equal(logits, module(inputs, zeros)[0]) else None


def find_sizes(module: nn.Module, limits: NDArray[np.int64], sizes: Sequence[int] = SIZES) -> Sequence[int]:
    """Find those of `sizes`, numbers of rows with which a row has the same bits, wherever it stands, as a trial shows.

    The order of a sum depends on shapes and places, and not on values; how a function is rounded depends on the place,
    and shows itself in some values. So random rows are tried in random places. `limits` are the sizes of features.
    """
    import torch

    device, rng = next(module.parameters()).device, np.random.default_rng(0)
    inputs = torch.from_numpy(rng.integers(0, limits, (TRIAL_STEPS, sizes[-1], len(limits)))).to(device)
    order = torch.from_numpy(rng.permutation(sizes[-1])).to(device)
    with run_alike():
        whole = _run(module, inputs)
        alike = [size for size in sizes if _agrees(module, inputs, whole, order, size)]
    return alike if sizes[-1] in alike else (1,)


def _agrees(module: nn.Module, inputs: torch.Tensor, whole: list[torch.Tensor], order: torch.Tensor, size: int) -> bool:
    """Tell whether rows in this order, so many at once, have the bits that they have in the whole."""
    import torch

    for rows in order.split(size)[: max(TRIES, FEW // size)]:
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
