"""The figures in a model's card: of the pieces it writes, and of the music it was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer import metrics
from composer.data.corpus import Corpus, build
from composer.data.datasets import dataset_of
from composer.generation import degeneration, ranking
from composer.generation.generator import Generator, generate
from composer.metrics import Band, Contrast, Figure, Measured, values
from composer.model import Model
from composer.music.score import Score
from composer.originality.held_out import figures as shared
from composer.originality.held_out import held_out
from composer.originality.index import indexed
from composer.originality.passages import LEAST, compare
from composer.request import Request
from composer.training.evaluation import piece_nats
from composer.types import Tokenizer

if TYPE_CHECKING:
    from torch import nn

ASKED = 50
"""Pieces generated for each condition."""

MOST = 50
"""The most pieces to compare."""

MOST_REAL, MOST_HELD_OUT = 5000, 500
"""The most pieces of the training split to measure, and of the validation split to evaluate."""

LEVEL = 0.99
"""Share of sets of real pieces that lie in a reference range."""


def measured_model(model: Model, *, seed: int = 0) -> Model:
    """Return the model with figures in its card, for pieces requested as its dataset suggests now.

    Raises BadModelFile if its card names no dataset.
    """
    generator = Generator(_with_card(model, {"suggested": dict(dataset_of(model).suggested)}))
    corpus = corpus_of(generator)
    real = real_scores(generator, corpus)
    test = [real[number] for number in corpus.split("test")]
    count = min(len(test), MOST)
    pieces = listen(generator, count, seed)
    found = {
        "listening": {
            "title": f"What it writes, beside {corpus.about['title']}",
            "request": generator.suggested.to_json(),
            "seed": seed,
            "pieces": count,
            "level": LEVEL,
            "references": metrics.references(real),
            "figures": _beside(pieces, real, test),
            "distance": distance(metrics.contrast(metrics.measure(pieces), metrics.measure(test), seed)),
        },
        "originality": originality(pieces, corpus, generator.tokenizer),
        "wishes": wishes(generator, real, seed),
        **reach(model.make_module(), corpus, generator.tokenizer),
    }
    return _with_card(generator.model, found)


def distance(contrast: Contrast) -> dict[str, float | None]:
    """Return the Fréchet feature distance with its interval, and that between halves of the real pieces, for a card."""
    found = {name: getattr(contrast.distance, name) for name in ("value", "low", "high", "halves")}
    return {name: round(value, 5) if isfinite(value) else None for name, value in found.items()}


def originality(pieces: Sequence[Score], corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    """Measure what pieces share with the training split; `held_out`: what the test split shares with it."""
    music = indexed(corpus, tokenizer).against("train")
    return {**shared([compare(piece, music) for piece in pieces]), "least": LEAST, "held_out": held_out(music.index)}


def reach(module: nn.Module, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    """Measure real pieces for a card: `metres`, `repetition` and the rules of `ranking` from the training split.

    The nats per note, a median over pieces, are masked by the grammar. They are of the validation split: the model has
    seen the training split, and is judged by the test split. From large splits, evenly spaced pieces are taken.
    """
    trained = _spaced(corpus.split("train"), MOST_REAL)
    held_out = _spaced(corpus.split("valid"), MOST_HELD_OUT)
    scores = [tokenizer.decode(corpus.piece(number)) for number in trained.tolist()]
    nats = piece_nats(module, corpus, tokenizer, held_out, masked=True) / np.maximum(corpus.notes[held_out], 1)
    metres = Counter(metre for score in scores for metre in {str(signature) for signature in score.time_signatures})
    return {
        "metres": dict(metres.most_common()),  # pieces with each
        degeneration.CARD: {**asdict(degeneration.reached(scores)), "pieces": len(scores)},
        ranking.CARD: {**asdict(ranking.standard(scores, nats)), "pieces": len(scores), "held_out": len(nats)},
    }


def _spaced(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Take at most `most` of the numbers, evenly spaced."""
    return numbers[:: -(-len(numbers) // most)]


def _with_card(model: Model, more: Mapping[str, Any]) -> Model:
    return Model(model.architecture, model.tokenizer, model.vocabulary, model.weights, {**model.card, **more})


def corpus_of(generator: Generator) -> Corpus:
    """Build the corpus that a model was trained on."""
    return build(dataset_of(generator.model), generator.tokenizer, name=generator.model.card["dataset"]["name"])


def real_scores(generator: Generator, corpus: Corpus | None = None) -> list[Score]:
    """Decode the pieces that a model was trained, validated and tested on."""
    found = corpus or corpus_of(generator)
    return [generator.tokenizer.decode(found.piece(number)) for number in range(len(found.names))]


def listen(generator: Generator, count: int, seed: int) -> list[Score]:
    """Generate `count` pieces as the card suggests, each in one attempt, without retries."""
    requests = [replace(generator.suggested, seed=seed, index=index) for index in range(count)]
    return [piece.score for piece in generate(generator, requests, redraws=0)]


@dataclass(frozen=True, eq=False)
class Beside:
    """Generated pieces beside real ones, measured by the same metrics."""

    model: Measured
    real: Measured
    contrast: Contrast

    def to_json(self) -> dict[str, Any]:
        """Return plain values of both sets, of each piece and of each bar."""
        counts = {"pieces": len(self.model), "real_pieces": list(self.real.titles)}
        return {**counts, **values.beside(self.contrast, self.model, self.real)}


def beside(
    generator: Generator,
    corpus: Corpus,
    split: str = "test",
    *,
    names: Sequence[str] = ("all",),
    count: int = 0,
    seed: int = 0,
) -> Beside:
    """Measure `count` pieces, requested as the card suggests, beside those of one split of a corpus.

    A `count` of 0 means as many as real pieces, at most 50. Raises UnknownName for a metric, EmptyDataset for no real
    pieces.
    """
    chosen = metrics.metrics(names)
    numbers = corpus.split(split).tolist()
    real = [replace(generator.tokenizer.decode(corpus.piece(n)), title=corpus.names[n]) for n in numbers]
    theirs = metrics.measure(real, chosen)
    ours = metrics.measure(listen(generator, count or min(len(real), MOST), seed), chosen)
    return Beside(ours, theirs, metrics.contrast(ours, theirs, seed))


def _beside(pieces: Sequence[Score], real: Sequence[Score], test: Sequence[Score]) -> list[dict[str, Any]]:
    figures = metrics.compare(pieces, real, level=LEVEL)
    of_test = {figure.name: figure.model for figure in metrics.compare(test, real, samples=1)}
    return [{**figure.to_json(), "test": of_test[figure.name]} for figure in figures]


def judged_again(generator: Generator) -> tuple[Figure, ...]:
    """Recompute the card's table from the model: the same requests, compared with the card's reference ranges."""
    card = generator.model.card["listening"]
    texts = [{name: row[name] for name in Band.__dataclass_fields__} for row in card["figures"]]
    bands = [Band(**row) for row in texts]
    return metrics.judge(listen(generator, card["pieces"], card["seed"]), bands, card["references"])


def wishes(generator: Generator, real: Sequence[Score], seed: int) -> dict[str, Any]:
    """Measure whether conditions are met: pieces for each of the two commonest metres and keys, beside real ones.

    Metres show in the profile of onsets, keys in that of pitch classes; neither profile sees bar lines or signatures.
    """
    return {
        "time_signature": _wish(generator, real, seed, "time_signature", _metre, metrics.onset_profile),
        "key": _wish(generator, real, seed, "key", _key, metrics.pitch_class_profile),
    }


def _metre(score: Score) -> str:
    return str(score.time_signatures[0]) if len(score.time_signatures) == 1 else ""


def _key(score: Score) -> str:
    return str(score.key_signatures[0].key) if score.key_signatures else ""


def _wish(
    generator: Generator, real: Sequence[Score], seed: int, field: str, value_of: Any, profile: Any
) -> dict[str, Any]:
    common = [value for value, _ in Counter(filter(None, map(value_of, real))).most_common(2)]
    profiles = {value: profile([score for score in real if value_of(score) == value]) for value in common}
    found: dict[str, Any] = {}
    for value in common if len(common) == 2 else []:
        other = next(v for v in common if v != value)
        requests = _asked(generator.suggested, seed, {field: value})
        pieces = [piece.score for piece in generate(generator, requests, redraws=0)]
        single = [metrics.nearer(profile([score]), profiles[value], profiles[other]) for score in pieces]
        found[value] = {
            "nearer_than": other,
            "bits_nearer": round(metrics.margin(profile(pieces), profiles[value], profiles[other]), 5),
            "pieces_nearer": f"{sum(single)} of {len(pieces)}",
        }
    return found


def _asked(suggested: Request, seed: int, wish: Mapping[str, Any]) -> list[Request]:
    return [replace(suggested, seed=seed, index=index, **wish) for index in range(ASKED)]
