"""The whole sampling loop beside the bare steps of the same model: grammar, the default chain, draws and their costs.

For 3 x 512 and for the shipped models, by the fastest backend, in one thread.

    OMP_NUM_THREADS=1 python tests/benchmarks/looping.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from machine import describe, in_turn

from composer.generation.composer import open_model
from composer.generation.generator import Generator, make_samplers
from composer.request import SamplerSpec
from composer.sampling.loop import sample
from composer.testing import make_random_model

BATCHES = (1, 16, 64)
BARS = 4
ROUNDS = 7
CHAIN = (SamplerSpec("temperature", {"temperature": 0.95}), SamplerSpec("top-p", {"p": 0.95}))
"""Of a model that suggests none."""


def tasks(player: Generator, rows: int, grammar: object) -> tuple[dict[str, Callable[[], None]], int]:
    """The loop over so many pieces, and as many bare steps of as many rows; and how many tokens either makes."""
    suggested = player.suggested
    request = replace(suggested, bars=BARS, samplers=suggested.samplers or CHAIN)
    requests = [player.resolve(replace(request, seed=1, index=n)) for n in range(rows)]
    samplers, step = make_samplers(request.samplers), player.get_step(requests[0])
    widths: list[int] = []

    def counting(inputs, state):  # type: ignore[no-untyped-def]
        widths.append(len(inputs))
        return step(inputs, state)

    sample(counting, player.writing, samplers, requests)
    sizes = [column.size for column in player.tokenizer.grammar.columns]
    inputs = np.random.default_rng(0).integers(0, sizes, (rows, len(sizes)))

    def bare() -> None:
        state = None
        for width in widths:
            _, state = step(inputs[:width], None if state is None else tuple(part[:width] for part in state))

    def loop(tokenizer):  # type: ignore[no-untyped-def]
        return lambda: sample(step, tokenizer, samplers, requests)

    return {"bare": bare, "loop": loop(player.writing), "plain": loop(player.tokenizer)}, sum(widths)


def main() -> None:
    """Print a line a model and batch size."""
    print(describe())
    large = make_random_model("lstm", "remi", hidden_size=512, layers=3, embedding_size=512)
    stored = {name: array.astype(np.float16) for name, array in large.weights.items()}
    players = {"lstm 3x512": Generator(replace(large, weights=stored))}
    players |= {name: open_model(name) for name in ("chorales", "tunes")}
    for name, player in players.items():
        for rows in BATCHES:
            found, tokens = tasks(player, rows, player.tokenizer.grammar)
            times = in_turn(found, ROUNDS)
            print(
                f"{name}, batch {rows:3}: bare steps {tokens / times['bare']:8,.0f} tokens/s; the loop "
                f"{tokens / times['loop']:8,.0f}, {times['bare'] / times['loop']:.0%} of it; "
                f"with a grammar that is not compiled {times['bare'] / times['plain']:.0%}"
            )


if __name__ == "__main__":
    main()
