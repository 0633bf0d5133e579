"""The speed of an architecture in training and in generation, and its size."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from composer.devices import choose_device
from composer.training import loop
from composer.training.recipes import Recipe
from composer.training.state import Trained
from composer.training.train import make_model
from composer_compare import counting
from composer_compare.material import load_music, make_recipe
from composer_compare.plan import TRIED, ExperimentRun

Result = dict[str, Any]

NOISE = 0.1
"""A step takes at least this share of a short run's time per step; less means that the machine was busy."""

WRITTEN = 192
"""Tokens over which the speed of generation is measured."""


def measure_speed(run: ExperimentRun, _: Path) -> Result:
    """Measure seconds per step, validation and generated token, and count the network's size."""
    corpus, tokenizer = load_music(run)
    recipe = make_recipe(run)
    took = []
    clock = process_time if choose_device(recipe.settings.device).type == "cpu" else perf_counter
    for steps in (1, *TRIED):  # the first is a warm-up, not counted
        began = clock()
        settings = replace(recipe.settings, steps=steps, evaluations=1)
        trained = loop.train(corpus, tokenizer, recipe.architecture, settings)
        took.append(clock() - began)
    took = took[1:]
    most = took[1] / TRIED[1]  # includes the validation
    step = (took[1] - took[0]) / (TRIED[1] - TRIED[0])
    step = step if step > NOISE * most else most
    stream = loop.make_training_stream(corpus, tokenizer, recipe.settings)
    chunks = [chunk for number in range(min(stream.batches, 20)) for chunk in stream.cut_chunks(number)]
    tokens = float(np.mean([np.count_nonzero(chunk.targets >= 0) for chunk in chunks]))
    sizes, words = [column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary)
    module = recipe.architecture.build_module(sizes, words)
    counted = counting.count_size(recipe.architecture, sizes, words)
    held = counting.count_training_bytes(module, sizes, recipe.settings.batch_size, recipe.settings.chunk)
    return {
        "step_seconds": round(step, 6),
        "validation_seconds": round(max(took[0] - TRIED[0] * step, 0.0), 4),
        "tokens_per_step": round(tokens, 1),
        "training_bytes": held,
        **counted,
        **_measure_generation(recipe, trained, len(sizes)),
        "machine": _describe_machine(),
        **_measure_load(),
    }


def _measure_generation(recipe: Recipe, trained: Trained, columns: int) -> Result:
    """Measure seconds per generated token: the reference backend at batch 1, the fastest one at 1 and 64."""
    from composer.generation.generator import Generator

    model = make_model(recipe, trained.weights)
    player = Generator(model, "")
    usual = player.resolve(replace(player.suggested, device="cpu"))
    found: Result = {"stepper": usual.backend}
    for name, backend, rows in (
        ("write_seconds_reference", "torch", 1),
        ("write_seconds", usual.backend, 1),
        ("write_seconds_64", usual.backend, 64),
    ):
        found[name] = float(
            f"{_measure_step_seconds(player.get_step(replace(usual, backend=backend)), rows, columns):.4g}"
        )
    return found


def _measure_step_seconds(step: Any, rows: int, columns: int) -> float:
    """Measure the seconds per token and sequence: the best of three trials."""
    inputs, state = np.zeros((rows, columns), dtype=np.int64), None
    times = []
    for _ in range(4):  # the first is a warm-up
        began = perf_counter()
        for _ in range(WRITTEN // 4):
            _, state = step(inputs, state)
        times.append(perf_counter() - began)
    return min(times[1:]) / (WRITTEN // 4) / rows


def _describe_machine() -> str:
    import platform

    import torch

    return f"{platform.machine()}, {platform.system()}, Python {sys.version.split()[0]}, torch {torch.__version__}"


def _measure_load() -> Result:
    """Return the number of processors, and the load average of five minutes where the system reports it."""
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else None
    return {"processors": os.cpu_count(), "load": load and round(load, 1)}
