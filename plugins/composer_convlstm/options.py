"""Options of `convlstm`. Torch is imported when a module is built.

Sources: Shi et al. 2015, "Convolutional LSTM Network" (arXiv 1506.04214); Johnson 2017, "Generating Polyphonic Music
Using Tied Parallel Networks" (EvoMUSART).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from composer.errors import BadOption
from composer_convlstm.axis import PitchAxis, make_axis, make_blank_axis, mark_token_columns

if TYPE_CHECKING:
    from torch import nn

    from composer.types import Column, TokenInfo

LARGEST = 25
"""Pitches of the largest kernel: an octave to either side."""


@dataclass(frozen=True)
class ConvLstm:
    """Recurrence in time, convolution over pitch: transposing the music transposes the state.

    A convolutional LSTM (Shi et al. 2015), whose image is the axis of pitches, a semitone a place. At each pitch is the
    same small LSTM, which sees what is there and around it in the step, and the outputs around it in the step before.
    So what is learned at one pitch is known at all, as in the tied networks that Johnson (2017) gave polyphonic music;
    in those, the recurrence in time is that of each note alone (`recurrent_kernel` 1).

    Each feature that holds a token with a pitch marks its place. A place knows its degree above the tonic, if the key
    is known. All else, such as position, bar and voice in turn, is given to all pitches alike. The logit of a pitch is
    read at its place; those of other tokens are read from the mean and the maximum over the axis. Each layer reads the
    sum of the marks and of all layers below. The peepholes of the article are left out.

    So the network does not know how high a pitch is: a choir may begin an octave too low, and stay there. With
    `register` each pitch is told its height, as in Johnson's network.
    """

    hidden_size: Annotated[int, "channels: numbers of each pitch, in each layer"] = 24
    layers: Annotated[int, "number of convolutional layers"] = 2
    embedding_size: Annotated[int, "width of what is given to all pitches alike"] = 64
    kernel: Annotated[int, "pitches that a layer sees of what is below it, odd; 25 is an octave to either side"] = 25
    recurrent_kernel: Annotated[int, "pitches that it sees of its own outputs before, odd"] = 5
    dropout: Annotated[float, "share dropped of what all pitches are given, and after each layer"] = 0.1

    register: Annotated[bool, "tell each pitch how high it is; then the state moves about as the music does"] = False

    equations: ClassVar[tuple[str, ...]] = (
        "i = sigmoid(W_i @ x + U_i @ h + V_i g + b_i)   W @ x at pitch p: the sum over k of W[k] x[p + k]",
        "f = sigmoid(W_f @ x + U_f @ h + V_f g + b_f)",
        "z = tanh(W_z @ x + U_z @ h + V_z g + b_z)",
        "o = sigmoid(W_o @ x + U_o @ h + V_o g + b_o)",
        "c' = f * c + i * z",
        "h' = o * tanh(c')",
        "x: what lies at each pitch, and outputs of the layers below;  g: what all pitches are given",
    )

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        if min(self.hidden_size, self.layers, self.embedding_size) < 1:
            raise ValueError("hidden_size, layers and embedding_size must be at least 1")
        for name in ("kernel", "recurrent_kernel"):
            size = getattr(self, name)
            if not (1 <= size <= LARGEST and size % 2):
                raise ValueError(f"{name} must be odd, and from 1 to {LARGEST}")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and less than 1")

    def build_module_of(self, columns: Sequence[Column], token_info: TokenInfo) -> nn.Module:
        """Build the network, freshly initialised. Raises BadOption for a vocabulary without pitches."""
        axis = make_axis(token_info)
        if axis is None:
            raise BadOption("convlstm lays music on an axis of pitches, and the tokens of this tokenizer have none.")
        return self._build(axis, [column.size for column in columns], mark_token_columns(columns, len(axis.place)))

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> nn.Module:
        """Build the network, freshly initialised, for tokens of which none is known to have a pitch."""
        holds_tokens = [True if size == vocabulary_size else None for size in column_sizes]
        return self._build(make_blank_axis(vocabulary_size), column_sizes, holds_tokens)

    def _build(self, axis: PitchAxis, column_sizes: Sequence[int], holds_tokens: Sequence[bool | None]) -> nn.Module:
        from composer_convlstm.layers import ConvLstmLayer
        from composer_convlstm.network import ConvLstmNetwork

        layers = (
            ConvLstmLayer(self.hidden_size, self.embedding_size, self.kernel, self.recurrent_kernel)
            for _ in range(self.layers)
        )
        return ConvLstmNetwork(
            axis,
            column_sizes,
            holds_tokens,
            layers,
            width=self.hidden_size,
            embedding_size=self.embedding_size,
            dropout=self.dropout,
            register=self.register,
        )

    def list_shapes(self, column_sizes: Sequence[int], vocabulary_size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield the arrays of the network, from the input up."""
        width, shared, sums = self.hidden_size, self.embedding_size, 4 * self.hidden_size
        tokens = sum(size == vocabulary_size for size in column_sizes)
        yield from (("words", (vocabulary_size, shared)), ("roles", (tokens, shared)))
        yield "values", (sum(column_sizes) - tokens * vocabulary_size, shared)
        yield from (("marks", (tokens, width)), ("degrees", (12, width)))
        if self.register:
            yield "register", (width,)
        for layer in range(self.layers):
            yield f"layers.{layer}.inputs", (sums, self.kernel, width)
            yield f"layers.{layer}.recurrent", (sums, self.recurrent_kernel, width)
            yield from ((f"layers.{layer}.shared.weight", (sums, shared)), (f"layers.{layer}.shared.bias", (sums,)))
        seen = 2 * width + shared
        yield from (("head.weight", (vocabulary_size, seen)), ("head.bias", (vocabulary_size,)))
        yield from (("query.weight", (width, seen)), ("query.bias", (width,)), ("kinds", (vocabulary_size, width)))
