"""A linear recurrence in time, by a loop or by a parallel scan.

`decay` and `fresh` are (B, T, H), and `before` is (B, H). Both functions return (B, T, H)

    hidden[t] = decay[t] * hidden[t - 1] + fresh[t],   where hidden[-1] = before.

There is no division and no logarithm. So a state may be 0, as before the first token, and a product of decays may
underflow.
"""

from __future__ import annotations

import torch
from torch import Tensor


def run_recurrence(decay: Tensor, fresh: Tensor, before: Tensor) -> Tensor:
    """Compute the hidden states: by a loop on a CPU, else by a parallel scan."""
    return (
        run_sequentially(decay, fresh, before) if fresh.device.type == "cpu" else run_in_parallel(decay, fresh, before)
    )


def run_sequentially(decay: Tensor, fresh: Tensor, before: Tensor) -> Tensor:
    """Compute one time step after another: least work, in T small operations."""
    hidden = []
    for factor, added in zip(decay.unbind(1), fresh.unbind(1), strict=True):
        before = torch.addcmul(added, factor, before)
        hidden.append(before)
    return torch.stack(hidden, dim=1)


def run_in_parallel(decay: Tensor, fresh: Tensor, before: Tensor) -> Tensor:
    """Compute all time steps at once, in log2(T) rounds of doubling reach (Hillis and Steele 1986)."""
    first = torch.addcmul(fresh[:, :1], decay[:, :1], before[:, None])
    hidden = torch.cat([first, fresh[:, 1:]], dim=1)
    reach = 1
    while reach < hidden.shape[1]:
        further = torch.addcmul(hidden[:, reach:], decay[:, reach:], hidden[:, :-reach])
        hidden = torch.cat([hidden[:, :reach], further], dim=1)
        decay = torch.cat([decay[:, :reach], decay[:, reach:] * decay[:, :-reach]], dim=1)
        reach *= 2
    return hidden
