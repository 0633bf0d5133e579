"""xLSTM as an architecture of composer, from the package `xlstm` (NXAI): matrix memories instead of cells."""

from dataclasses import dataclass
from typing import Annotated

from composer import hookimpl

KERNELS = {
    "chunkwise_kernel": "chunkwise--native_autograd",
    "sequence_kernel": "native_sequence__native",
    "step_kernel": "native",
    "mode": "inference",
    "autocast_kernel_dtype": "float32",
}
"""Those in plain torch. They are stepped: those of whole sequences change arrays that a gradient needs."""


@dataclass(frozen=True)
class XLSTM:
    """Extended LSTM with matrix memories (mLSTM blocks; Beck et al., xLSTM, 2024)."""

    width: Annotated[int, "width of each block"] = 128
    heads: Annotated[int, "memories in a block"] = 4
    blocks: Annotated[int, "blocks, one above the other"] = 2

    def module(self, column_sizes, vocabulary_size):
        """Embedded columns, added up, through the blocks of the package."""
        import torch
        from torch import nn
        from xlstm.xlstm_large.model import xLSTMLargeBlockStack, xLSTMLargeConfig

        shape = {"embedding_dim": self.width, "num_heads": self.heads, "num_blocks": self.blocks}
        config = xLSTMLargeConfig(**shape, vocab_size=vocabulary_size, **KERNELS)

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, config.embedding_dim) for size in column_sizes)
                self.stack = xLSTMLargeBlockStack(config)
                self.head = nn.Linear(config.embedding_dim, vocabulary_size)

            def forward(self, inputs, state=None):
                embedded = sum(table(inputs[:, :, column]) for column, table in enumerate(self.tables))
                memory = None if state is None else {i: state[3 * i : 3 * i + 3] for i in range(config.num_blocks)}
                steps = []
                for place in range(embedded.shape[1]):
                    hidden, memory = self.stack(embedded[:, place : place + 1], memory)
                    steps.append(hidden)
                return self.head(torch.cat(steps, dim=1)), tuple(part for i in sorted(memory) for part in memory[i])

        return Network()


@hookimpl
def register_architectures():
    """Offer `xlstm`."""
    return {"xlstm": XLSTM}
