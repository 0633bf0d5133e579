"""A stack of layers of minimal cells, in torch.

The sums of all gates come from one matrix. From them a cell computes the decay of the state and the addition to it. The
candidate goes through the article's g, which is positive everywhere.

The recurrence in time runs by a loop or by a parallel scan; on a GPU, gates and scan are one kernel where there is
Triton, which comes with torch for CUDA. `decay` and `fresh` are (B, T, H), and `before` is (B, H).
Both functions return (B, T, H)

    hidden[t] = decay[t] * hidden[t - 1] + fresh[t],   where hidden[-1] = before.

There is no division and no logarithm. So a state may be 0, as before the first token, and a product of decays may
underflow.
"""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_minimal import compiled
from composer_recurrent.dropout import Dropout
from composer_recurrent.products import multiply


def has_kernel(state: Tensor) -> bool:
    """Tell whether the kernel of `kernel.py` can be used with a state of this type, on its device."""
    return state.is_cuda and state.dtype == torch.float32 and find_spec("triton") is not None


def run_cells(sums: Tensor, before: Tensor) -> Tensor:
    """Compute the hidden states (B, T, H) from the sums (B, T, 2 or 3 times H) of gates: by a kernel, or in torch."""
    if sums.shape[1] > 1 and has_kernel(before):
        from composer_minimal.kernel import run_scan

        return run_scan(sums, before)
    split = CELLS[sums.shape[-1] // before.shape[-1]]
    return run_recurrence(*split(sums.to(before.dtype)), before)


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


def split_mingru(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Map (B, T, 2H) update gate z and candidate c to (B, T, H) 1 - z and z * g(c)."""
    update, candidate = sums.chunk(2, dim=-1)
    return torch.sigmoid(-update), torch.sigmoid(update) * _apply_g(candidate)


def split_minlstm(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Map (B, T, 3H) forget gate f, input gate i and candidate c to (B, T, H) f / (f + i) and i / (f + i) * g(c)."""
    forget, input_gate, candidate = sums.chunk(3, dim=-1)
    # In logarithms, since two gates near 0 would give 0 / 0.
    odds = functional.logsigmoid(forget) - functional.logsigmoid(input_gate)
    return torch.sigmoid(odds), torch.sigmoid(-odds) * _apply_g(candidate)


def _apply_g(x: Tensor) -> Tensor:
    return torch.where(x >= 0, x + 0.5, torch.sigmoid(x))


SUMS = {"minGRU": 2, "minLSTM": 3}
"""The sums of a unit of each kind of cell."""

CELLS = {2: split_mingru, 3: split_minlstm}
"""The function of the cell with so many sums of a unit."""


class MinimalLayers(nn.Module):
    """`layers(x (B, T, E), state (layers, B, H) or None) -> (read (B, T, H), state)`, called like torch's layers.

    Each layer adds to the sum of those below. The next layer, and in the end the head, reads the normalised sum.
    """

    takes_rounded = True

    def __init__(self, kind: str, input_size: int, hidden_size: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden_size, sums = hidden_size, SUMS[kind]
        below = [input_size] + [hidden_size] * (layers - 1)
        self.gates = nn.ModuleList(nn.Linear(size, sums * hidden_size) for size in below)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the input of the head at each token, and the state after the last."""
        read, total, after = x, None, []
        for number, gates in enumerate(self.gates):
            assert isinstance(gates, nn.Linear)  # noqa: S101  (of a list of modules)
            before = x.new_zeros(len(x), self.hidden_size) if state is None else state[number]
            # States are in fp32: with 8 bits (bf16) and a decay of 0.999, additions would be rounded away.
            before = before.to(torch.promote_types(before.dtype, torch.float32))
            top = number == len(self.gates) - 1
            run = run_compiled if x.shape[1] > 1 and compiled.is_available(before) else run_plainly
            total, read, last = run(gates, read, before, total, self.dropout if not top else None)
            after.append(last)
        return read, torch.stack(after)


def run_plainly(
    gates: nn.Linear, x: Tensor, before: Tensor, below: Tensor | None, dropout: Dropout | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute a layer: the sum of it and those below, the same normalised and dropped, and the last state."""
    hidden = run_cells(gates(x), before)
    total = hidden if below is None else below + hidden
    read = functional.layer_norm(total, total.shape[-1:])
    return total, read if dropout is None else dropout(read), hidden[:, -1]


def run_compiled(
    gates: nn.Linear, x: Tensor, before: Tensor, below: Tensor | None, dropout: Dropout | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what `run_plainly` computes, in compiled C but for the product."""
    sums = multiply(x, gates.weight)
    drop = None if dropout is None else dropout.draw((*x.shape[:2], before.shape[-1]), x.device)
    low = dropout is not None and sums.dtype == torch.bfloat16  # a layer above would round it anyway
    return compiled.run_layer(sums, gates.bias, before, below, drop, low)
