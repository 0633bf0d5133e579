"""Options of `xlstm`. Torch is imported when a module is built.

Source: Beck et al. 2024, "xLSTM: Extended Long Short-Term Memory" (arXiv 2405.04517), and the package `xlstm` of its
authors, with whose cells the tests compare these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from composer_linear.options import Shapes, Stacked, check_heads, list_convolution

if TYPE_CHECKING:
    from composer_linear.stack import Mixer

WIDENED = 4 / 3
"""Width of the network of each step in an sLSTM block, in hidden sizes."""


@dataclass(frozen=True)
class XLstm(Stacked):
    """Extended LSTM (Beck et al. 2024): exponential gates; matrix memories (mLSTM) and scalar ones (sLSTM).

    In an mLSTM block each head keeps a matrix C, to which the value v is added at the key k, and which the query q
    reads. It has no recurrent matrix, so a sequence is computed in chunks. An sLSTM block is an LSTM whose gates see
    its own output h through a recurrent matrix in each head, step by step. In both, an input gate is an exponential, so
    that what comes later can outweigh all before. The sum n of what was added tells how much that is, and divides it.
    u is what comes from below, after a short convolution over the last 4 steps. Each block adds to the stream that it
    reads; after an sLSTM there is a gated network of each step.
    """

    heads: Annotated[int, "memories in a block; hidden_size is a multiple of it"] = 4
    scalar_every: Annotated[int, "each so many-th block is an sLSTM block, the others mLSTM; 0: none"] = 2

    activation: ClassVar[str] = "gelu"
    equations: ClassVar[tuple[str, ...]] = (
        "mLSTM:",
        "q = W_q u,  k = W_k u / sqrt(length of k),  v = W_v x",
        "i = exp(w_i . (q, k, v) + b_i),  f = sigmoid(w_f . (q, k, v) + b_f)   for each head",
        "C' = f C + i k v^T,  n' = f n + i k",
        "h' = W_o (silu(W_z x) * (norm(C'^T q / max(|n' . q|, 1)) + s * u))",
        "sLSTM:",
        "i = exp(W_i u + R_i h + b_i),  f = sigmoid(W_f u + R_f h + b_f)",
        "z = tanh(W_z x + R_z h + b_z),  o = sigmoid(W_o x + R_o h + b_o)",
        "c' = f * c + i * z,  n' = f * n + i",
        "h' = o * c' / n'",
    )

    def __post_init__(self) -> None:
        """Refuse invalid options."""
        super().__post_init__()
        if self.scalar_every < 0:
            raise ValueError("scalar_every must be at least 0")
        check_heads(self.hidden_size, self.heads)
        if self.hidden_size % 2:
            raise ValueError("hidden_size must be even")

    def is_scalar(self, layer: int) -> bool:
        """Tell whether a block, from 0, is an sLSTM block."""
        return bool(self.scalar_every) and (layer + 1) % self.scalar_every == 0

    def get_inner_size(self, layer: int) -> int:
        """Return the width of the network of each step."""
        return round(WIDENED * self.hidden_size) if self.is_scalar(layer) else 0

    def build_mixer(self, layer: int) -> Mixer:
        """Build the mixer of a block."""
        from composer_xlstm.mlstm import MatrixMixer
        from composer_xlstm.slstm import ScalarMixer

        if self.is_scalar(layer):
            return ScalarMixer(self.hidden_size, self.heads, layer / max(1, self.layers - 1))
        return MatrixMixer(self.hidden_size, self.heads, self.scale)

    def list_mixer_shapes(self, layer: int) -> Shapes:
        """Yield the arrays of the mixer of a block."""
        width, heads = self.hidden_size, self.heads
        size, inner = width // heads, 2 * width
        if self.is_scalar(layer):
            yield from (("recurrent", (heads, size, 4 * size)), ("bias", (heads, 4 * size)))
            yield from list_convolution(width)
            yield "smooth_gates.weight", (heads, size, 2 * size)
            yield "gates.weight", (heads, size, 2 * size)
            yield "norm.weight", (width,)
            return
        yield from (("skip", (inner,)), ("inputs.weight", (2 * inner, width)))
        yield from list_convolution(inner)
        yield from ((f"{name}.weight", (inner // 4, 4, 4)) for name in ("queries", "keys", "values"))
        yield from (("gates.weight", (2 * heads, 3 * inner)), ("gates.bias", (2 * heads,)))
        yield from (("norm.weight", (inner,)), ("outputs.weight", (width, inner)))
