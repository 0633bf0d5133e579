"""The training loop beside a bare loop over the same module, batch and precision, on a synthetic corpus.

The bare loop is what one would write: dense batches of random tokens of the same shape, forward, cross-entropy,
backward, clipping, AdamW. Only the loop's real tokens count as its tokens.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from machine import describe, in_turn

from composer.batches import real_share
from composer.corpus import Corpus, build
from composer.devices import autocast, choose_device
from composer.plugins import registry
from composer.training import Meter, Settings, _batch, _start, training_stream
from composer.types import Tokenizer


def corpus_of(name: str, folder: Path) -> tuple[Corpus, Tokenizer]:
    """The corpus of a registered dataset with its own tokenizer."""
    dataset = registry().make("datasets", name)
    tokenizer = registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options)
    return build(dataset, tokenizer, name=name, cache=folder), tokenizer


def main() -> None:
    """Print tokens per second of both, and their ratio, for each architecture."""
    print(describe())
    settings = Settings()
    device = choose_device(settings.device)
    with tempfile.TemporaryDirectory() as folder:
        corpus, tokenizer = corpus_of("chorales", Path(folder))
        stream = training_stream(corpus, tokenizer, settings)
        print(f"real tokens among all places: {real_share(stream):.3f}")
        for name in registry().names("architectures"):
            run = _start(corpus, tokenizer, registry().make("architectures", name), settings, device)
            meter = Meter(run, settings.steps, 1.0)
            sizes = [column.size for column in tokenizer.grammar.columns]
            shape = (settings.batch_size, settings.chunk)
            inputs = torch.stack([torch.randint(0, size, shape) for size in sizes], -1).to(device)
            targets = torch.randint(0, len(tokenizer.vocabulary), shape).to(device)

            def bare(run=run, inputs=inputs, targets=targets) -> None:
                with autocast(device, settings.precision):
                    logits, _ = run.module(inputs)
                loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
                run.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(run.module.parameters(), settings.clip)
                run.optimiser.step()
                loss.item()

            # One batch of pieces of middling length, again and again, so that each round does the same work.
            middle = int(
                np.argsort([stream.lengths[stream.batch(n)].mean() for n in range(stream.batches)])[stream.batches // 2]
            )

            def ours(run=run, meter=meter, middle=middle) -> None:
                run.batch = middle
                _batch(run, stream, settings, device, meter)

            bare()
            ours()
            tokens = int(stream.lengths[stream.batch(middle)].sum())
            found = in_turn({"bare": bare, "ours": ours}, 5)
            rates = {"bare": inputs[..., 0].numel() / found["bare"], "ours": tokens / found["ours"]}
            ratio = rates["ours"] / rates["bare"]
            print(f"{name:6} bare {rates['bare']:8,.0f}  ours {rates['ours']:8,.0f} tokens/s  ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
