"""Options of `mingru` and `minlstm`. Torch is imported when a module is built.

Source: Feng, Tung, Ahmed, Bengio and Hajimirsadeghi 2024, "Were RNNs All We Needed?" (arXiv 2410.01201). The gates see
the input, and not the state. So there is no recurrent matrix, a layer is linear in its state, and a whole sequence can
be computed in parallel. But only gates above the first layer see the past. On the chorales, a plain stack learns worse
with each added layer. Therefore, as in the article's language models, each layer adds to the output of those below, and
reads their sum through a layer norm (Ba, Kiros and Hinton 2016). The norm has no weights, since a matrix follows it.
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
        """Refuse invalid options."""
        super().__post_init__()
        if self.hidden_size < 2:
            raise ValueError("hidden_size must be at least 2, since one number alone is 0 when normalised")

    def build_recurrence(self) -> nn.Module:
        """Build the layers, freshly initialised."""
        from composer_minimal.layers import MinimalLayers

        return MinimalLayers(self.layer, self.embedding_size, self.hidden_size, self.layers, self.dropout)

    def list_recurrent_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the arrays of the layers, with the names in `MinimalLayers`."""
        from composer_minimal.cells import UPDATES

        sums = UPDATES[self.layer][1] * self.hidden_size
        for layer in range(self.layers):
            yield f"gates.{layer}.weight", (sums, self.hidden_size if layer else self.embedding_size)
            yield f"gates.{layer}.bias", (sums,)

    def build_cell(self, column_sizes: Sequence[int], weights: Mapping[str, NDArray[np.float32]]) -> Cell:
        """Build the network with these weights as arrays."""
        from composer_minimal.cells import make_layers
        from composer_recurrent.cells import make_cell

        return make_cell(make_layers(self.layer, self.layers, weights), column_sizes, weights, residual=True)


@dataclass(frozen=True)
class MinGru(_Minimal):
    """Minimal GRU (Feng et al. 2024): an update gate and a candidate, both of the input alone; fast to train.

    The update gate z mixes the state h with the candidate. Neither sees h, so a layer is linear in its state. A higher
    layer reads the normalised states of those below, so its gates see the past. s(u) is positive: u + 0.5 from 0 on,
    sigmoid(u) below.
    """

    layer: ClassVar[str] = "minGRU"
    equations: ClassVar[tuple[str, ...]] = (
        "z = sigmoid(W_z x + b_z)",
        "h' = (1 - z) * h + z * s(W_h x + b_h)",
    )


@dataclass(frozen=True)
class MinLstm(_Minimal):
    """Minimal LSTM (Feng et al. 2024): forget and input gates, which add up to 1, and a candidate; fast to train.

    The forget gate f and the input gate i, normalised to a sum of 1, mix the state h with the candidate. Neither sees
    h, and there is no separate cell. s(u) is positive: u + 0.5 from 0 on, sigmoid(u) below.
    """

    layer: ClassVar[str] = "minLSTM"
    equations: ClassVar[tuple[str, ...]] = (
        "f = sigmoid(W_f x + b_f)",
        "i = sigmoid(W_i x + b_i)",
        "h' = f / (f + i) * h + i / (f + i) * s(W_h x + b_h)",
    )
