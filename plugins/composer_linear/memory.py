"""A memory that is a matrix S of each head, from keys to values: it decays, is written to, and is read.

A step decays it by a number, and writes a value v at a key k; the query q reads it:

    S' = decay * S + k v^T,    o = S'^T q.

The delta rule first subtracts what the decayed memory holds there, and writes only the share `beta` of the difference:

    S' = decay * S + beta * k (v - decay * S^T k)^T.

The form in chunks is the same function. Within a chunk, what one step has written is read by another in products of
matrices; S is carried from chunk to chunk. What the delta rule writes at a step depends on what it wrote before: a
triangular system, solved for all chunks at once (Yang et al. 2024, arXiv 2406.06484). Keys may be shared by all heads:
then they are of 1 head.

On a CPU, compiled C takes steps instead (`composer_linear.compiled`), which on one thread is faster than these
products.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from composer_linear.compiled import can_run, run_delta, run_linear

CHUNK = 32
"""Steps of a chunk: work within it grows with its length, and the number of chunks falls."""


def run_memory(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, state: Tensor, share: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Write and read a sequence: return what is read (B, heads, T, V), and the memory after it (B, heads, K, V).

    Queries and keys are (B, heads or 1, T, K), values (B, heads, T, V), the logarithms of decays (B, heads, T), and the
    memory before is as that after. With a `share` (B, heads, T) it follows the delta rule. All are in fp32 or fp64.
    """
    with torch.autocast(values.device.type, enabled=False):
        if values.shape[2] == 1:
            return step_memory(queries, keys, values, log_decay, state, share)
        if not can_run(keys, values):
            return run_chunks(queries, keys, values, log_decay, state, share)
        if share is None:
            return run_linear(queries, keys, values, log_decay, state)
        return run_delta(queries, keys, values, log_decay, state, share)


def step_memory(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, state: Tensor, share: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Take one step, T = 1, as `run_memory` does."""
    kept = log_decay.exp()[..., None] * state
    if share is not None:
        values = share[..., None] * (values - keys @ kept)
    after = kept + keys.transpose(-1, -2) * values
    return queries @ after, after


def run_chunks(
    queries: Tensor, keys: Tensor, values: Tensor, log_decay: Tensor, state: Tensor, share: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Take all steps in chunks, as `run_memory` does."""
    places, length = values.shape[2], min(CHUNK, values.shape[2])
    queries, keys, values = (_cut(of, length) for of in (queries, keys, values))  # (B, heads, chunks, L, …)
    since = _cut(log_decay[..., None], length).squeeze(-1).cumsum(-1)  # the decay since the chunk began
    between = _fade(since)  # (B, heads, chunks, L, L) from one step to a later one, or itself
    reading = (queries @ keys.transpose(-1, -2)) * between
    kept = since.exp()[..., None]
    to_end = (since[..., -1:] - since).exp()[..., None] * keys
    written, corrected = values, None
    if share is not None:
        written, corrected = _solve(keys, values, between, kept, _cut(share[..., None], length))
    read = []
    parts = (of.unbind(2) for of in (queries, reading, kept, to_end.transpose(-1, -2), written))
    corrections = [None] * values.shape[2] if corrected is None else corrected.unbind(2)
    for query, weights, left, writing, made, correction in zip(*parts, corrections, strict=True):
        added = made if correction is None else made - correction @ state
        read.append(left * (query @ state) + weights @ added)
        state = left[:, :, -1:] * state + writing @ added
    return torch.stack(read, dim=2).flatten(2, 3)[:, :, :places], state


def _cut(x: Tensor, length: int) -> Tensor:
    """Cut (B, heads, T, N) into chunks (B, heads, chunks, L, N), the last filled up with zeros, to no effect."""
    missing = -x.shape[2] % length
    return (functional.pad(x, (0, 0, 0, missing)) if missing else x).unflatten(2, (-1, length))


def _fade(since: Tensor) -> Tensor:
    """Compute the decay (…, L, L) that step j has undergone at step i, from those (…, L) since the beginning.

    It is 0 for a later j.
    """
    length = since.shape[-1]
    later = torch.ones(length, length, dtype=torch.bool, device=since.device).triu(1)
    return (since[..., :, None] - since[..., None, :]).masked_fill(later, -torch.inf).exp()


def _solve(keys: Tensor, values: Tensor, between: Tensor, kept: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Solve what the delta rule writes in a chunk: return U (…, L, V) and W (…, L, K); it writes U - W S.

    S is the memory before the chunk.
    """
    held = share * (keys @ keys.transpose(-1, -2)) * between  # of what is written at j, the part corrected at i
    both = torch.cat([share * values, share * kept * keys], dim=-1)
    # The diagonal counts as ones, and what is above it is not looked at.
    solved = torch.linalg.solve_triangular(held, both, upper=False, unitriangular=True)
    written, corrected = solved.split([values.shape[-1], keys.shape[-1]], dim=-1)
    return written, corrected
