"""The logits of a shipped model by any backend, as a digest; run as a program it prints those of them all."""

import hashlib
import json
from functools import lru_cache

import numpy as np

from composer.generation.composer import open_model
from composer.generation.generator import Generator
from composer.plugins.registry import registry

STEPS = 3
MOST_ROWS = 64
MODEL = "tunes"


@lru_cache
def opened() -> Generator:
    return open_model(MODEL)


def suiting():
    """Each backend that suits the model with each of its precisions."""
    player = opened()
    makers = {name: registry().make("backends", name) for name in registry().list_names("backends")}
    return [
        (name, p) for name, maker in makers.items() if maker.supports(player.model, "cpu") for p in maker.tolerances
    ]


def logits(name, precision, rows, **options):
    """(T, B, V) of the first `rows` of some inputs, step by step."""
    player = opened()
    step = registry().make("backends", name, **options).make(player.model, "cpu", precision)
    sizes = [column.size for column in player.tokenizer.grammar.columns]
    inputs = np.random.default_rng(0).integers(0, sizes, (STEPS, MOST_ROWS, len(sizes)))
    found, state = [], None
    for columns in inputs[:, :rows]:
        out, state = step(columns, state)
        found.append(np.asarray(out))
    return np.stack(found)


def digest(found):
    """Of every bit."""
    return hashlib.sha256(np.ascontiguousarray(found).tobytes()).hexdigest()


if __name__ == "__main__":
    print(json.dumps({f"{name} {precision}": digest(logits(name, precision, 7)) for name, precision in suiting()}))
