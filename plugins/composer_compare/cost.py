"""The cost of an architecture: its size, and its speed in training and in generation.

Sizes are counted from the module of a network and its cell. Speeds are measured.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from composer.building import build_module
from composer.devices import choose_device, describe_machine, switch_off_onednn
from composer.training import loop
from composer.training.recipes import Recipe
from composer.training.state import Trained
from composer.training.train import make_model
from composer.types import Architecture, HasCell, Tokenizer
from composer_compare.perturbed_data import load_music, make_recipe
from composer_compare.plan import TRIED, ExperimentRun

if TYPE_CHECKING:
    import torch
    from torch import nn


# --- size -------------------------------------------------------------------------------------------------------------


COPIES = 5
"""Copies of each parameter in training: weight, gradient, two moments of AdamW, and the average."""

WORD = 4
"""Bytes of a weight."""


def count_size(architecture: Architecture, tokenizer: Tokenizer) -> dict[str, Any]:
    """Count parameters, multiply-adds of a step, tensors and bytes of the state, and gates.

    Gates are None if the architecture does not describe its cell.
    """
    import torch

    column_sizes = [column.size for column in tokenizer.grammar.columns]
    with torch.random.fork_rng(devices=[]):
        module = _build(architecture, tokenizer)
    state = _run_one_step(module, len(column_sizes))[1]
    return {
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "multiply_adds": count_multiply_adds(module, len(column_sizes)),
        "state_tensors": len(state),
        "state_numbers": sum(part.numel() for part in state),
        "state_bytes": sum(part.numel() * part.element_size() for part in state),
        **_count_gates(architecture, column_sizes, module),
    }


def _build(architecture: Architecture, tokenizer: Tokenizer) -> nn.Module:
    return build_module(architecture, tokenizer.grammar.columns, len(tokenizer.vocabulary), tokenizer.token_info)


def _run_one_step(module: nn.Module, columns: int) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    import torch

    module.eval()
    with torch.no_grad():
        logits, state = module(torch.zeros(1, 1, columns, dtype=torch.int64))
    return logits, state


def count_multiply_adds(module: nn.Module, columns: int) -> int:
    """Count the multiply-adds of the matrix products of one token, as torch computes them."""
    from torch.utils.flop_counter import FlopCounterMode

    with switch_off_onednn(), FlopCounterMode(display=False) as counter:  # oneDNN's layers would count as zero
        _run_one_step(module, columns)
    return int(counter.get_total_flops()) // 2


def _count_gates(architecture: Architecture, column_sizes: Sequence[int], module: nn.Module) -> dict[str, Any]:
    """Count the gates of a unit, and tell whether they see its past, if the architecture describes its cell.

    A unit computes several weighted sums of its inputs: one is the candidate state, the others are gates.
    """
    if not isinstance(architecture, HasCell):
        return {"gates": None, "sums": None, "recurrent": None}
    weights = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    layer = architecture.build_cell(column_sizes, weights).layers[0]
    sums = layer.inputs.shape[0] // layer.recurrent.shape[1]
    return {"gates": sums - 1, "sums": sums, "recurrent": bool(len(layer.recurrent))}


def count_training_bytes(module: nn.Module, columns: int, rows: int, places: int) -> int:
    """Count the bytes held in training: all copies of the parameters, and the activations of one chunk.

    Activations are the storages that torch saves in the forward pass; a kernel's workspace is not included.
    """
    import torch

    kept: dict[int, int] = {}

    def save(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    module.train()
    inputs = torch.zeros(rows, places, columns, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
        held = module(inputs)
    parameters = {p.untyped_storage().data_ptr(): p.numel() * p.element_size() for p in module.parameters()}
    activations = sum(size for place, size in kept.items() if place not in parameters)
    del held
    return COPIES * sum(parameters.values()) + activations


def count_generation_bytes(found: Mapping[str, Any], rows: int) -> int:
    """Count the bytes held in generating `rows` pieces at once: weights and states in single precision."""
    return WORD * int(found["parameters"]) + rows * int(found["state_bytes"])


# --- speed ------------------------------------------------------------------------------------------------------------


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
        trained = loop.train(corpus, tokenizer, recipe.architecture, settings, recipe.method)
        took.append(clock() - began)
    took = took[1:]
    most = took[1] / TRIED[1]  # includes the validation
    step = (took[1] - took[0]) / (TRIED[1] - TRIED[0])
    step = step if step > NOISE * most else most
    stream = loop.make_training_stream(corpus, tokenizer, recipe.settings, recipe.method.make().augmentations)
    chunks = [chunk for number in range(min(stream.batches, 20)) for chunk in stream.cut_chunks(number)]
    tokens = float(np.mean([np.count_nonzero(chunk.targets >= 0) for chunk in chunks]))
    counted = count_size(recipe.architecture, tokenizer)
    columns = len(tokenizer.grammar.columns)
    module = _build(recipe.architecture, tokenizer)
    held = count_training_bytes(module, columns, recipe.settings.batch_size, recipe.settings.chunk)
    return {
        "step_seconds": round(step, 6),
        "validation_seconds": round(max(took[0] - TRIED[0] * step, 0.0), 4),
        "tokens_per_step": round(tokens, 1),
        "training_bytes": held,
        **counted,
        **_measure_generation(recipe, trained, columns),
        "machine": describe_machine(str(choose_device(recipe.settings.device))),
        **_measure_load(),
    }


def _measure_generation(recipe: Recipe, trained: Trained, columns: int) -> Result:
    """Measure seconds per generated token: the reference backend at batch 1, the fastest one at 1 and 64."""
    from composer.generation.generator import Generator

    model = make_model(recipe, trained.weights)
    generator = Generator(model, "")
    usual = generator.resolve(replace(generator.suggested, device="cpu"))
    found: Result = {"stepper": usual.backend}
    for name, backend, rows in (
        ("write_seconds_reference", "torch", 1),
        ("write_seconds", usual.backend, 1),
        ("write_seconds_64", usual.backend, 64),
    ):
        found[name] = float(
            f"{_measure_step_seconds(generator.get_step(replace(usual, backend=backend)), rows, columns):.4g}"
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


def _measure_load() -> Result:
    """Return the number of processors, and the load average of five minutes where the system reports it."""
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else None
    return {"processors": os.cpu_count(), "load": load and round(load, 1)}
