"""Options of `rg-lru`, `gated-deltanet` and `mamba2`. Torch is imported when a module is built.

All three are linear in their state, so a sequence is computed at once in training: `rg-lru` by a scan, the others,
whose state is a matrix of each head, in chunks. Each is a stack of residual blocks, as in its article: a mixer of
time, and a gated network of each step (which `mamba2` lacks). Around it is the network of all our architectures, with
its pointer, its skip and its dropout.

Sources: De et al. 2024, "Griffin" (arXiv 2402.19427); Yang, Kautz and Hatamizadeh 2024, "Gated Delta Networks"
(arXiv 2412.06464); Dao and Gu 2024, "Transformers are SSMs" (arXiv 2405.21060). The decay of `rg-lru`, and rates and
steps of the others, begin as there. Norms are layer norms, where the articles have RMS norms.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from composer_recurrent.options import Recurrent

if TYPE_CHECKING:
    from torch import nn

    from composer_linear.stack import Mixer

Shapes = Iterator[tuple[str, tuple[int, ...]]]

REACH = 4
"""Steps that a short convolution sees (`composer_linear.pieces`)."""


@dataclass(frozen=True)
class Stacked(Recurrent):
    """Residual blocks in place of recurrent layers; subclasses define the mixer."""

    activation: ClassVar[str] = "silu"  # of the network of each step (`composer_linear.gating`)

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if self.hidden_size < 2:
            raise ValueError("hidden_size must be at least 2, since one number alone is 0 when normalised")

    @property
    def scale(self) -> float:
        """Variance of what a new block adds to the stream."""
        return min(1.0, 2 / self.layers)

    def build_recurrence(self) -> nn.Module:
        """Build the blocks, freshly initialised."""
        from composer_linear.stack import Block, Stack

        blocks = [
            Block(self.hidden_size, self.build_mixer(layer), self._build_network(layer), self.dropout)
            for layer in range(self.layers)
        ]
        return Stack(self.embedding_size, self.hidden_size, blocks)

    def _build_network(self, layer: int) -> nn.Module | None:
        from composer_linear.pieces import GatedNetwork

        inner = self.get_inner_size(layer)
        return GatedNetwork(self.hidden_size, inner, self.activation, self.scale) if inner else None

    def list_recurrent_shapes(self) -> Shapes:
        """Yield the arrays of the blocks, with the names in `Stack`."""
        width = self.hidden_size
        yield "inlet.weight", (width, self.embedding_size)
        for layer in range(self.layers):
            yield f"blocks.{layer}.norm.weight", (width,)
            yield from ((f"blocks.{layer}.mixer.{name}", shape) for name, shape in self.list_mixer_shapes(layer))
            if inner := self.get_inner_size(layer):
                yield f"blocks.{layer}.network_norm.weight", (width,)
                yield f"blocks.{layer}.network.inputs.weight", (2 * inner, width)
                yield f"blocks.{layer}.network.outputs.weight", (width, inner)
        yield "norm.weight", (width,)

    def get_inner_size(self, layer: int) -> int:
        """Return the width of the network of each step in a block; 0 for none."""
        return 0

    @abstractmethod
    def build_mixer(self, layer: int) -> Mixer:
        """Build the mixer of a block, freshly initialised."""

    @abstractmethod
    def list_mixer_shapes(self, layer: int) -> Shapes:
        """Yield the arrays of the mixer of a block."""


@dataclass(frozen=True)
class Expanded(Stacked):
    """Residual blocks, each with a gated network of each step."""

    expansion: Annotated[float, "width of the network of each step, in hidden sizes; 0: none"] = 2.5

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if not 0 <= self.expansion < 100:
            raise ValueError("expansion must be at least 0 and less than 100")

    def get_inner_size(self, layer: int) -> int:
        """Return the width of the network of each step."""
        return round(self.expansion * self.hidden_size)


@dataclass(frozen=True)
class RgLru(Expanded):
    """Real-gated linear recurrence of Griffin and Hawk (De et al. 2024): gates of the input, and a state that decays.

    A unit's state h decays by a number of its own, a, as often as the recurrence gate r says, and what is added is
    scaled so that h keeps its size. Both gates see the input alone, so a layer is linear in its state. The input u has
    been through a short convolution over the last 4 steps. The block is that of Hawk: the recurrence is multiplied by a
    gate beside it, and after it comes a gated network of each step (GeGLU). Both add to the stream x that they read.
    Decays begin between 0.9 and 0.999.
    """

    expansion: Annotated[float, "width of the network of each step, in hidden sizes; 0: none"] = 3.0

    activation: ClassVar[str] = "gelu"
    equations: ClassVar[tuple[str, ...]] = (
        "u = convolution of W_u x over the last 4 steps",
        "r = sigmoid(W_r u + b_r)",
        "i = sigmoid(W_i u + b_i)",
        "a = a_0^(8 r)   with 0 < a_0 < 1 learned for each unit",
        "h' = a * h + sqrt(1 - a^2) * i * u",
        "y = x + W_o (gelu(W_g x) * h')",
        "x' = y + W_z (gelu(W_m y) * W_n y)",
    )

    def build_mixer(self, layer: int) -> Mixer:
        """Build the mixer."""
        from composer_linear.rglru import RgLruMixer

        return RgLruMixer(self.hidden_size, self.scale)

    def list_mixer_shapes(self, layer: int) -> Shapes:
        """Yield the arrays of the mixer."""
        width = self.hidden_size
        yield "decay", (width,)
        yield "inputs.weight", (2 * width, width)
        yield from list_convolution(width)
        yield "gates.weight", (2 * width, width)
        yield "gates.bias", (2 * width,)
        yield "outputs.weight", (width, width)


@dataclass(frozen=True)
class GatedDeltaNet(Expanded):
    """Gated DeltaNet (Yang, Kautz and Hatamizadeh 2024): a matrix that is overwritten, where others add up.

    Each head keeps a matrix S that maps keys k to values v. At each step S decays by a number a. Then what it holds at
    k is replaced by v, as far as the share b says. So a note that was written under a key is not blurred by the next
    one. The query q reads S. Keys, values and queries have been through a short convolution over the last 4 steps; keys
    and queries have the length 1. What is read is normalised in each head, and gated. A gated network of each step
    (SwiGLU) follows.
    """

    heads: Annotated[int, "matrices in a block; hidden_size is a multiple of it"] = 4

    equations: ClassVar[tuple[str, ...]] = (
        "q, k, v = silu(convolution of W x over the last 4 steps);  q and k of length 1",
        "a = exp(-A softplus(W_a x + d))   with A > 0 learned for each head",
        "b = sigmoid(W_b x)",
        "S' = a S + b k (v - a S^T k)^T",
        "o = norm(S'^T q)",
        "y = x + W_o (silu(W_g x) * o)",
        "x' = y + W_z (silu(W_m y) * W_n y)",
    )

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        check_heads(self.hidden_size, self.heads)

    def build_mixer(self, layer: int) -> Mixer:
        """Build the mixer."""
        from composer_linear.deltanet import GatedDeltaMixer

        return GatedDeltaMixer(self.hidden_size, self.heads, self.scale)

    def list_mixer_shapes(self, layer: int) -> Shapes:
        """Yield the arrays of the mixer."""
        width = self.hidden_size
        yield from (("rates", (self.heads,)), ("steps", (self.heads,)))
        yield "inputs.weight", (4 * width, width)
        yield "gates.weight", (2 * self.heads, width)
        yield from list_convolution(3 * width)
        yield from (("norm.weight", (width,)), ("outputs.weight", (width, width)))


@dataclass(frozen=True)
class Mamba2(Stacked):
    """Mamba-2 (Dao and Gu 2024): a matrix that decays and is added to, with a step that the input chooses.

    Each head keeps a matrix S. The step d of a head, which the input chooses, is how much time passes: S decays by
    exp(-A d), and d times the value v is added at the key k. Keys and queries are those of all heads. They and the
    values have been through a short convolution over the last 4 steps. What the query reads, and the value itself, are
    gated and normalised. There is no other network: the block is twice as wide within.
    """

    heads: Annotated[int, "matrices in a block; 2 hidden_size is a multiple of it"] = 4
    state_size: Annotated[int, "length of keys and queries"] = 64

    equations: ClassVar[tuple[str, ...]] = (
        "v, k, q = silu(convolution of W x over the last 4 steps)",
        "d = softplus(W_d x + b_d)   for each head",
        "S' = exp(-A d) S + d k v^T   with A > 0 learned for each head",
        "o = S'^T q + D v",
        "x' = x + W_o norm(silu(W_g x) * o)",
    )

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if self.state_size < 1:
            raise ValueError("state_size must be at least 1")
        check_heads(2 * self.hidden_size, self.heads)

    def build_mixer(self, layer: int) -> Mixer:
        """Build the mixer."""
        from composer_linear.mamba import Mamba2Mixer

        return Mamba2Mixer(self.hidden_size, self.heads, self.state_size, self.scale)

    def list_mixer_shapes(self, layer: int) -> Shapes:
        """Yield the arrays of the mixer."""
        width, inner = self.hidden_size, 2 * self.hidden_size
        yield from ((name, (self.heads,)) for name in ("rates", "steps", "skip"))
        yield "inputs.weight", (2 * inner + 2 * self.state_size + self.heads, width)
        yield from list_convolution(inner + 2 * self.state_size)
        yield from (("norm.weight", (inner,)), ("outputs.weight", (width, inner)))


def check_heads(width: int, heads: int) -> None:
    """Raise ValueError unless a width can be divided among heads, with two numbers at least for each."""
    if heads < 1 or width % heads or width < 2 * heads:
        raise ValueError(f"heads must divide {width} into equal parts of at least 2, and {heads} does not")


def list_convolution(channels: int) -> Shapes:
    """Yield the arrays of a short convolution."""
    yield "convolution.weight", (REACH, channels)
    yield "convolution.bias", (channels,)
