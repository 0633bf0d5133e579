"""Steps of a model by each backend and precision, beside the naive loop over torch and beside what the machine can do.

Naive: the layers of torch (or the module of an architecture that is not ours) one step at a time, softmax, multinomial,
with as many threads. The roofline is the longer of two times: to read all weights once, as fast as a dot product reads
as many bytes, and to multiply, as fast as the instructions of the kernel can, on registers alone; steps are compared
with it without the draw. Seconds are the least of all rounds; with one thread, of the processor.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import peephole
import torch
from machine import describe, in_turn
from threadpoolctl import threadpool_limits

from composer.generation.composer import open_model
from composer.generation.generator import Generator
from composer.plugins.registry import registry
from composer.testing import make_random_model
from composer.tokens.jit.c_compiler import describe_processor, load_library
from composer.types import Cell
from composer_native.compiling import FLAGS, INSTRUCTIONS

BATCHES = {1: 40, 16: 6, 64: 3}
"""Rows, and how often they are stepped in a turn."""

ROUNDS = 40
LARGE = {"hidden_size": 512, "layers": 3}

PRODUCTS = """
#include <immintrin.h>
#define RUN(name, type, sums, product) \\
    void name(long times) { \\
        type s[sums] = {0}, x = {0}, w = {0}; \\
        for (long t = 0; t < times; t++) \\
            _Pragma("GCC unroll 24") for (int i = 0; i < sums; i++) { \\
                asm volatile("" : "+v"(x), "+v"(w)); \\
                s[i] = product; \\
            } \\
        _Pragma("GCC unroll 24") for (int i = 0; i < sums; i++) asm volatile("" : : "v"(s[i])); \\
    }
#if defined(__AVX512VNNI__) && defined(__AVX512BF16__)
RUN(float32, __m512, 24, _mm512_fmadd_ps(x, w, s[i]))
RUN(bfloat16, __m512, 24, _mm512_dpbf16_ps(s[i], (__m512bh)x, (__m512bh)w))
RUN(int8, __m512i, 24, _mm512_dpbusd_epi32(s[i], x, w))
long sums(void) { return 24 * 16; }
#else
RUN(float32, __m256, 12, _mm256_fmadd_ps(x, w, s[i]))
RUN(bfloat16, __m256, 12, _mm256_fmadd_ps(w, x, _mm256_fmadd_ps(x, w, s[i])))
#define ONES _mm256_set1_epi16(1)
RUN(int8, __m256i, 12, _mm256_add_epi32(s[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), ONES)))
long sums(void) { return 12 * 8; }
#endif
"""
"""Products in registers alone, by the instructions that the kernel has for them; each adds some to every sum."""

AT_ONCE = {"float32": 1, "bfloat16": 2, "int8": 4}
"""Products added to a sum."""


def naive_layers(cell: Cell) -> Callable[[torch.Tensor, Any], Any]:
    """`(tokens (B,), state) -> (logits (B, V), state)` as one would write it."""
    width, layers, vocabulary = cell.layers[0].recurrent.shape[1], len(cell.layers), len(cell.bias)
    lstm = torch.nn.LSTM(width, width, layers, batch_first=True).eval()
    embedding, head = torch.nn.Embedding(vocabulary, width), torch.nn.Linear(width, vocabulary)

    def step(tokens: torch.Tensor, state: Any) -> Any:
        hidden, state = lstm(embedding(tokens)[:, None], state)
        return head(hidden[:, 0]), state

    return step


def naive_module(player: Generator) -> Callable[[torch.Tensor, Any], Any]:
    """The same by the module of an architecture, where torch has no such layer."""
    module, columns = player.model.make_module(), len(player.tokenizer.grammar.columns)

    def step(tokens: torch.Tensor, state: Any) -> Any:
        inputs = torch.zeros(len(tokens), 1, columns, dtype=torch.long)
        inputs[:, 0, 0] = tokens
        logits, state = module(inputs, state)
        return logits[:, 0], state

    return step


def naive_loop(step: Callable[[torch.Tensor, Any], Any], rows: int) -> Callable[[], None]:
    """One token for each row."""
    tokens, state = torch.zeros(rows, dtype=torch.long), None

    @torch.no_grad()
    def one() -> None:
        nonlocal tokens, state
        logits, state = step(tokens, state)
        tokens = torch.multinomial(torch.softmax(logits, dim=-1), 1)[:, 0]

    return one


def stepping(player: Generator, name: str, precision: str, rows: int, *, draws: bool = True) -> Callable[[], None]:
    """The same by a backend; a draw from a cumulative sum."""
    step = registry().make("backends", name).make(player.model, "cpu", precision)
    sizes = [column.size for column in player.tokenizer.grammar.columns]
    columns = np.random.default_rng(0).integers(0, sizes, (rows, len(sizes)))
    uniforms, state = np.full((rows, 1), 0.5, dtype=np.float32), None

    def one() -> None:
        nonlocal state
        logits, state = step(columns, state)
        if not draws:
            return
        weights = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
        columns[:, 0] = (weights > uniforms * weights[:, -1:]).argmax(axis=1)

    return one


def in_rounds(tasks: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of each task. Others may use the machine: one thread's time goes on only while it runs."""
    alone = os.environ["OMP_NUM_THREADS"] == "1"
    return in_turn(tasks, ROUNDS, take=min, clock=process_time if alone else perf_counter)


