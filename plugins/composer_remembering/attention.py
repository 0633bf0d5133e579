"""Attention over the last steps, or over one summary of each of the last bars.

Keys and values of a window of N are kept, the latest last. The match of a query with the one d ago is its product with
the key and with the vector of that distance, 0 ≤ d < N.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from composer_recurrent.products import multiply
from composer_remembering.clock import Parts, Ticks, mark, sum_up
from composer_remembering.memory import Memory

NEVER = -1e9
"""The match of what is not there."""


class _Attention(Memory):
    """Queries, keys and values; the width D of a context is that of all heads."""

    def __init__(self, hidden_size: int, remembered_size: int, size: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window, self.size = heads, window, size
        self.queries = nn.Linear(hidden_size, size)
        self.keys = nn.Linear(remembered_size, size)
        self.values = nn.Linear(remembered_size, size)
        # From the farthest to the nearest; each begins as small as the numbers of a key.
        self.distances = nn.Parameter(torch.empty(heads, window, size // heads).uniform_(-0.5, 0.5))

    def _begin_window(self, like: Tensor) -> Parts:
        """Make keys and values (N, B, D), and (1, B, 1) how many of them there are: none."""
        empty = like.new_zeros(self.window, len(like), self.size)
        return empty, empty.clone(), like.new_zeros(1, len(like), 1)

    def _split(self, x: Tensor) -> Tensor:
        """Split (..., T, D) into heads (..., heads, T, D / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def _ask(self, hidden: Tensor) -> Tensor:
        """Compute queries (B, T, D), scaled as their products are to be."""
        return _project(self.queries, hidden) * (self.size // self.heads) ** -0.5

    def _hold(self, seen: Tensor, keys: Tensor, values: Tensor) -> list[Tensor]:
        """Compute keys and values of what is `seen` (B, n, …), after those (N, B, D) that are kept: (B, N + n, D)."""
        pairs = ((keys, self.keys), (values, self.values))
        return [torch.cat([kept.transpose(0, 1), _project(by, seen).to(kept.dtype)], dim=1) for kept, by in pairs]


class AttentionToSteps(_Attention):
    """Attention to the last N outputs of the layers below, that of the place included.

    A sequence is cut into blocks of at most N places, each of which attends to itself and to the N places before it.
    """

    parts = 3

    def begin(self, like: Tensor) -> Parts:
        """Make keys, values and their number before the first token."""
        return self._begin_window(like)

    def forward(self, hidden: Tensor, ticks: Ticks, state: Parts) -> tuple[Tensor, Parts]:
        """Compute the context of each place; ticks are of no concern."""
        places, length = hidden.shape[1], min(self.window, hidden.shape[1])
        *kept, (filled,) = state
        held = self._hold(hidden, *kept)
        queries = _pad(self._ask(hidden), length).unflatten(1, (-1, length))
        keys, values = (_pad(of, length, self.window).unfold(1, self.window + length, length) for of in held)
        queries, keys, values = self._split(queries), *(self._split(of.transpose(2, 3)) for of in (keys, values))
        matches = queries @ keys.transpose(-1, -2)
        matches += self._match_distances(queries)
        matches += self._find_unfilled(keys.shape[1], length, filled)[:, :, None, None]
        weights = matches.softmax(-1)
        context = (weights @ values.to(weights.dtype)).transpose(2, 3).flatten(3).flatten(1, 2)[:, :places]
        after = tuple(of[:, places:].transpose(0, 1) for of in held)
        return context, (*after, (filled + places).clamp_max(self.window)[None])

    def _match_distances(self, queries: Tensor) -> Tensor:
        """Compute (B, blocks, heads, L, N + L) the product of each query with the vector of each key's distance.

        It is NEVER for a key out of reach. Row i of the products (L, N) belongs i + 1 places further right. A number
        before it and L after it do that, when all rows are read as one and cut anew.
        """
        length = queries.shape[-2]
        products = queries @ self.distances.transpose(-1, -2)
        padded = functional.pad(products, (1, length), value=NEVER).flatten(-2)
        return padded[..., : length * (self.window + length)].unflatten(-1, (length, -1))

    def _find_unfilled(self, blocks: int, length: int, filled: Tensor) -> Tensor:
        """Return (B, blocks, N + L) NEVER for keys before the first token, else 0; `filled` (B, 1) are kept ones."""
        key = torch.arange(self.window + length, device=filled.device)
        block = torch.arange(blocks, device=filled.device)[:, None] * length
        return ((block + key) < (self.window - filled)[..., None]).to(filled.dtype) * NEVER


def _project(by: nn.Linear, x: Tensor) -> Tensor:
    return multiply(x, by.weight, by.bias)


def _pad(x: Tensor, length: int, more: int = 0) -> Tensor:
    """Fill up (B, T, D) with zeros until T - `more` is a multiple of `length`."""
    missing = (more - x.shape[1]) % length
    return functional.pad(x, (0, 0, 0, missing)) if missing else x


class AttentionToBars(_Attention):
    """Attention to summaries made at the last N ticks, or to nothing."""

    parts = 4

    def begin(self, like: Tensor) -> Parts:
        """Make keys, values, their number, and the sum since the last tick, before the first token."""
        return *self._begin_window(like), like.new_zeros(1, len(like), self.queries.in_features + 1)

    def forward(self, hidden: Tensor, ticks: Ticks, state: Parts) -> tuple[Tensor, Parts]:
        """Compute the context of each place."""
        *kept, (filled,), (gathered,) = state
        summaries, gathered = sum_up(hidden, ticks, gathered)
        held = self._hold(summaries, *kept)
        queries, keys, values = (self._split(of) for of in (self._ask(hidden), *held))
        places = torch.arange(held[0].shape[1], device=hidden.device) - ticks.number[..., None]  # in each window
        inside = (places >= 0) & (places < self.window)
        begun = places + ticks.number[..., None] >= self.window - filled[..., None]
        products = queries @ self.distances.transpose(-1, -2)  # (B, heads, T, N)
        index = places.clamp(0, self.window - 1).long()[:, None].expand(-1, self.heads, -1, -1)
        matches = queries @ keys.transpose(-1, -2) + products.gather(-1, index)
        matches = matches.masked_fill(~(inside & begun)[:, None], NEVER)
        nothing = torch.zeros_like(matches[..., :1])
        weights = torch.cat([nothing, matches], dim=-1).softmax(-1)[..., 1:]
        context = (weights @ values.to(weights.dtype)).transpose(1, 2).flatten(2)
        total = ticks.number[:, -1:]
        after = (self._keep(of, total, ticks.slots).transpose(0, 1) for of in held)
        return context, (*after, (filled + total).clamp_max(self.window)[None], gathered[None])

    def _keep(self, held: Tensor, total: Tensor, slots: int) -> Tensor:
        """Keep (B, N, D) of what was held, up to the last tick of each row."""
        index = total + torch.arange(self.window, device=held.device)  # (B, N)
        return mark(index, self.window + slots) @ held
