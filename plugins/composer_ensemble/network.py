"""Several networks as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate

import torch
from torch import Tensor, nn

Parts = tuple[Tensor, ...]


class EnsembleNetwork(nn.Module):
    """`model(inputs (B, T, C), state=None) -> (logits (B, T, V), state)`: the mean of the members' logits.

    Its softmax is the product of their chances, made to sum to 1: what each lacks to be a logarithm of a chance is the
    same for all tokens. The state is theirs, one after the other.
    """

    def __init__(self, members: Sequence[nn.Module], columns: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._parts = [_count_parts(member, columns) for member in members]

    def forward(self, inputs: Tensor, state: Parts | None = None) -> tuple[Tensor, Parts]:
        """Compute the logits, and the state after the last token."""
        found = [member(inputs, part) for member, part in zip(self.members, self._divide(state), strict=True)]
        total = reduce(torch.add, (logits for logits, _ in found))
        return total / len(found), tuple(tensor for _, after in found for tensor in after)

    def _divide(self, state: Parts | None) -> Sequence[Parts | None]:
        """Divide a state among the members."""
        if state is None:
            return [None] * len(self._parts)
        ends = accumulate(self._parts)
        return [state[end - count : end] for end, count in zip(ends, self._parts, strict=True)]


def _count_parts(member: nn.Module, columns: int) -> int:
    """Count the tensors of a member's state, by a step."""
    was_training = member.training
    member.eval()
    with torch.no_grad():
        _, state = member(torch.zeros(1, 1, columns, dtype=torch.int64))
    member.train(was_training)
    return len(state)
