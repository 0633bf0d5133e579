"""A linear recurrence in time, by a loop or by a parallel scan; it knows no gates and no layers.

`decay` and `fresh` are (B, T, H), H numbers a place, and `before` is (B, H). Both ways give (B, T, H), at every place

    hidden[t] = decay[t] * hidden[t - 1] + fresh[t],   where hidden[-1] = before.

Nothing is divided and no logarithm is taken, so that a state may be 0, as it is before the first token, and a product
of many decays may vanish.
"""

from __future__ import annotations

import torch
from torch import Tensor


def recurrence(decay: Tensor, fresh: Tensor, before: Tensor) -> Tensor:
    """The hidden states, by the way that is faster where the tensors are."""
    return sequential(decay, fresh, before) if fresh.device.type == "cpu" else parallel(decay, fresh, before)


def sequential(decay: Tensor, fresh: Tensor, before: Tensor) -> Tensor:
    """One place after another: the least work, in T small operations."""
    hidden = []
    for kept, added in zip(decay.unbind(1), fresh.unbind(1), strict=True):
        before = torch.addcmul(added, kept, before)
        hidden.append(before)
    return torch.stack(hidden, dim=1)


def parallel(decay: Tensor, fresh: Tensor, before: Tensor) -> Tensor:
    """All places at once, in log2(T) rounds, each of which reaches back twice as far (Hillis and Steele 1986)."""
    first = torch.addcmul(fresh[:, :1], decay[:, :1], before[:, None])
    hidden = torch.cat([first, fresh[:, 1:]], dim=1)
    reach = 1
    while reach < hidden.shape[1]:
        further = torch.addcmul(hidden[:, reach:], decay[:, reach:], hidden[:, :-reach])
        hidden = torch.cat([hidden[:, :reach], further], dim=1)
        decay = torch.cat([decay[:, :reach], decay[:, reach:] * decay[:, :-reach]], dim=1)
        reach *= 2
    return hidden
