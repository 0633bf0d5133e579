"""The training loop beside two bare loops at the same batch and precision: over the same module, and over its layers.

The bare loop is what one would write: dense batches of random tokens of the same shape, forward, cross-entropy,
backward, clipping, AdamW. Over the same module, and over a plain one: an embedding of the token alone, the same
recurrent layers, a linear output. Only the real tokens of the training loop count as its tokens.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from machine import describe, in_turn
from torch import nn

from composer.data.batches import Stream, compute_real_share
from composer.data.corpus import Corpus, build
from composer.devices import choose_device, use_precision
from composer.plugins.registry import registry
from composer.training.loop import Meter, Settings, _start, _train_batch, make_training_stream
from composer.types import Tokenizer

ROUNDS = 7


class Plain(nn.Module):
    """Tokens (B, T) to logits (B, T, V), by the recurrent layers of another module."""

    def __init__(self, layers: nn.Module, embedding_size: int, hidden_size: int, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.layers = copy.deepcopy(layers)
        self.head = nn.Linear(hidden_size, vocabulary_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.head(self.layers(self.embedding(tokens), None)[0])


def corpus_of(name: str, folder: Path) -> tuple[Corpus, Tokenizer]:
    """The corpus of a registered dataset with its own tokenizer."""
    dataset = registry().make("datasets", name)
    tokenizer = registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options)
    return build(dataset, tokenizer, name=name, cache=folder), tokenizer


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


def main() -> None:
    """Print tokens per second of the three, and the ratios, for each architecture."""
    print(describe())
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    settings = Settings()
    device = choose_device(settings.device)
    with tempfile.TemporaryDirectory() as folder:
        corpus, tokenizer = corpus_of("chorales", Path(folder))
        stream = make_training_stream(corpus, tokenizer, settings)
        print(f"real tokens among all places: {compute_real_share(stream):.3f}")
        vocabulary, shape = len(tokenizer.vocabulary), (settings.batch_size, settings.chunk)
        inputs = torch.stack([torch.randint(0, c.size, shape) for c in tokenizer.grammar.columns], -1).to(device)
        targets = torch.randint(0, vocabulary, shape).to(device)
        middle = middle_batch(stream)
        tokens = {"ours": int(stream.lengths[stream.select_batch(middle)].sum()), "same": targets.numel()}
        tokens["plain"] = tokens["same"]
        for name in registry().list_names("architectures"):
            architecture = registry().make("architectures", name)
            run = _start(corpus, tokenizer, architecture, settings, device)
            meter = Meter(run, settings.steps, 1.0)
            sizes = architecture.embedding_size, architecture.hidden_size
            plain = Plain(run.module.recurrence, *sizes, vocabulary).to(device)

            def ours(run=run, meter=meter) -> None:
                run.batch = middle  # again and again, so that each round does the same work
                _train_batch(run, stream, settings, device, meter)

            tasks = {
                "ours": ours,
                "same": bare_loop(lambda run=run: run.module(inputs)[0], run.module, targets, settings),
                "plain": bare_loop(lambda plain=plain: plain(inputs[..., 0]), plain, targets, settings),
            }
            for task in tasks.values():
                task()
            rates = {task: tokens[task] / seconds for task, seconds in in_turn(tasks, ROUNDS, min, clock).items()}
            print(
                f"{name:8} ours {rates['ours']:8,.0f} tokens/s, "
                f"{rates['ours'] / rates['same']:.3f} of a bare loop over the same module ({rates['same']:,.0f}), "
                f"{rates['ours'] / rates['plain']:.3f} of one over its layers alone ({rates['plain']:,.0f})"
            )


if __name__ == "__main__":
    main()
