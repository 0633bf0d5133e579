"""Options of `lstm`, `gru` and `rnn`. Torch is imported when a module is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

    from composer.types import Cell


@dataclass(frozen=True)
class Recurrent(ABC):
    """Recurrent layers between embedded columns and a linear output; subclasses define the layers."""

    hidden_size: Annotated[int, "width of each recurrent layer", "64"] = 256
    layers: Annotated[int, "number of recurrent layers"] = 2
    embedding_size: Annotated[int, "width of the sum of the embedded input columns", "64"] = 256
    dropout: Annotated[float, "share dropped before, between and after the layers (Zaremba et al. 2014)"] = 0.3
    skip: Annotated[bool, "let the output see the embedded input as well (Graves 2013)"] = True
    pointer: Annotated[bool, "let the output point at the tokens in the input, to raise or lower their chances"] = True
    tie_weights: Annotated[bool, "use the token embedding as the output matrix, too"] = False

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        if min(self.hidden_size, self.layers, self.embedding_size) < 1:
            raise ValueError("hidden_size, layers and embedding_size must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and less than 1")

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> nn.Module:
        """Build the network, freshly initialised."""
        from composer_recurrent.network import RecurrentNetwork

        return RecurrentNetwork(self.build_recurrence(), column_sizes, vocabulary_size, **self.get_network_options())

    def get_network_options(self) -> dict[str, Any]:
        """Return the options of the network around the layers."""
        names = ("hidden_size", "embedding_size", "dropout", "skip", "pointer", "tie_weights")
        return {name: getattr(self, name) for name in names}

    def list_shapes(self, column_sizes: Sequence[int], vocabulary_size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the arrays of the network, from the input up."""
        seen = self.hidden_size + self.embedding_size if self.skip else self.hidden_size
        outputs = self.embedding_size if self.tie_weights else vocabulary_size
        pointed = sum(size == vocabulary_size for size in column_sizes) if self.pointer else 0
        yield "embedding.weight", (sum(column_sizes), self.embedding_size)
        yield from ((f"recurrence.{name}", shape) for name, shape in self.list_recurrent_shapes())
        yield from (("head.weight", (outputs, seen)), ("head.bias", (outputs,)))
        if self.tie_weights:
            yield "bias", (vocabulary_size,)
        if pointed:
            yield from (("pointer.weight", (pointed, seen)), ("pointer.bias", (pointed,)))

    @abstractmethod
    def list_recurrent_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the arrays of the layers, with names as in the module of `build_recurrence`."""

    @abstractmethod
    def build_recurrence(self) -> nn.Module:
        """Build the layers, freshly initialised, with the interface that `RecurrentNetwork` documents."""


@dataclass(frozen=True)
class _TorchLayers(Recurrent):
    layer: ClassVar[str]

    def build_recurrence(self) -> nn.Module:
        """Build the layers, freshly initialised."""
        from composer_recurrent.layers import make_torch_layers

        return make_torch_layers(self.layer, self.embedding_size, self.hidden_size, self.layers, self.dropout)

    def list_recurrent_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the arrays of the layers, with torch's names."""
        from composer_recurrent.cells import UPDATES

        sums = UPDATES[self.layer][1] * self.hidden_size
        for layer in range(self.layers):
            yield f"weight_ih_l{layer}", (sums, self.hidden_size if layer else self.embedding_size)
            yield f"weight_hh_l{layer}", (sums, self.hidden_size)
            yield f"bias_ih_l{layer}", (sums,)
            yield f"bias_hh_l{layer}", (sums,)

    def build_cell(self, column_sizes: Sequence[int], weights: Mapping[str, NDArray[np.float32]]) -> Cell:
        """Build the network with these weights as arrays."""
        from composer_recurrent.cells import make_cell, make_layers

        return make_cell(make_layers(self.layer, self.layers, weights), column_sizes, weights)


