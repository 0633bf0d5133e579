"""`composer batch` with MIDI export on, beside the bare loop of `generate`: tokens per second, in the same run.

    python tests/benchmarks/batching.py [--model tunes] [--pieces 512] [--large] [--only pool]

A batch's time is that of the whole run: loading the model, starting processes, the ledger and the manifest. Seconds of
processors tell how much work there was, also on a machine that others share.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter

from machine import describe

from composer.generation.composer import open_model
from composer.generation.generator import BATCH_SIZE, generate
from composer.plugins.registry import registry
from composer_batch.jobfile import read
from composer_batch.jobs import expand_grids
from composer_batch.plan import make_plan
from composer_batch.scheduler import run


def large(folder: Path) -> str:
    """A model of 3 × 512 with random weights, which writes as long as it is asked to."""
    from composer.model import save
    from composer.testing import make_random_model

    model = make_random_model("lstm", "voices", hidden_size=512, layers=3, embedding_size=128)
    save(model, folder / "large.safetensors")
    return str(folder / "large.safetensors")


def main() -> None:
    """Print seconds and ratios, of rounds that take turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="tunes")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--pieces", type=int, default=512)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", default="here,here alone,pool")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = large(place) if options.large else options.model
        (place / "jobs.toml").write_text(
            f'[[job]]\nmodel = "{model}"\ncount = {options.pieces}\nbars = {options.bars}\n', encoding="utf-8"
        )
        player = open_model(model)
        requests = [replace(player.suggested, bars=options.bars, index=n) for n in range(options.pieces)]
        tokens = 0

        def bare() -> None:
            nonlocal tokens
            tokens = 0
            for start in range(0, len(requests), BATCH_SIZE):
                pieces = generate(player, requests[start : start + BATCH_SIZE])
                tokens += sum(len(player.tokenizer.encode(piece.score)) for piece in pieces)

        def batch(name: str, **executor: int) -> Callable[[], None]:
            def task() -> None:
                out = tempfile.mkdtemp(dir=place)
                run(
                    Path(out),
                    make_plan(expand_grids(read(place / "jobs.toml"))),
                    registry().make("executors", name, **executor),
                )

            return task

        batches = {"here": batch("here"), "here alone": batch("here", beside=0), "pool": batch("pool")}
        tasks = {"generate": bare} | {name: batches[name] for name in options.only.split(",")}
        seconds: dict[str, list[float]] = {name: [] for name in tasks}
        busy: dict[str, list[float]] = {name: [] for name in tasks}
        for _ in range(options.rounds):
            for name, task in tasks.items():
                began, used = perf_counter(), _used()
                task()
                seconds[name].append(perf_counter() - began)
                busy[name].append(_used() - used)
    print(describe())
    print(f"{model}: {options.pieces} pieces of {options.bars} bars, about {tokens:,} tokens")
    for name, found in seconds.items():
        best, bare_best = min(found), min(seconds["generate"])
        rates = ", ".join(f"{tokens / one:,.0f}" for one in found)
        pairs = [one / other for one, other in zip(seconds["generate"], found, strict=True)]
        print(
            f"{name:10} {rates} tokens/s, {options.pieces / best:.1f} pieces/s, × {bare_best / best:.2f} of the best, "
            f"{', '.join(f'{pair:.2f}' for pair in pairs)} by rounds (median {median(pairs):.2f}), "
            f"{min(busy[name]):.1f} s of processors"
        )


def _used() -> float:
    """Seconds of processors until now, of this process and of those that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
