"""A minimal gated unit: an architecture for composer, with a cell that backends without torch run, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from composer import hookimpl
from composer.arrays import get_namespace
from composer.types import Array, Cell, Layer, Offers, State

COMPOSER_API = 1


def update(from_input: Array, from_state: Array, state: State) -> State:
    """Mix the state h (B, H) with a candidate, as much as the gate says. Sums are (B, 2H): gate, then candidate."""
    xp, (h,) = get_namespace(from_input), state
    width = h.shape[1]
    gate = 0.5 + 0.5 * xp.tanh(0.5 * (from_input[:, :width] + from_state[:, :width]))  # a sigmoid
    candidate = xp.tanh(from_input[:, width:] + gate * from_state[:, width:])
    return (h + gate * (candidate - h),)


@dataclass(frozen=True)
class MyThing:
    """A minimal gated unit (after Zhou et al. 2016): one gate, where a GRU has two."""

    width: Annotated[int, "size of the state"] = 64

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> Any:
        """Build `(inputs (B, T, C), state) -> (logits (B, T, V), state)`; torch is imported only here."""
        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self, width: int) -> None:
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, width) for size in column_sizes)
                self.inputs, self.recurrent = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)
                self.out = nn.Linear(width, vocabulary_size)

            def forward(self, inputs: Any, state: Any = None) -> Any:
                seen = torch.stack([table(inputs[:, :, i]) for i, table in enumerate(self.tables)]).sum(0)
                h = torch.zeros_like(seen[:, 0]) if state is None else state[0][:, 0]
                states = []
                for from_input in self.inputs(seen).unbind(1):
                    (h,) = update(from_input, self.recurrent(h), (h,))
                    states.append(h)
                return self.out(torch.stack(states, dim=1)), (h[:, None],)  # (B, layers, H), as a cell has it

        return Network(self.width)

    def build_cell(self, column_sizes: Sequence[int], weights: Mapping[str, Any]) -> Cell:
        """Build the network of these weights, which have the names of the module's, for backends without torch."""
        tables = tuple(weights[f"tables.{number}.weight"] for number in range(len(column_sizes)))
        layer = Layer(
            inputs=weights["inputs.weight"],
            input_bias=weights["inputs.bias"],
            recurrent=weights["recurrent.weight"],
            recurrent_bias=weights["recurrent.bias"],
            update=update,
            parts=1,
        )
        return Cell(tables, (layer,), head=weights["out.weight"], bias=weights["out.bias"])


@hookimpl
def register_architectures() -> Offers:
    """Offer it to `composer train --architecture my-thing`."""
    return {"my-thing": MyThing}
