"""Links of the sampling chain beside a step of the model: what each adds to a draw, as a share of a step.

The logits and masks are those of the model along pieces.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
from machine import describe, in_turn
from numpy.typing import NDArray

from composer.generation.composer import open_model
from composer.generation.generator import Generator
from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.drawing import make_draw

BATCHES = (1, 64)
ROUNDS = 15
PLACES = 24
"""Tokens into the pieces; each place is one call."""

LINKS = {"top-p": {"p": 0.95}, "top-k": {"k": 10}, "min-p": {"p": 0.05}}


Drawn = tuple[NDArray[np.float32], SimpleNamespace]
"""The logits (B, V) of a place, and as much of a context as a draw looks at."""


def along(player: Generator, rows: int) -> list[Drawn]:
    """The logits and the grammar's masks at each place."""
    grammar, step, recurrent = player.tokenizer.grammar, player.get_step(player.resolve(Request())), None
    places, uniforms, found = grammar.start(Request(bars=8), rows), np.random.default_rng(0), []
    draw, none = make_draw([]), np.full(rows, -1)
    for _ in range(PLACES):
        logits, recurrent = step(grammar.make_inputs(places), recurrent)
        found.append((logits, SimpleNamespace(allowed=grammar.mask(places))))
        places = grammar.advance(places, draw(*found[-1], None, uniforms.random(rows), none).tokens)
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


def drawing(names: Sequence[str], places: list[Drawn]) -> Callable[[], None]:
    """A draw with these links at each place."""
    rows = len(places[0][0])
    draw, none, uniforms = (
        make_draw([registry().make("samplers", n, **LINKS[n]) for n in names]),
        np.full(rows, -1),
        np.full(rows, 0.5),
    )

    def run() -> None:
        for logits, context in places:
            draw(logits, context, None, uniforms, none)

    return run


def main() -> None:
    """Print a line for each model and batch size."""
    print(describe())
    for title in ("chorales", "tunes"):
        player = open_model(title)
        for rows in BATCHES:
            places = along(player, rows)
            tasks = {name: drawing([name], places) for name in LINKS} | {"draw": drawing([], places)}
            tasks |= {precision: stepping(player, rows, precision) for precision in ("float32", "int8")}
            found = in_turn(tasks, ROUNDS, take=min)
            micros = {name: seconds / PLACES * 1e6 for name, seconds in found.items()}
            added = {name: max(micros[name] - micros["draw"], 0.0) for name in LINKS}
            told = [f"{name} {added[name]:.1f} µs ({added[name] / micros['float32']:.1%} of a step)" for name in LINKS]
            told.append(f"the draw itself {micros['draw']:.0f} µs")
            steps = f"a step {micros['float32']:.0f} µs, in int8 {micros['int8']:.0f} µs"
            print(f"{title}, batch {rows:2}: {steps}; {', '.join(told)}")


if __name__ == "__main__":
    if "OMP_NUM_THREADS" not in os.environ:  # before NumPy starts its threads
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    main()
