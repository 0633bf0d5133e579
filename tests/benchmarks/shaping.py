"""Links of the sampling chain beside a step of the model: the time of each, as a share of a step.

The logits are those of the model along pieces, within the grammar, as the links are given them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import numpy as np
from machine import describe, in_turn
from numpy.typing import NDArray

from composer.generation.composer import open_model
from composer.generation.generator import Generator
from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.loop import draw

BATCHES = (1, 64)
ROUNDS = 15
PLACES = 24
"""Tokens into the pieces; each place is one call."""

LINKS = {"top-p": {"p": 0.95}, "top-k": {"k": 10}, "min-p": {"p": 0.05}}


def along(player: Generator, rows: int) -> list[NDArray[np.float64]]:
    """(B, V) the logits within the grammar at each place."""
    grammar, step, recurrent = player.tokenizer.grammar, player.get_step(player.resolve(Request())), None
    places, uniforms, found = grammar.start(Request(bars=8), rows), np.random.default_rng(0), []
    for _ in range(PLACES):
        logits, recurrent = step(grammar.make_inputs(places), recurrent)
        found.append(np.where(grammar.mask(places), logits.astype(np.float64), -np.inf))
        places = grammar.advance(places, draw(found[-1], uniforms.random(rows)))
    return found


def stepping(player: Generator, rows: int, precision: str) -> Callable[[], None]:
    """So many steps."""
    step = player.get_step(player.resolve(Request(precision=precision)))
    columns = player.tokenizer.grammar.make_inputs(player.tokenizer.grammar.start(Request(), rows))

    def run() -> None:
        state = None
        for _ in range(PLACES):
            _, state = step(columns, state)

    return run


def shaping(name: str, logits: list[NDArray[np.float64]]) -> Callable[[], None]:
    """The link at each place; it looks at the logits alone."""
    link = registry().make("samplers", name, **LINKS[name])

    def run() -> None:
        for of_place in logits:
            link(of_place, None)

    return run


def main() -> None:
    """Print a line for each model and batch size."""
    print(describe())
    for title in ("chorales", "tunes"):
        player = open_model(title)
        for rows in BATCHES:
            logits = along(player, rows)
            tasks = {name: shaping(name, logits) for name in LINKS}
            tasks |= {precision: stepping(player, rows, precision) for precision in ("float32", "int8")}
            found = in_turn(tasks, ROUNDS, take=min)
            micros = {name: seconds / PLACES * 1e6 for name, seconds in found.items()}
            told = [
                f"{name} {micros[name]:.0f} µs ({micros[name] / micros['float32']:.0%} of a step)" for name in LINKS
            ]
            steps = f"a step {micros['float32']:.0f} µs, in int8 {micros['int8']:.0f} µs"
            print(f"{title}, batch {rows:2}: {steps}; {', '.join(told)}")


if __name__ == "__main__":
    if "OMP_NUM_THREADS" not in os.environ:  # before NumPy starts its threads
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    main()