@dataclass(frozen=True)
class Lstm(_TorchLayers):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; with forget gate, Gers et al. 2000).

    Each unit has a memory cell c beside its output h. The forget gate f scales the old cell, the input gate i the
    candidate g, and the output gate o the output. The cell is only multiplied by f: where f is near 1, a note and its
    gradient last for a long time.

    With `layer_norm`, the sums of the input, those of the state, and the cell that the output gate lets through are
    each normalised, with a gain that is learned (Ba, Kiros and Hinton 2016). Two kinds of dropout leave the cell's past
    whole: of candidates, anew at each step (Semeniuta, Severyn and Barth 2016), and of recurrent weights, the same for
    all steps of a batch (Merity, Keskar and Socher 2018, AWD-LSTM). On a GPU, and where there is no C compiler, the
    former and norms train step by step in torch.
    """

    layer_norm: Annotated[bool, "normalise sums and cells (Ba et al. 2016)"] = False
    recurrent_dropout: Annotated[float, "share of candidates dropped at each step (Semeniuta et al. 2016)"] = 0.0
    weight_dropout: Annotated[float, "share of recurrent weights dropped in each batch (Merity et al. 2018)"] = 0.0

    layer: ClassVar[str] = "LSTM"
    equations: ClassVar[tuple[str, ...]] = (
        "i = sigmoid(W_i x + U_i h + b_i)",
        "f = sigmoid(W_f x + U_f h + b_f)",
        "g = tanh(W_g x + U_g h + b_g)",
        "o = sigmoid(W_o x + U_o h + b_o)",
        "c' = f * c + i * g",
        "h' = o * tanh(c')",
    )

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if not (0 <= self.recurrent_dropout < 1 and 0 <= self.weight_dropout < 1):
            raise ValueError("recurrent_dropout and weight_dropout must be at least 0 and less than 1")
        if self.layer_norm and self.hidden_size < 2:
            raise ValueError(
                "hidden_size must be at least 2 with layer_norm, since one number alone is 0 when normalised"
            )

    def build_recurrence(self) -> nn.Module:
        """Build the layers, freshly initialised."""
        if not (self.layer_norm or self.recurrent_dropout or self.weight_dropout):
            return super().build_recurrence()
        from composer_recurrent.varied import make_varied_lstm

        return make_varied_lstm(
            self.embedding_size,
            self.hidden_size,
            self.layers,
            self.dropout,
            layer_norm=self.layer_norm,
            recurrent_dropout=self.recurrent_dropout,
            weight_dropout=self.weight_dropout,
        )

    def list_recurrent_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the arrays of the layers, with torch's names, and those of the norms."""
        yield from super().list_recurrent_shapes()
        for layer in range(self.layers if self.layer_norm else 0):
            yield from ((f"{name}_l{layer}", (4 * self.hidden_size,)) for name in ("gain_ih", "gain_hh"))
            yield from ((f"{name}_l{layer}", (self.hidden_size,)) for name in ("gain_c", "bias_c"))

    def build_cell(self, column_sizes: Sequence[int], weights: Mapping[str, NDArray[np.float32]]) -> Cell:
        """Build the network with these weights as arrays."""
        if not self.layer_norm:
            return super().build_cell(column_sizes, weights)
        from composer_recurrent.cells import make_cell, make_normed_layers

        return make_cell(make_normed_layers(self.layers, weights), column_sizes, weights)


@dataclass(frozen=True)
class Gru(_TorchLayers):
    """Gated recurrent unit (Cho et al. 2014); as torch has it, reset after the recurrent product.

    A unit has one state h, which is its output. The update gate z mixes the old state with the candidate n. The reset
    gate r scales the past in the candidate. The article applies r to h before the product with U_n. Torch and cuDNN,
    and so this one, apply it to the product, which has its own bias (d_n).
    """

    layer: ClassVar[str] = "GRU"
    equations: ClassVar[tuple[str, ...]] = (
        "r = sigmoid(W_r x + U_r h + b_r)",
        "z = sigmoid(W_z x + U_z h + b_z)",
        "n = tanh(W_n x + b_n + r * (U_n h + d_n))",
        "h' = (1 - z) * n + z * h",
    )


@dataclass(frozen=True)
class Rnn(_TorchLayers):
    """Elman's simple recurrent network (1990), with tanh.

    A unit has no gate. At each step its old state goes through the matrix U and tanh. A gradient is multiplied as
    often, and vanishes or explodes with the distance.
    """

    layer: ClassVar[str] = "RNN"
    equations: ClassVar[tuple[str, ...]] = ("h' = tanh(W x + U h + b)",)
