"""The pieces that a trained model writes, beside held-out real ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from composer import metrics
from composer.data.corpus import Corpus
from composer.generation.generator import Generator
from composer.metrics import Measurements
from composer.model import Model
from composer.training import model_card
from composer.types import Tokenizer


def evaluate_writing(model: Model, corpus: Corpus, tokenizer: Tokenizer, seed: int) -> dict[str, Any]:
    """Generate a piece per test piece, 50 at most, with the dataset's suggestions, and measure them.

    `distance` is the Fréchet feature distance from the test pieces, with its interval and the distance between halves
    of these. `inside` counts the figures within the reference range of 99 in 100 sets of as many real pieces. `copied`
    is the overlap of the pieces with the training pieces, `held_out` that of the test pieces.
    """
    player = Generator(model, "")
    real = _measure_real(corpus.folder, tokenizer)  # type: ignore[arg-type]  # a frozen dataclass
    test = metrics.measure(
        [tokenizer.decode(corpus.read_piece(n)) for n in corpus.split("test").tolist()], real.metrics
    )
    pieces = model_card.generate_suggested(player, min(len(test), model_card.MOST_PIECES), seed)
    ours = metrics.measure(pieces, real.metrics)
    judged = metrics.judge_measured(ours, real, seed=seed, level=model_card.LEVEL)
    shared = model_card.measure_originality(pieces, corpus, tokenizer)
    return {
        "pieces": len(pieces),
        "distance": model_card.describe_distance(metrics.contrast(ours, test, seed)),
        "inside": sum(figure.inside for figure in judged),
        "figures": len(judged),
        "outside": [figure.name for figure in judged if not figure.inside],
        "copied": _summarise_copies(shared),
        "held_out": _summarise_copies(shared["held_out"]),
    }


@lru_cache(maxsize=2)
def _measure_real(folder: Path, tokenizer: Tokenizer) -> Measurements:
    """Measure all pieces of the corpus, once per process."""
    corpus = Corpus(folder)
    return metrics.measure([tokenizer.decode(corpus.read_piece(number)) for number in range(len(corpus.names))])


def _summarise_copies(found: Mapping[str, Any]) -> dict[str, Any]:
    longest = found["longest"]
    return {"share": found["copied_share"], "longest_notes": longest["notes"] if longest else 0}
