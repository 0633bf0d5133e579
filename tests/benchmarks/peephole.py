"""An architecture as somebody else would offer it: an LSTM whose gates see its cell (Gers and Schmidhuber 2000).

Offered twice: `peephole` describes its cell to faster backends, `peephole-forward` is a module and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer import hookimpl
from composer.types import Array, Cell, Layer, State

GATES = 4  # input, forget, candidate, output


@dataclass(frozen=True)
class PeepholeForward:
    """Layers with peepholes, as a module alone."""

    hidden_size: int = 512
    layers: int = 3

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> Any:
        """The network."""
        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self, width: int, layers: int) -> None:
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, width) for size in column_sizes)
                self.inputs = nn.ModuleList(nn.Linear(width, GATES * width) for _ in range(layers))
                self.recurrent = nn.ModuleList(nn.Linear(width, GATES * width, bias=False) for _ in range(layers))
                self.peepholes = nn.Parameter(0.1 * torch.randn(layers, 3, width))
                self.head = nn.Linear(width, vocabulary_size)

            def forward(self, inputs: Any, state: Any = None) -> Any:
                seen = sum(table(inputs[..., column]) for column, table in enumerate(self.tables))
                hidden = cells = seen.new_zeros(len(seen), len(self.inputs), seen.shape[-1])
                hidden, cells = (hidden, cells) if state is None else state
                logits = []
                for place in range(seen.shape[1]):
                    hidden, cells = self.step(seen[:, place], hidden, cells)
                    logits.append(self.head(hidden[:, -1]))
                return torch.stack(logits, dim=1), (hidden, cells)

            def step(self, below: Any, hidden: Any, cells: Any) -> Any:
                after = []
                for layer, (own, cell) in enumerate(zip(hidden.unbind(1), cells.unbind(1), strict=True)):
                    sums = self.inputs[layer](below) + self.recurrent[layer](own)
                    taken, kept, candidate, shown = sums.chunk(GATES, dim=1)
                    to_taken, to_kept, to_shown = self.peepholes[layer]
                    kept = torch.sigmoid(kept + to_kept * cell)
                    cell = kept * cell + torch.sigmoid(taken + to_taken * cell) * torch.tanh(candidate)
                    below = torch.sigmoid(shown + to_shown * cell) * torch.tanh(cell)
                    after.append((below, cell))
                return tuple(torch.stack(part, dim=1) for part in zip(*after, strict=True))

        return Network(self.hidden_size, self.layers)


@dataclass(frozen=True)
class Peephole(PeepholeForward):
    """The same, described."""

    def build_cell(self, column_sizes: Sequence[int], weights: Mapping[str, NDArray[np.float32]]) -> Cell:
        """The network as arrays."""
        return Cell(
            columns=tuple(weights[f"tables.{column}.weight"] for column in range(len(column_sizes))),
            layers=tuple(self._layer(number, weights) for number in range(self.layers)),
            head=weights["head.weight"],
            bias=weights["head.bias"],
        )

    def _layer(self, number: int, weights: Mapping[str, NDArray[np.float32]]) -> Layer:
        recurrent = weights[f"recurrent.{number}.weight"]
        return Layer(
            inputs=weights[f"inputs.{number}.weight"],
            input_bias=weights[f"inputs.{number}.bias"],
            recurrent=recurrent,
            recurrent_bias=np.zeros(len(recurrent), dtype=np.float32),
            update=gates(*weights["peepholes"][number]),
            parts=2,
        )


def gates(to_taken: Array, to_kept: Array, to_shown: Array) -> Callable[[Array, Array, State], State]:
    """The update of a layer with these peepholes (H,)."""

    def update(from_input: Array, from_state: Array, state: State) -> State:
        taken, kept, candidate, shown = np.split(from_input + from_state, GATES, axis=1)
        cell = sigmoid(kept + to_kept * state[1]) * state[1] + sigmoid(taken + to_taken * state[1]) * np.tanh(candidate)
        return sigmoid(shown + to_shown * cell) * np.tanh(cell), cell

    return update


def sigmoid(x: Array) -> Array:
    """The logistic function, by way of tanh, which never overflows."""
    return 0.5 + 0.5 * np.tanh(0.5 * x)


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Offer both."""
    return {"peephole": Peephole, "peephole-forward": PeepholeForward}


def install(folder: Path) -> None:
    """Be found as an installed package is, by what is written into `folder`; before the registry looks for plugins."""
    about = folder / "peephole-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: peephole\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[composer]\npeephole = peephole\n")
    sys.path.append(str(folder))