def many(one: Callable[[], object], times: int) -> Callable[[], None]:
    """So many times, since one is too short to be timed."""

    def run() -> None:
        for _ in range(times):
            one()

    return run


def in_threads(one: Callable[[], object]) -> Callable[[], object]:
    """In each of as many threads as there are, at the same time."""
    threads = int(os.environ["OMP_NUM_THREADS"])
    if threads == 1:
        return one
    pool = ThreadPoolExecutor(threads)
    return lambda: [job.result() for job in [pool.submit(one) for _ in range(threads)]]


@cache
def multiplying() -> dict[str, float]:
    """Seconds a product, by precision."""
    flags = (*FLAGS, *INSTRUCTIONS["auto"][0])
    if "avx2" not in describe_processor() or not (made := load_library(PRODUCTS, flags)):
        return {}
    threads, times = int(os.environ["OMP_NUM_THREADS"]), 20_000
    tasks = {name: in_threads(partial(getattr(made, name), ctypes.c_long(times))) for name in AT_ONCE}
    found = in_rounds(tasks)
    return {name: seconds / (made.sums() * AT_ONCE[name] * times) / threads for name, seconds in found.items()}


@cache
def reading(size: int) -> float:
    """Seconds to read so many bytes, each thread its part."""
    part = np.ones(size // 4 // int(os.environ["OMP_NUM_THREADS"]), dtype=np.float32)
    with threadpool_limits(1):
        return in_rounds({"read": in_threads(many(lambda: part @ part, 10))})["read"] / 10


def roofline(cell: Cell, rows: int, precision: str) -> float:
    """The least seconds that a step of so many rows can take here."""
    matrices = [m for layer in cell.layers for m in (layer.inputs, layer.recurrent)] + [cell.head]
    half = all(np.array_equal(m, m.astype(np.float16)) for m in matrices)
    weights = sum(m.size for m in matrices)
    size = {"int8": 1, "bfloat16": 2}.get(precision, 2 if half else 4)
    return max(reading(weights * size), weights * rows * multiplying().get(precision, 0.0))


def ways(player: Generator) -> Iterator[tuple[str, str]]:
    """Every backend that suits the model, with each of its precisions."""
    for name in registry().list_names("backends"):
        maker = registry().make("backends", name)
        if maker.supports(player.model, "cpu"):
            yield from ((name, precision) for precision in maker.tolerances)


def measure(title: str, player: Generator, naive: Callable[[torch.Tensor, Any], Any], cell: Cell | None) -> None:
    """Print a line a batch size."""
    for rows, times in BATCHES.items():
        tasks = {"naive": many(naive_loop(naive, rows), times)}
        tasks |= {" ".join(way): many(stepping(player, *way, rows), times) for way in ways(player)}
        kernel = [way for way in ways(player) if cell and way[0] == "native"]
        tasks |= {f"{way} alone": many(stepping(player, *way, rows, draws=False), times) for way in kernel}
        for task in tasks.values():
            task()
        found = {name: seconds / times for name, seconds in in_rounds(tasks).items()}
        told = []
        for name in ("naive", *(" ".join(way) for way in ways(player))):
            seconds = found[name]
            said = f"{name.removesuffix(' float32')} x{found['naive'] / seconds:.1f}"
            if alone := found.get(f"{tuple(name.split())} alone"):
                said += f" ({rows / seconds:,.0f} tokens/s, {roofline(cell, rows, name.split()[1]) / alone:.0%})"
            told.append(said)
        print(
            f"{title}, batch {rows:2}: naive {rows / found['naive']:,.0f} tokens/s; {', '.join(told[1:])}", flush=True
        )


def make_player(name: str, **options: int) -> Generator:
    """An untrained model of a large network, with weights in 16 bits, as `composer train` stores them."""
    model = make_random_model(name, "remi", **LARGE, **options)
    return Generator(replace(model, weights={name: array.astype(np.float16) for name, array in model.weights.items()}))


def measure_all() -> None:
    """The table for 3 x 512, for the shipped models, and for a cell that is not ours."""
    print(describe())
    print(", ".join(f"{name}: {1e-9 / each:.1f} products a ns" for name, each in multiplying().items()))
    players = {"lstm 3x512": make_player("lstm", embedding_size=512)}
    players |= {name: open_model(name) for name in registry().list_names("models")}
    for title, player in players.items():
        cell = player.model.make_cell()
        gated = cell.layers[0].recurrent.size > 0
        measure(title, player, naive_layers(cell) if gated else naive_module(player), cell)
    for name in ("peephole", "peephole-forward"):
        player = make_player(name)
        measure(f"{name} 3x512", player, naive_module(player), None)


def main() -> None:
    """The whole table with one thread, and with two."""
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MEASURED": "1"}
        subprocess.run([sys.executable, *sys.argv], env=environment, check=True)


if __name__ == "__main__":
    if "MEASURED" in os.environ:  # NumPy and torch start as many threads as they are told beforehand
        with tempfile.TemporaryDirectory() as place:
            peephole.install(Path(place))
            measure_all()
    else:
        main()
