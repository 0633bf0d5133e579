"""Options of `attention` and `hierarchical`. Torch is imported when a module is built.

Both have recurrent layers of a kind that is chosen (`core`). The last of them reads, beside the output of those below,
what a second memory makes of it. The layers never wait for one another: each is computed for a whole sequence.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from composer.errors import BadOption, printable
from composer_minimal.options import MinGru, MinLstm
from composer_recurrent.options import Gru, Lstm, Recurrent, Rnn

if TYPE_CHECKING:
    from torch import nn

    from composer.types import Column
    from composer_remembering.memory import Memory

CORES: dict[str, type[MinGru | MinLstm | Lstm | Gru | Rnn]] = {
    "mingru": MinGru,
    "minlstm": MinLstm,
    "lstm": Lstm,
    "gru": Gru,
    "rnn": Rnn,
}
"""The recurrent layers that there are, by name."""

BAR = "bar"
"""The feature that counts bars, where a tokenizer knows of them."""

UNBARRED = 32
"""Tokens that stand for a bar where no feature tells of bars."""

Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Remembering(Recurrent):
    """Recurrent layers with a second memory below the last one; subclasses define that memory."""

    core: Annotated[Literal["mingru", "minlstm", "lstm", "gru", "rnn"], "kind of the recurrent layers"] = "mingru"
    clock: Annotated[str, "the feature whose changes are counted: by default bars, or 32 tokens without bars"] = BAR
    every: Annotated[int, "so many changes make one tick"] = 1

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if self.core not in CORES:
            raise ValueError(f"core must be one of {', '.join(CORES)}")
        if self.layers < 2:
            raise ValueError("layers must be at least 2, since the last one reads what the others remember")
        if self.every < 1:
            raise ValueError("every must be at least 1")
        self._make_core(self.layers, self.embedding_size)  # refuses what the core refuses

    def build_module_for(self, columns: Sequence[Column], vocabulary_size: int) -> nn.Module:
        """Build the network for these features, freshly initialised. Raises BadOption if `clock` is none of them."""
        names = [column.name for column in columns]
        if self.clock not in (*names, BAR):
            known = ", ".join(printable(name) for name in names)
            raise BadOption(f"there is no feature '{printable(self.clock)}' for clock; the features are {known}.")
        clock = names.index(self.clock) if self.clock in names else None
        return self._build([column.size for column in columns], vocabulary_size, clock)

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> nn.Module:
        """Build the network, freshly initialised, for features none of which is known to count bars."""
        return self._build(column_sizes, vocabulary_size, None)

    def _build(self, column_sizes: Sequence[int], vocabulary_size: int, clock: int | None) -> nn.Module:
        from composer_remembering.network import RememberingNetwork

        network = RememberingNetwork(
            self.build_recurrence(), column_sizes, vocabulary_size, **self.get_network_options()
        )
        network.place_clock(clock, self.every * (UNBARRED if clock is None else 1))
        return network

    def build_recurrence(self) -> nn.Module:
        """Build the layers with the memory between them, freshly initialised."""
        from composer_remembering.network import RememberingLayers

        lower = self._make_core(self.layers - 1, self.embedding_size).build_recurrence()
        memory = self.build_memory()
        upper = self._make_core(1, self.hidden_size + self.context_size).build_recurrence()
        return RememberingLayers(lower, memory, upper, self.dropout)

    def list_recurrent_shapes(self) -> Shapes:
        """Yield the arrays of the layers and of the memory, with their names in the module."""
        below = self._make_core(self.layers - 1, self.embedding_size)
        above = self._make_core(1, self.hidden_size + self.context_size)
        for part, shapes in (
            ("lower", below.list_recurrent_shapes()),
            ("memory", self.list_memory_shapes()),
            ("upper", above.list_recurrent_shapes()),
        ):
            yield from ((f"{part}.{name}", shape) for name, shape in shapes)

    def _make_core(self, layers: int, inputs: int) -> Recurrent:
        return CORES[self.core](
            hidden_size=self.hidden_size, layers=layers, embedding_size=inputs, dropout=self.dropout
        )

    @property
    @abstractmethod
    def context_size(self) -> int:
        """Width of what the memory gives to each step."""

    @abstractmethod
    def build_memory(self) -> Memory:
        """Build the memory, freshly initialised."""

    @abstractmethod
    def list_memory_shapes(self) -> Shapes:
        """Yield the arrays of the memory."""


@dataclass(frozen=True)
class Attention(Remembering):
    """Recurrent layers with attention over their own last states, or over one summary of each bar.

    After Magenta's Attention RNN (Waite 2016), whose LSTM looks back at its last 40 outputs (attention of Bahdanau et
    al. 2015), so that it need not carry in its state what it is to repeat. Here, too, each step compares itself with
    the last outputs h of the layers below, and gets a mean m of them, weighted by a softmax of how well they match.

    What differs is younger. A match is a scaled dot product in several heads (Vaswani et al. 2017), not a small
    network. It takes into account how long ago something was, by a vector r for each distance, which is learned (Shaw
    et al. 2018). And the mean goes to the layer above, not into the next step's input, so that a whole sequence is
    computed at once.

    Over bars, there is one h a bar, that of its end, with the mean over the bar beside it; `window` counts bars, and a
    step may attend to nothing. The state holds the keys and values of the window, so it has one size.
    """

    over: Annotated[Literal["steps", "bars"], "what is looked back at: each step, or a summary of each bar"] = "steps"
    window: Annotated[int, "how many steps or bars it looks back at"] = 64
    attention_size: Annotated[int, "width of keys and values, a multiple of heads; 0: half of hidden_size"] = 0
    heads: Annotated[int, "parts of these that attend by themselves"] = 4

    equations: ClassVar[tuple[str, ...]] = (
        "h' = the layers below, of x",
        "q = W_q h' + b_q,  k' = W_k h' + b_k,  v' = W_v h' + b_v",
        "a_i = softmax_i(q . (k_i + r_i) / sqrt(width of a head))   for the last `window` steps or bars i",
        "m = sum_i a_i v_i",
        "y' = the layer above, of h' and m",
    )

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if self.over not in ("steps", "bars"):
            raise ValueError("over must be steps or bars")
        if self.window < 2 or self.heads < 1 or self.attention_size < 0:
            raise ValueError("window must be at least 2, heads at least 1 and attention_size at least 0")
        if self.attention_size % self.heads:
            raise ValueError(f"attention_size must be a multiple of heads, and {self.attention_size} is none")

    @property
    def context_size(self) -> int:
        """Width of all heads together."""
        return self.attention_size or self.heads * max(1, self.hidden_size // (2 * self.heads))

    @property
    def _remembered_size(self) -> int:
        return self.hidden_size if self.over == "steps" else 2 * self.hidden_size

    def build_memory(self) -> Memory:
        """Build the attention."""
        from composer_remembering.attention import AttentionToBars, AttentionToSteps

        kind = AttentionToSteps if self.over == "steps" else AttentionToBars
        return kind(self.hidden_size, self._remembered_size, self.context_size, self.heads, self.window)

    def list_memory_shapes(self) -> Shapes:
        """Yield the matrices of queries, keys and values, and the vector of each distance."""
        width, sizes = self.context_size, (self.hidden_size, self._remembered_size, self._remembered_size)
        yield "distances", (self.heads, self.window, width // self.heads)
        for name, size in zip(("queries", "keys", "values"), sizes, strict=True):
            yield f"{name}.weight", (width, size)
            yield f"{name}.bias", (width,)


@dataclass(frozen=True)
class Hierarchical(Remembering):
    """Recurrent layers with a slow layer between them, which ticks once a bar and is given to every step.

    Layers that tick at their own rates go back to El Hihi and Bengio (1996); in music, slow layers conduct the bars of
    MusicVAE (Roberts et al. 2018) and of the melodies of Wu et al. (2019). A slow state passes 8 bars in 8 steps, and
    so do gradients, where a fast one takes a hundred. Here the fast layers below read the tokens. At each bar line the
    slow layer, a GRU, reads their output h there, beside its mean over the bar that has ended. The fast layer above
    reads h and the slow state s at every step. Bars may be of any length. Unlike a conductor, the slow layer sums up
    what was, and plans nothing.
    """

    slow_size: Annotated[int, "width of the slow layer; 0: half of hidden_size"] = 0

    equations: ClassVar[tuple[str, ...]] = (
        "h' = the layers below, of x",
        "s' = GRU of s, h' and the mean of h' over the bar, at a bar line; else s' = s",
        "y' = the layer above, of h' and s'",
    )

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if self.slow_size < 0:
            raise ValueError("slow_size must be at least 0")

    @property
    def context_size(self) -> int:
        """Width of the slow layer."""
        return self.slow_size or max(1, self.hidden_size // 2)

    def build_memory(self) -> Memory:
        """Build the slow layer."""
        from composer_remembering.slow import SlowLayer

        return SlowLayer(2 * self.hidden_size, self.context_size)

    def list_memory_shapes(self) -> Shapes:
        """Yield the arrays of the slow layer, with torch's names."""
        size = self.context_size
        yield "cell.weight_ih", (3 * size, 2 * self.hidden_size)
        yield "cell.weight_hh", (3 * size, size)
        yield from ((f"cell.{name}", (3 * size,)) for name in ("bias_ih", "bias_hh"))
