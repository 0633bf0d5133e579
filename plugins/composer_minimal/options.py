"""What can be chosen of `mingru` and `minlstm`; it knows no torch until a module is asked for.

Both are of Feng, Tung, Ahmed, Bengio and Hajimirsadeghi 2024, "Were RNNs All We Needed?" (arXiv 2410.01201). Their
gates see what comes in and not what was. So there is no recurrent matrix, a layer is linear in its state, and a whole
sequence can be computed at once; but only a layer above another has gates that know the past. A plain stack, tried on
the chorales, learns worse the higher it is. As in the article's language models, each layer therefore adds to what
those below say, and reads their sum through a layer norm (Ba, Kiros and Hinton 2016). This norm has no weights of its
own, since a matrix follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from composer_recurrent.options import Recurrent

if TYPE_CHECKING:
    from torch import nn

    from composer.types import Cell


@dataclass(frozen=True)
class _Minimal(Recurrent):
    layer: ClassVar[str]

    def __post_init__(self) -> None:
        """Refuse options that make no network."""
        super().__post_init__()
        if self.hidden_size < 2:
            raise ValueError("hidden_size must be at least 2, since one number alone is 0 when normalised")

    def recurrence(self) -> nn.Module:
        """The layers, freshly initialised."""
        from composer_minimal.layers import MinimalLayers

        return MinimalLayers(self.layer, self.embedding_size, self.hidden_size, self.layers, self.dropout)

    def recurrent_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The arrays of the layers, as `MinimalLayers` names them."""
        from composer_minimal.cells import UPDATES

        sums = UPDATES[self.layer][1] * self.hidden_size
        for layer in range(self.layers):
            yield f"gates.{layer}.weight", (sums, self.hidden_size if layer else self.embedding_size)
            yield f"gates.{layer}.bias", (sums,)

    def cell(self, column_sizes: Sequence[int], weights: Mapping[str, NDArray[np.float32]]) -> Cell:
        """The network with these weights as arrays."""
        from composer_minimal.cells import layers_of
        from composer_recurrent.cells import described

        return described(layers_of(self.layer, self.layers, weights), column_sizes, weights, residual=True)


@dataclass(frozen=True)
class MinGru(_Minimal):
    """Minimal GRU (Feng et al. 2024): an update gate and a candidate, both of the input alone; fast to train.

    The update gate z says how much of the state h the candidate replaces. Neither sees h, so a layer is linear in its
    state; a layer above reads the states of those below, normalised, and so its gates know the past. s(u) is positive:
    u + 0.5 from 0 on, sigmoid(u) below.
    """

    layer: ClassVar[str] = "minGRU"
    equations: ClassVar[tuple[str, ...]] = (
        "z = sigmoid(W_z x + b_z)",
        "h' = (1 - z) * h + z * s(W_h x + b_h)",
    )


@dataclass(frozen=True)
class MinLstm(_Minimal):
    """Minimal LSTM (Feng et al. 2024): forget and input gates, which add up to 1, and a candidate; fast to train.

    The forget gate f and the input gate i share out between them what stays of the state h and what comes in. Neither
    sees h, and there is no cell apart from it. s(u) is positive: u + 0.5 from 0 on, sigmoid(u) below.
    """

    layer: ClassVar[str] = "minLSTM"
    equations: ClassVar[tuple[str, ...]] = (
        "f = sigmoid(W_f x + b_f)",
        "i = sigmoid(W_i x + b_i)",
        "h' = f / (f + i) * h + i / (f + i) * s(W_h x + b_h)",
    )
