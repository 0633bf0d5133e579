"""The whole sampling loop beside the bare steps of the same model: grammar, constraints, chain, draws and their costs.

For 3 x 512 and for the shipped models, by the fastest backend, in one thread. The shipped models also under each of
some constraints, and around fixed notes with as many particles. On a machine that others use as well, the least
processor time of many rounds tells more: `--busy`.

    OMP_NUM_THREADS=1 python tests/benchmarks/looping.py [--busy]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter, process_time

import numpy as np
from machine import describe, in_turn

from composer.generation.composer import open_model
from composer.generation.generator import Generator, generate, make_samplers
from composer.request import Request, SamplerSpec
from composer.sampling.loop import sample
from composer.sampling.smc import Condition, sample_conditioned
from composer.testing import make_random_model
from composer.types import Span

BATCHES = (1, 16, 64)
BARS = 4
ROUNDS = 7
CHAIN = (SamplerSpec("temperature", {"temperature": 0.95}), SamplerSpec("top-p", {"p": 0.95}))
"""Of a model that suggests none."""

CONSTRAINTS = {
    "scale": {"scale": "C major"},
    "chords": {"chords": "C | Dm7 G7"},
    "ending": {"key": "C"},
    "range": {"range": "C3:C6"},
    "density": {"density": 16},
    "rhythm": {"rhythm": "1/8"},
    "polyphony": {"polyphony": 4},
    "no-repeat": {"n": 4},
}

Tasks = tuple[dict[str, Callable[[], object]], int]
"""What takes turns, and the number of tokens that each makes."""


def compare(player: Generator, rows: int, constraints: tuple[SamplerSpec, ...] = ()) -> Tasks:
    """The loop over so many pieces, and as many bare steps of as many rows."""
    suggested = player.suggested
    request = replace(suggested, bars=BARS, samplers=(*constraints, *(suggested.samplers or CHAIN)))
    if constraints:
        request = replace(request, key="C")
    requests = [player.resolve(replace(request, seed=1, index=n)) for n in range(rows)]
    samplers, step = make_samplers(request.samplers), player.get_step(requests[0])

    def loop(tokenizer, step=step):  # type: ignore[no-untyped-def]
        return lambda: sample(step, tokenizer, samplers, requests)

    bare, tokens = repeat(player, requests[0], rows, lambda step: loop(player.writing, step)())
    return {"bare": bare, "loop": loop(player.writing), "plain": loop(player.tokenizer)}, tokens


def fill(player: Generator, particles: int) -> Tasks:
    """One piece around fixed notes, by particles: its second bar is new."""
    request = player.resolve(replace(player.suggested, seed=1, bars=BARS))
    score = generate(player, [replace(request, seed=2)])[0].score
    metre = score.time_signatures[0]
    spans = [Span(0, metre.bar_ticks), Span(2 * metre.bar_ticks, 2**40)]
    samplers, step = make_samplers(request.samplers), player.get_step(request)

    def loop(tokenizer, step=step):  # type: ignore[no-untyped-def]
        condition = Condition(request, tokenizer.grammar.fix_notes(score, spans), particles)
        return lambda: sample_conditioned(step, tokenizer, samplers, [condition])

    bare, tokens = repeat(player, request, particles, lambda step: loop(player.writing, step)())
    return {"bare": bare, "loop": loop(player.writing), "plain": loop(player.tokenizer)}, tokens


def repeat(
    player: Generator, request: Request, rows: int, run: Callable[..., object]
) -> tuple[Callable[[], None], int]:
    """The bare steps of a run, of as many rows each; and how many rows these are together."""
    step, widths = player.get_step(request), []

    def count(inputs, state):  # type: ignore[no-untyped-def]
        widths.append(len(inputs))
        return step(inputs, state)

    run(count)
    sizes = [column.size for column in player.tokenizer.grammar.columns]
    inputs = np.random.default_rng(0).integers(0, sizes, (max(rows, *widths), len(sizes)))
    _, whole = step(inputs, None)

    def bare() -> None:
        state, before = None, 0
        for width in widths:
            state = state if width == before else tuple(part[:width] for part in whole)
            _, state = step(inputs[:width], state)
            before = width

    return bare, sum(widths)


def show(title: str, rows: int, tasks: Tasks) -> None:
    """Measure, and print a line."""
    busy = "--busy" in sys.argv
    found, tokens = tasks
    clock, take = (process_time, {"take": min}) if busy else (perf_counter, {})
    times = in_turn(found, 3 * ROUNDS if busy else ROUNDS, clock=clock, **take)
    rest = [times[way] / times["bare"] - 1 for way in ("loop", "plain")]
    print(
        f"{title}, batch {rows:3}: bare steps {tokens / times['bare']:8,.0f} tokens/s; the loop "
        f"{tokens / times['loop']:8,.0f}, {times['bare'] / times['loop']:.0%} of it; the rest takes {rest[0]:.2f} of "
        f"the steps, {rest[1]:.2f} if nothing is compiled",
        flush=True,
    )


def main() -> None:
    """Print a line for each model, chain and batch size."""
    print(describe())
    large = make_random_model("lstm", "remi", hidden_size=512, layers=3, embedding_size=512)
    stored = {name: array.astype(np.float16) for name, array in large.weights.items()}
    shipped = {name: open_model(name) for name in ("chorales", "tunes")}
    players = {"lstm 3x512": Generator(replace(large, weights=stored))} | shipped
    for name, player in players.items():
        for rows in BATCHES:
            show(name, rows, compare(player, rows))
    for name, player in shipped.items():
        for sampler, options in CONSTRAINTS.items():
            for rows in BATCHES:
                show(f"{name} --{sampler}", rows, compare(player, rows, (SamplerSpec(sampler, options),)))
        for particles in BATCHES:
            show(f"{name}, fixed notes", particles, fill(player, particles))


if __name__ == "__main__":
    main()
