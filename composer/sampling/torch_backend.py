"""The reference backend: one step of any model in plain torch.

A row's numbers must not depend on its neighbours, or piece 17 alone would differ from piece 17 of a batch. Matrix
products sum in an order that depends on the number of rows. So rows always run in tiles of one size, in one thread.
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

TILE = 4
"""Rows of every matrix product; the last tile is padded."""


def make_torch_step(module: nn.Module, features: Sequence[Column] | None = None) -> Step:
    """Make `step(inputs (B, C), state) -> (logits (B, V), state)`: NumPy outside, torch on the module's device inside.

    A step raises BadModelFile for inputs beyond the sizes of `features`, if they are given, and ValueError for a state
    of other rows.
    """
    import torch

    device = next(module.parameters()).device
    sizes, names = np.array([c.size for c in features or ()]), [c.name for c in features or ()]
    module.eval()

    def step(inputs: NDArray[np.int64], state: State | None) -> tuple[NDArray[np.float32], State]:
        if names:
            inputs = convert_columns(inputs, len(names))
            check_columns(inputs, sizes, names)
        rows = len(inputs)
        if state is not None and any(len(part) != rows for part in state):
            raise ValueError(f"the state of a step has other rows than the {rows} of its inputs")
        padded = np.concatenate([inputs, np.repeat(inputs[:1], -rows % TILE, axis=0)])
        tiles = torch.from_numpy(padded).to(device)[:, None].split(TILE)
        with torch.inference_mode(), use_one_thread(), switch_off_onednn():
            states = [None] * len(tiles) if state is None else _split_tiles(state, rows)
            results = [module(tile, before) for tile, before in zip(tiles, states, strict=True)]
            logits = torch.cat([logits[:, 0] for logits, _ in results])[:rows]
            after = tuple(torch.cat(parts)[:rows] for parts in zip(*(s for _, s in results), strict=True))
        return logits.float().cpu().numpy(), after

    def _split_tiles(state: State, rows: int) -> list[Any]:
        padded = [torch.cat([t, t[:1].expand(-rows % TILE, *t.shape[1:])]) if rows % TILE else t for t in state]
        return list(zip(*(t.split(TILE) for t in padded), strict=True))

    return step
