"""The contract of an inference backend, on a model with random weights: it agrees with the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from composer.model import ComponentSpec, Model
from composer.plugins.registry import registry
from composer.sampling.torch_backend import make_torch_step
from composer.testing.rules import rebuild, require
from composer.types import Architecture, Backend, State, Step, Tokenizer

BATCHES = (1, 2, 7, 33)
STEPS = 6


def check_backend(maker: Backend, model: Model, device: str = "cpu") -> None:
    """Check that logits are within tolerance, and rows the same bits in any batch with any number of threads."""
    require(rebuild(maker) == maker, "options rebuilt from their fields are equal")
    require("float32" in maker.tolerances, "float32 is one of the precisions")
    if maker.supports(model, device):
        for precision, tolerance in maker.tolerances.items():
            _check_precision(maker.make(model, device, precision), model, tolerance)


def _check_precision(step: Step, model: Model, tolerance: float) -> None:
    sizes = [column.size for column in model.make_tokenizer().grammar.columns]
    inputs = np.random.default_rng(0).integers(0, sizes, (STEPS, max(BATCHES), len(sizes)))
    before = inputs.copy()
    found = _run(step, inputs)
    require(np.array_equal(inputs, before), "the argument of a backend is unchanged")
    require(found.shape == (STEPS, max(BATCHES), len(model.vocabulary)), f"logits are (B, V), not {found.shape[1:]}")
    _check_reference(tolerance, model, inputs, found)
    for rows in BATCHES:
        for threads in (1, 2):
            with _limit_threads(threads):
                batch = _run(step, inputs[:, -rows:])
            require(
                batch.tobytes() == found[:, -rows:].tobytes(),
                f"a row is the same to the bit in a batch of {rows} with {threads} threads",
            )
    _check_gathered(step, inputs, found)
    _check_states(step, inputs)


def make_random_model(
    architecture: str, tokenizer: str, writing: Mapping[str, object] | None = None, **options: object
) -> Model:
    """Make an untrained model of that architecture, and of the tokenizer with the options of `writing`."""
    import torch

    layer: Architecture = registry().make("architectures", architecture, **options)
    written: Tokenizer = registry().make("tokenizers", tokenizer, **writing or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = layer.build_module([column.size for column in written.grammar.columns], len(written.vocabulary))
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    made = (
        ComponentSpec.describe("architectures", architecture, layer),
        ComponentSpec.describe("tokenizers", tokenizer, written),
    )
    return Model(*made, written.vocabulary, weights)


def _run(step: Step, inputs: NDArray[np.int64], state: State | None = None) -> NDArray[np.float32]:
    """Compute logits (T, B, V) of `inputs` (T, B, C), step by step."""
    logits = []
    for columns in inputs:
        found, state = step(columns, state)
        logits.append(np.asarray(found))
    return np.stack(logits)


def _check_reference(tolerance: float, model: Model, inputs: NDArray[np.int64], found: NDArray[np.float32]) -> None:
    off = float(np.abs(found - _run(make_torch_step(model.make_module()), inputs)).max())
    require(off <= tolerance, f"logits are those of the reference within {tolerance}; they are off by {off:.1e}")


def _check_gathered(step: Step, inputs: NDArray[np.int64], found: NDArray[np.float32]) -> None:
    """Check that rows gathered from a state, in another order, continue as before."""
    half = STEPS // 2
    state: State | None = None
    for columns in inputs[:half]:
        _, state = step(columns, state)
    if state is None:
        return
    require(all(len(part) == inputs.shape[1] for part in state), "the state's arrays are batch-first")
    order = np.array([5, 0, 5])
    gathered = _run(step, inputs[half:, order], tuple(part[order] for part in state))
    require(gathered.tobytes() == found[half:, order].tobytes(), "rows gathered from a state continue as before")


def _check_states(step: Step, inputs: NDArray[np.int64]) -> None:
    """Check that states are of one size, and that none is changed by later steps; pieces may share one."""
    state: State | None = None
    kept: list[tuple[State, State]] = []
    for columns in inputs:
        _, state = step(columns, state)
        kept.append((state, deepcopy(state)))
        sizes = [[tuple(part.shape) for part in copies] for _, copies in (kept[0], kept[-1])]
        require(
            sizes[0] == sizes[1],
            f"a state has one size after any number of steps; after 1 it is {sizes[0]}, after {len(kept)} {sizes[1]}",
        )
    stays = (bool((part == copy).all()) for parts, copies in kept for part, copy in zip(parts, copies, strict=True))
    require(all(stays), "a state stays as it is when later steps are made, never changed in place")


@contextmanager
def _limit_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
