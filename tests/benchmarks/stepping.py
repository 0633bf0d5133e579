"""Steps of a model by each stepper, beside the naive loop over torch's LSTM and beside what the machine can do.

Naive: `nn.LSTM` one step at a time, softmax, multinomial. The roofline is the longer of two times: to read all weights
once, as fast as a dot product reads as many bytes, and to multiply, as fast as a large matrix product does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from machine import describe, in_turn

from composer.generation import Player, open_model
from composer.plugins import registry
from composer.testing import random_model
from composer.types import Cell

BATCHES = (1, 16, 64)
ROUNDS = 9


def naive_loop(cell: Cell, rows: int) -> Callable[[], None]:
    """One token for each row, as one would write it."""
    width, layers, vocabulary = cell.layers[0].recurrent.shape[1], len(cell.layers), len(cell.bias)
    lstm = torch.nn.LSTM(width, width, layers, batch_first=True).eval()
    embedding, head = torch.nn.Embedding(vocabulary, width), torch.nn.Linear(width, vocabulary)
    tokens, state = torch.zeros(rows, dtype=torch.long), None

    @torch.no_grad()
    def step() -> None:
        nonlocal tokens, state
        hidden, state = lstm(embedding(tokens)[:, None], state)
        tokens = torch.multinomial(torch.softmax(head(hidden[:, 0]), dim=-1), 1)[:, 0]

    return step


def stepping(player: Player, name: str, rows: int) -> Callable[[], None]:
    """The same by a stepper; a draw from a cumulative sum."""
    step = registry().make("steppers", name).make(player.model, "cpu")
    sizes = [column.size for column in player.tokenizer.grammar.columns]
    columns = np.random.default_rng(0).integers(0, sizes, (rows, len(sizes)))
    uniforms, state = np.full((rows, 1), 0.5), None

    def one() -> None:
        nonlocal state
        logits, state = step(columns, state)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
        columns[:, 0] = (weights > uniforms * weights[:, -1:]).argmax(axis=1)

    return one


def many(one: Callable[[], None], times: int) -> Callable[[], None]:
    """So many times, since one is too short to be timed."""

    def run() -> None:
        for _ in range(times):
            one()

    return run


def roofline(cell: Cell, rows: int, bytes_a_weight: int) -> float:
    """The least seconds that a step of so many rows can take here, in one thread."""
    matrices = [m for layer in cell.layers for m in (layer.inputs, layer.recurrent)] + [cell.head]
    weights = sum(m.size for m in matrices)
    read = np.ones(weights * bytes_a_weight // 4, dtype=np.float32)
    square = np.ones((768, 768), dtype=np.float32)
    found = in_turn({"read": many(lambda: read @ read, 20), "multiply": lambda: square @ square}, ROUNDS)
    return max(found["read"] / 20, weights * rows * found["multiply"] / square.size / len(square))


def measure(title: str, player: Player) -> None:
    """Print a line a batch size."""
    cell = player.model.make_cell()
    names = [
        name for name in registry().names("steppers") if registry().make("steppers", name).suits(player.model, "cpu")
    ]
    half = all(
        np.array_equal(m, m.astype(np.float16)) for layer in cell.layers for m in (layer.inputs, layer.recurrent)
    )
    for rows in BATCHES:
        times = max(3, 60 // rows)
        tasks = {"naive": many(naive_loop(cell, rows), times)}
        tasks |= {name: many(stepping(player, name, rows), times) for name in names}
        for task in tasks.values():
            task()
        found = {name: seconds / times for name, seconds in in_turn(tasks, ROUNDS).items()}
        least = roofline(cell, rows, 2 if half else 4)
        told = [f"{name} x{found['naive'] / found[name]:.1f}" for name in names]
        best = min(found[name] for name in names)
        print(
            f"{title}, batch {rows:3}: naive {rows / found['naive']:8,.0f} tokens/s; {', '.join(told)}; "
            f"best {rows / best:,.0f} tokens/s, {least / best:.0%} of the roofline"
        )


def main() -> None:
    """Print the table for 3 x 512 and for the shipped models."""
    print(describe())
    options = {"hidden_size": 512, "layers": 3, "embedding_size": 512}
    model = random_model("lstm", "remi", **options)
    stored = {name: array.astype(np.float16) for name, array in model.weights.items()}
    measure("lstm 3x512", Player(replace(model, weights=stored)))
    for name in ("chorales", "tunes"):
        measure(name, open_model(name))


if __name__ == "__main__":
    if "OMP_NUM_THREADS" not in os.environ:  # before NumPy and torch start their threads
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    main()
