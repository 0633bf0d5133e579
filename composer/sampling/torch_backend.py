"""The reference backend: one step of any model in plain torch.

A row's numbers must not depend on its neighbours, or piece 17 alone would differ from piece 17 of a batch. Matrix
products sum in an order that depends on the number of rows. So rows always run in tiles of one size, in one thread.
Functions of each element, such as tanh, are rounded otherwise in the last numbers of an array, which fill no vector of
the processor. So a tile holds so many rows that its arrays have no such rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer.devices import switch_off_onednn, use_one_thread
from composer.fitting import check_columns, convert_columns
from composer.types import Column, State, Step

if TYPE_CHECKING:
    from torch import nn

TILES = (4, 8, 16, 32)
"""Rows of every matrix product; the last tile is padded. One of these fits any width."""

WHOLE = 32
"""Numbers that torch computes at once, on any processor: an array of a multiple of them has no rest."""

TRIED = 8
"""Steps in which a tile is tried."""


def choose_tile(module: nn.Module, sizes: NDArray[np.int64]) -> int:
    """Choose the fewest rows with which no array that a matrix of `module` reads has a rest.

    Some libraries also sum small products otherwise in other rows of a tile. Then it is 1, which is always right, but
    slow for many rows. That is tried with features of these `sizes`, if there are any. Both are so on a CPU alone.
    """
    if next(module.parameters()).device.type != "cpu":
        return TILES[0]
    widths = {parameter.shape[1] for parameter in module.parameters() if parameter.ndim > 1}
    size = next(tile for tile in TILES if all(tile * width % WHOLE == 0 for width in widths))
    return size if not len(sizes) or _has_equal_rows(module, sizes, size) else 1


def _has_equal_rows(module: nn.Module, sizes: NDArray[np.int64], rows: int) -> bool:
    """Tell whether a tile of one row, repeated, has the same bits in all rows, for a few steps."""
    import torch

    state = None
    with torch.inference_mode(), use_one_thread(), switch_off_onednn():
        for inputs in np.random.default_rng(0).integers(0, sizes, (TRIED, len(sizes))):
            tile = torch.from_numpy(np.tile(inputs, (rows, 1, 1)))
            logits, state = module(tile, state)
            if not all(bool((part == part[:1]).all()) for part in (logits, *state)):
                return False
    return True


def make_torch_step(module: nn.Module, features: Sequence[Column] | None = None) -> Step:
    """Make `step(inputs (B, C), state) -> (logits (B, V), state)`: NumPy outside, torch on the module's device inside.

    A step raises BadModelFile for inputs beyond the sizes of `features`, if they are given, and ValueError for a state
    of other rows.
    """
    import torch

    device = next(module.parameters()).device
    sizes, names = np.array([c.size for c in features or ()]), [c.name for c in features or ()]
    size = choose_tile(module.eval(), sizes)  # rows of a tile

    def step(inputs: NDArray[np.int64], state: State | None) -> tuple[NDArray[np.float32], State]:
        if names:
            inputs = convert_columns(inputs, len(names))
            check_columns(inputs, sizes, names)
        rows = len(inputs)
        if state is not None and any(len(part) != rows for part in state):
            raise ValueError(f"the state of a step has other rows than the {rows} of its inputs")
        padded = np.concatenate([inputs, np.repeat(inputs[:1], -rows % size, axis=0)])
        tiles = torch.from_numpy(padded).to(device)[:, None].split(size)
        with torch.inference_mode(), use_one_thread(), switch_off_onednn():
            states = [None] * len(tiles) if state is None else _split_tiles(state, rows)
            results = [module(tile, before) for tile, before in zip(tiles, states, strict=True)]
            logits = torch.cat([logits[:, 0] for logits, _ in results])[:rows]
            after = tuple(torch.cat(parts)[:rows] for parts in zip(*(s for _, s in results), strict=True))
        return logits.float().cpu().numpy(), after

    def _split_tiles(state: State, rows: int) -> list[Any]:
        if size == 1:  # copies, since a row may begin anywhere in memory, and sums depend on where
            return [tuple(t[row : row + 1].clone() for t in state) for row in range(rows)]
        padded = [torch.cat([t, t[:1].expand(-rows % size, *t.shape[1:])]) if rows % size else t for t in state]
        return list(zip(*(t.split(size) for t in padded), strict=True))

    return step
