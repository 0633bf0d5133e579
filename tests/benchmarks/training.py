"""The training loop beside itself in torch operations, and beside bare loops of the same shape and precision.

A bare loop is what one would write: dense batches of random tokens, forward, cross-entropy, backward, clipping, AdamW.
It runs over the same network, and over a plain one: an embedding of the token alone, the recurrent layers as torch has
them (the minimal ones: in torch operations), a linear output; and this once more with the layers as they are here. Only
the real tokens of the training loop count as its tokens.

    python tests/benchmarks/training.py [--layers 3 --size 512] [--precision float32] [ARCHITECTURE ...]

Each figure is the best of several rounds in turn. With OMP_NUM_THREADS=1 it is processor time, which does not count
what else the machine does.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pytest
import torch
from machine import describe, in_turn
from torch import nn

from composer.data.batches import Stream
from composer.data.corpus import Corpus, build
from composer.devices import choose_device, keep_freed_memory, use_precision
from composer.plugins.registry import registry
from composer.training.loop import Meter, Settings, _start, _train_batch, make_training_stream
from composer.training.methods import USUAL
from composer.types import Tokenizer
from composer_linear import compiled, convolution, gating, scan
from composer_minimal import compiled as in_minimal
from composer_recurrent import compiled as in_recurrent
from composer_recurrent import compiled_varied, products
from composer_xlstm import compiled as in_xlstm

ROUNDS = 7


class Plain(nn.Module):
    """Tokens (B, T) to logits (B, T, V), by the recurrent layers of another module."""

    def __init__(self, layers: nn.Module, embedding_size: int, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.layers = layers
        self.head = nn.Linear(hidden_size, vocabulary_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.head(self.layers(self.embedding(tokens), None)[0])


def corpus_of(name: str, folder: Path) -> tuple[Corpus, Tokenizer]:
    """The corpus of a registered dataset with its own tokenizer."""
    dataset = registry().make("datasets", name)
    tokenizer = registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options)
    return build(dataset, tokenizer, name=name, cache=folder), tokenizer


def as_torch_has_them(layers: nn.Module) -> nn.Module:
    """A copy of recurrent layers of torch's own class; of others, a copy."""
    if not isinstance(layers, nn.RNNBase):
        return copy.deepcopy(layers)
    kind = getattr(nn, layers.mode.partition("_")[0])
    sizes = layers.input_size, layers.hidden_size, layers.num_layers
    made = kind(*sizes, batch_first=True, dropout=layers.dropout)
    made.load_state_dict(layers.state_dict())
    return made


def bare_loop(
    forward: Callable[[], torch.Tensor], module: nn.Module, targets: torch.Tensor, settings: Settings
) -> Callable[[], None]:
    """One update of a module, as one would write it."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=settings.learning_rate, fused=True)

    def update() -> None:
        with use_precision(targets.device, settings.precision):
            logits = forward()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
        optimiser.step()
        loss.item()

    return update


def middle_batch(stream: Stream) -> int:
    """The number of a batch of pieces of middling length."""
    lengths = [stream.lengths[stream.select_batch(number)].mean() for number in range(stream.batches)]
    return int(np.argsort(lengths)[stream.batches // 2])


@contextmanager
def torch_alone() -> Iterator[None]:
    """Layers in torch operations inside, and products by the library that torch chooses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_minimal, "is_available", lambda *_: False)
        patch.setattr(in_recurrent, "is_available", lambda *_: False)
        for module in (compiled, compiled_varied, convolution, gating, scan, in_xlstm):
            patch.setattr(module, "load", lambda *_: None)
        patch.setattr(products, "prefers_onednn", lambda: False)
        yield


def alone(task: Callable[[], None]) -> Callable[[], None]:
    """The task in torch operations."""

    def run() -> None:
        with torch_alone():
            task()

    return run


def make_tasks(
    name: str, options: dict[str, int], corpus: Corpus, tokenizer: Tokenizer, settings: Settings
) -> tuple[dict[str, Callable[[], None]], dict[str, int]]:
    """The loops over an architecture, and the tokens of each."""
    architecture, device = registry().make("architectures", name, **options), choose_device(settings.device)
    parts = USUAL.make()
    stream = make_training_stream(corpus, tokenizer, settings, parts.augmentations)
    vocabulary, shape = len(tokenizer.vocabulary), (settings.batch_size, settings.chunk)
    inputs = torch.stack([torch.randint(0, c.size, shape) for c in tokenizer.grammar.columns], -1).to(device)
    targets, middle = torch.randint(0, vocabulary, shape).to(device), middle_batch(stream)
    run = _start(corpus, tokenizer, architecture, settings, USUAL, device)
    meter = Meter(run, settings.steps, 1.0)
    sizes = architecture.embedding_size, architecture.hidden_size
    plain = Plain(copy.deepcopy(run.module.recurrence), *sizes, vocabulary).to(device)

    def ours() -> None:
        run.batch = middle  # again and again, so that each round does the same work
        _train_batch(run, stream, settings, parts, device, meter)

    torchs = Plain(as_torch_has_them(plain.layers), *sizes, vocabulary).to(device)
    over_layers = bare_loop(lambda: plain(inputs[..., 0]), plain, targets, settings)
    tasks = {
        "ours": ours,
        "torch": alone(ours),
        "same": bare_loop(lambda: run.module(inputs)[0], run.module, targets, settings),
        "plain": alone(bare_loop(lambda: torchs(inputs[..., 0]), torchs, targets, settings)),
        "layers": over_layers,
    }
    real = int(stream.lengths[stream.select_batch(middle)].sum())
    return tasks, {task: real if task in ("ours", "torch") else targets.numel() for task in tasks}


def main() -> None:
    """Print tokens per second and the ratios for each architecture."""
    asked = argparse.ArgumentParser()
    asked.add_argument("architectures", nargs="*", default=["lstm", "gru", "rnn", "mingru", "minlstm"])
    asked.add_argument("--layers", type=int, default=2)
    asked.add_argument("--size", type=int, default=256)
    asked.add_argument("--precision", default="auto")
    given = asked.parse_args()
    print(describe())
    found = torch.cpu.get_capabilities()
    print(", ".join(name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if found.get(name)))
    keep_freed_memory()
    options = {"layers": given.layers, "hidden_size": given.size, "embedding_size": given.size}
    settings = Settings(precision=given.precision)
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    with tempfile.TemporaryDirectory() as folder:
        corpus, tokenizer = corpus_of("chorales", Path(folder))
        for name in given.architectures:
            tasks, tokens = make_tasks(name, options, corpus, tokenizer, settings)
            for task in tasks.values():
                task()
            rates = {task: tokens[task] / seconds for task, seconds in in_turn(tasks, ROUNDS, min, clock).items()}
            print(
                f"{name:8} {rates['ours']:8,.0f} tokens/s, {rates['ours'] / rates['torch']:.2f} times torch alone; ",
                end="",
            )
            print("of a bare loop", end="")
            for task, what in (("same", "the same network"), ("plain", "torch's layers"), ("layers", "these layers")):
                print(f", over {what} {rates['ours'] / rates[task]:.3f}", end="")
            print(flush=True)


if __name__ == "__main__":
    main()
