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
"""Those in plain torch, for any length, with the state after it."""


@dataclass(frozen=True)
class XLSTM:
    """Extended LSTM with matrix memories (mLSTM blocks; Beck et al., xLSTM, 2024)."""

    width: Annotated[int, "width of each block"] = 128
    heads: Annotated[int, "memories in a block"] = 4
    blocks: Annotated[int, "blocks, one above the other"] = 2

    def build_module(self, column_sizes, vocabulary_size):
        """Embedded columns, added up, through the blocks of the package."""
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
                after = ()
                for i, block in enumerate(self.stack.blocks):  # the stack's own loop would change the state in place
                    embedded, memory = block(embedded, None if state is None else state[3 * i : 3 * i + 3])
                    after += tuple(memory)
                return self.head(self.stack.out_norm(embedded)), after

        return Network()


@hookimpl
def register_architectures():
    """Offer `xlstm-large`."""
    return {"xlstm-large": XLSTM}
