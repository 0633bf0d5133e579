"""Residual blocks, one above the other: each adds to a stream what a mixer of time, and a network of each step, make.

A mixer is called as `mixer(x (B, T, H), state) -> (y (B, T, H), state)`. Its state is a tuple of (B, …), in fp32.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from torch import Tensor, nn

from composer_linear.pieces import Matrix, Norm, widen
from composer_recurrent.dropout import Dropout

Parts = tuple[Tensor, ...]


class Mixer(nn.Module):
    """What mixes the steps of a sequence."""

    parts: int  # of its state

    @abstractmethod
    def begin(self, like: Tensor) -> Parts:
        """Make the state of as many rows as `like` has, in its type, before the first token: zeros."""

    @abstractmethod
    def forward(self, x: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute (B, T, H) from an input of this shape, and the state after the last step."""


class Block(nn.Module):
    """A mixer, and a network of each step, or none; both read the normalised stream, and add to it."""

    def __init__(self, width: int, mixer: Mixer, network: nn.Module | None, dropout: float) -> None:
        super().__init__()
        self.norm, self.mixer = Norm(width), mixer
        self.network_norm = None if network is None else Norm(width)
        self.network, self.dropout = network, Dropout(dropout)

    def forward(self, stream: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """Compute the stream (B, T, H) above the block, and its state."""
        mixed, state = self.mixer(self.norm(stream), state)
        stream = stream + self.dropout(mixed)
        if self.network is not None and self.network_norm is not None:
            stream = stream + self.dropout(self.network(self.network_norm(stream)))
        return stream, state


class Stack(nn.Module):
    """`layers(x (B, T, E), state) -> (read (B, T, H), state)`, called like torch's layers.

    Each part of a state has its rows second, as `RecurrentNetwork` asks: (1, B, …), block after block.
    """

    def __init__(self, inputs: int, width: int, blocks: Iterable[Block]) -> None:
        super().__init__()
        self.inlet = Matrix(inputs, width)
        self.blocks = nn.ModuleList(blocks)
        self.norm = Norm(width)

    def forward(self, x: Tensor, state: Parts | None = None) -> tuple[Tensor, Parts]:
        """Compute the input of the head at each token, and the state after the last."""
        stream, after = widen(self.inlet(x)), ()
        for block in self.blocks:
            assert isinstance(block, Block)  # noqa: S101  (of a list of modules)
            if state is None:
                before = block.mixer.begin(stream)
            else:
                before, state = tuple(part[0] for part in state[: block.mixer.parts]), state[block.mixer.parts :]
            stream, made = block(stream, before)
            after += tuple(part[None] for part in made)
        return self.norm(stream), after
