"""The network around recurrent layers: embedded columns, a linear output, a pointer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from composer_recurrent.dropout import Dropout
from composer_recurrent.products import choose_number, multiply


class RecurrentNetwork(nn.Module):
    """`model(inputs (B, T, C), state=None) -> (logits (B, T, V), state)`; its tensors are (B, layers, hidden).

    Only `recurrence` differs between architectures. It is called like torch's layers, batch first:
    `recurrence(x (B, T, E), state) -> (hidden (B, T, H), state)`. The state is a tensor (layers, B, H), or a tuple of
    them. One that only multiplies `x` by matrices says so by `takes_rounded`: in bf16 it is given `x` as they round it.
    """

    offsets: Tensor
    places: Tensor

    def __init__(
        self,
        recurrence: nn.Module,
        column_sizes: Sequence[int],
        vocabulary_size: int,
        *,
        hidden_size: int,
        embedding_size: int,
        dropout: float,
        skip: bool,
        pointer: bool,
        tie_weights: bool,
    ) -> None:
        super().__init__()
        sizes = torch.tensor(list(column_sizes))
        self.register_buffer("offsets", torch.cumsum(sizes, 0) - sizes, persistent=False)
        # One table for all columns: embeddings are summed, like one-hot columns times one matrix.
        self.embedding = nn.EmbeddingBag(int(sizes.sum()), embedding_size, mode="sum")
        self.recurrence = recurrence
        self.dropout = Dropout(dropout)
        self.skip, self.tied = skip, tie_weights
        seen = hidden_size + embedding_size if skip else hidden_size
        if tie_weights:
            self.head = nn.Linear(seen, embedding_size)
            self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        else:
            self.head = nn.Linear(seen, vocabulary_size)
        # Columns of the vocabulary's size hold tokens.
        self.pointed = [number for number, size in enumerate(column_sizes) if pointer and size == vocabulary_size]
        self.register_buffer("places", torch.tensor(self.pointed, dtype=torch.int64), persistent=False)
        self.pointer = nn.Linear(seen, len(self.pointed)) if self.pointed else None
        nn.init.normal_(self.embedding.weight, std=0.25)
        if self.pointer is not None:
            nn.init.zeros_(self.pointer.weight)
            nn.init.zeros_(self.pointer.bias)

    def forward(self, inputs: Tensor, state: tuple[Tensor, ...] | None = None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute (B, T, V) logits, and the state after the last token."""
        embedded = self.dropout(self._embed(inputs))
        before = None if state is None else tuple(tensor.transpose(0, 1).contiguous() for tensor in state)
        hidden, after = self.run_recurrence(inputs, embedded, before)
        hidden = self.dropout(hidden.to(embedded.dtype))
        seen = torch.cat([hidden, embedded], dim=2) if self.skip else hidden
        logits, raised = self._compute_logits(seen)
        if raised is not None:
            tokens = inputs[..., self.places]
            raised = raised.masked_fill(tokens == 0, 0.0).to(logits.dtype)  # 0 stands for no token
            # Two columns may hold the same token; a GPU would add both in any order.
            width = 1 if logits.is_cuda and not self.training else len(self.pointed)
            for index, added in zip(tokens.split(width, dim=2), raised.split(width, dim=2), strict=True):
                logits = logits.scatter_add(2, index, added)
        return logits, tuple(tensor.transpose(0, 1) for tensor in after)

    def _embed(self, inputs: Tensor) -> Tensor:
        """Compute (B, T, E) the sum of embedded features: in training with autocast on a CPU, in bf16."""
        table, (rows, steps, _) = self.embedding.weight, inputs.shape
        if self.training and getattr(self.recurrence, "takes_rounded", False):
            table = table.to(choose_number(table))
        return sum_rows(table, (inputs + self.offsets).flatten(0, 1)).view(rows, steps, -1)

    def run_recurrence(
        self, inputs: Tensor, embedded: Tensor, state: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the layers over (B, T, E); each part of a state has its rows second. Others may see the inputs, too."""
        alone = state[0] if state is not None and len(state) == 1 else state
        hidden, after = self.recurrence(embedded, alone)
        return hidden, after if isinstance(after, tuple) else (after,)

    def _compute_logits(self, seen: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute (B, T, V) logits, and (B, T, columns) what the pointer adds to those of the tokens in its columns."""
        if self.tied:
            logits = functional.linear(self.head(seen), self.embedding.weight[: len(self.bias)], self.bias)
        elif self.pointer is not None and self.training:  # one product instead of two, of which one would be narrow
            both = zip(self.head.parameters(), self.pointer.parameters(), strict=True)
            joined = multiply(seen, *(torch.cat(pair) for pair in both))
            return joined.split([self.head.out_features, self.pointer.out_features], dim=-1)
        else:
            logits = multiply(seen, self.head.weight, self.head.bias)
        return logits, None if self.pointer is None else self.pointer(seen)


class _RowSum(torch.autograd.Function):
    """The sum of rows of a table. The gradient adds those of each row's places, in order: four times torch's speed."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.count = len(table)
        return functional.embedding_bag(rows, table, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        by_row = rows.flatten().int().sort(stable=True)[1]
        ends = torch.bincount(rows.flatten(), minlength=ctx.count).cumsum(0)
        begins = torch.cat([ends.new_zeros(1), ends[:-1]])
        return functional.embedding_bag(by_row // rows.shape[1], gradient.contiguous(), begins, mode="sum"), None


def sum_rows(table: Tensor, rows: Tensor) -> Tensor:
    """Sum, for each of N lines of `rows` (N, C), those rows of the `table` (R, E); returns (N, E)."""
    if table.device.type == "cpu":
        return _RowSum.apply(table, rows)  # type: ignore[no-untyped-call]
    return functional.embedding_bag(rows, table, mode="sum")
