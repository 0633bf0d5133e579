"""A fading memory: an architecture for composer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Sum the inputs in an exponential average, with a decay for each number that is learned."""

    width: Annotated[int, "size of the memory"] = 64

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> Any:
        """Build `(inputs (B, T, C), state) -> (logits (B, T, V), state)`; torch is imported only here."""
        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self, width: int) -> None:
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, width) for size in column_sizes)
                self.decay = nn.Parameter(torch.linspace(-2.0, 4.0, width))
                self.out = nn.Linear(2 * width, vocabulary_size)

            def forward(self, inputs: Any, state: Any = None) -> Any:
                seen = torch.stack([table(inputs[:, :, i]) for i, table in enumerate(self.tables)]).sum(0)
                memory = torch.zeros_like(seen[:, 0]) if state is None else state[0]
                keep, memories = torch.sigmoid(self.decay), []
                for step in range(seen.shape[1]):
                    memory = keep * memory + (1 - keep) * seen[:, step]
                    memories.append(memory)
                return self.out(torch.cat([seen, torch.stack(memories, dim=1)], dim=-1)), (memory,)

        return Network(self.width)


@hookimpl
def register_architectures() -> Offers:
    """Offer it to `composer train --architecture my-thing`."""
    return {"my-thing": MyThing}
