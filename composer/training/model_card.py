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
from composer.data.datasets import make_training_dataset
from composer.errors import EmptyDataset
from composer.generation import degeneration, ranking
from composer.generation.defaults import choose_new_samplers
from composer.generation.generator import Generator, generate
from composer.metrics import Contrast, Figure, Measurements, ReferenceRange, plain_values
from composer.model import Model
from composer.music.score import Score
from composer.originality.held_out import measure_held_out
from composer.originality.held_out import summarise as shared
from composer.originality.index import build_index
from composer.originality.passages import LEAST, compare
from composer.request import Request
from composer.training.evaluation import compute_piece_nats
from composer.types import Tokenizer

if TYPE_CHECKING:
    from torch import nn

CONDITION_PIECES = 50
"""Pieces generated for each condition."""

MOST_PIECES = 50
"""The most pieces to compare."""

MOST_REAL, MOST_HELD_OUT = 5000, 500
"""The most pieces of the training split to measure, and of the validation split to evaluate."""

LEVEL = 0.99
"""Share of sets of real pieces that lie in a reference range."""


def measure_model(model: Model, *, seed: int = 0) -> Model:
    """Return the model with figures in its card, for pieces requested as its dataset suggests now.

    Raises BadModelFile if its card names no dataset.
    """
    generator = Generator(_extend_card(model, {"suggested": dict(make_training_dataset(model).suggested)}))
    corpus = build_training_corpus(generator)
    real = read_real_scores(generator, corpus)
    test = [real[number] for number in corpus.split("test")]
    count = min(len(test), MOST_PIECES)
    pieces = generate_suggested(generator, count, seed)
    found = {
        "listening": {
            "title": f"What it writes, beside {corpus.about['title']}",
            "request": get_suggested(generator).to_json(),
            "seed": seed,
            "pieces": count,
            "level": LEVEL,
            "references": metrics.collect_references(real),
            "figures": _compare_figures(pieces, real, test),
            "distance": describe_distance(metrics.contrast(metrics.measure(pieces), metrics.measure(test), seed)),
        },
        "originality": measure_originality(pieces, corpus, generator.tokenizer),
        "wishes": measure_conditions(generator, real, seed),
        **measure_reach(model.make_module(), corpus, generator.tokenizer),
    }
    return _extend_card(generator.model, found)


def describe_distance(contrast: Contrast) -> dict[str, float | None]:
    """Return the Fréchet feature distance with its interval, and that between halves of the real pieces, for a card."""
    found = {name: getattr(contrast.distance, name) for name in ("value", "low", "high", "halves")}
    return {name: round(value, 5) if isfinite(value) else None for name, value in found.items()}


def measure_originality(pieces: Sequence[Score], corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    """Measure what pieces share with the training split; `held_out`: what the test split shares with it.

    Nothing is measured of music without melodies, such as drums.
    """
    try:
        music = build_index(corpus, tokenizer).select_split("train")
    except EmptyDataset:
        return {}
    return {
        **shared([compare(piece, music) for piece in pieces]),
        "least": LEAST,
        "held_out": measure_held_out(music.index),
    }


def measure_reach(module: nn.Module, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, Any]:
    """Measure real pieces for a card: `metres`, `repetition` and the rules of `ranking` from the training split.

    The nats per note, a median over pieces, are masked by the grammar. They are of the validation split: the model has
    seen the training split, and is judged by the test split. From large splits, evenly spaced pieces are taken.
    """
    trained = _select_spaced(corpus.split("train"), MOST_REAL)
    held_out = _select_spaced(corpus.split("valid"), MOST_HELD_OUT)
    scores = [tokenizer.decode(corpus.read_piece(number)) for number in trained.tolist()]
    nats = compute_piece_nats(module, corpus, tokenizer, held_out, masked=True) / np.maximum(corpus.notes[held_out], 1)
    metres = Counter(metre for score in scores for metre in {str(signature) for signature in score.time_signatures})
    return {
        "metres": dict(metres.most_common()),  # pieces with each
        degeneration.CARD: {**asdict(degeneration.measure_limits(scores)), "pieces": len(scores)},
        ranking.CARD: {**asdict(ranking.compute_standard(scores, nats)), "pieces": len(scores), "held_out": len(nats)},
    }


def _select_spaced(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Take at most `most` of the numbers, evenly spaced."""
    return numbers[:: -(-len(numbers) // most)]


def _extend_card(model: Model, more: Mapping[str, Any]) -> Model:
    return replace(model, card={**model.card, **more}, file="")


def build_training_corpus(generator: Generator) -> Corpus:
    """Build the corpus that a model was trained on."""
    return build(
        make_training_dataset(generator.model), generator.tokenizer, name=generator.model.card["dataset"]["name"]
    )


def read_real_scores(generator: Generator, corpus: Corpus | None = None) -> list[Score]:
    """Decode the pieces that a model was trained, validated and tested on."""
    found = corpus or build_training_corpus(generator)
    return [generator.tokenizer.decode(found.read_piece(number)) for number in range(len(found.names))]


def get_suggested(generator: Generator) -> Request:
    """Return the suggested request as a user would make it, with the samplers that it has unasked."""
    return choose_new_samplers(generator.tokenizer.token_info, generator.suggested)


def generate_suggested(generator: Generator, count: int, seed: int) -> list[Score]:
    """Generate `count` pieces as the card suggests, each in one attempt, without retries.

    They have the samplers that new requests have unasked.
    """
    requests = [replace(get_suggested(generator), seed=seed, index=index) for index in range(count)]
    return [piece.score for piece in generate(generator, requests, redraws=0)]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Generated pieces beside real ones, measured by the same metrics."""

    model: Measurements
    real: Measurements
    contrast: Contrast

    def to_json(self) -> dict[str, Any]:
        """Return plain values of both sets, of each piece and of each bar."""
        counts = {"pieces": len(self.model), "real_pieces": list(self.real.titles)}
        return {**counts, **plain_values.describe_contrast(self.contrast, self.model, self.real)}


def compare_with_real(
    generator: Generator,
    corpus: Corpus,
    split: str = "test",
    *,
    names: Sequence[str] = ("all",),
    count: int = 0,
    seed: int = 0,
) -> Comparison:
    """Measure `count` pieces, requested as the card suggests, beside those of one split of a corpus.

    A `count` of 0 means as many as real pieces, at most 50. Raises UnknownName for a metric, EmptyDataset for no real
    pieces.
    """
    chosen = metrics.make_metrics(names)
    numbers = corpus.split(split).tolist()
    real = [replace(generator.tokenizer.decode(corpus.read_piece(n)), title=corpus.names[n]) for n in numbers]
    theirs = metrics.measure(real, chosen)
    ours = metrics.measure(generate_suggested(generator, count or min(len(real), MOST_PIECES), seed), chosen)
    return Comparison(ours, theirs, metrics.contrast(ours, theirs, seed))


def _compare_figures(pieces: Sequence[Score], real: Sequence[Score], test: Sequence[Score]) -> list[dict[str, Any]]:
    figures = metrics.compare(pieces, real, level=LEVEL)
    of_test = {figure.name: figure.model for figure in metrics.compare(test, real, samples=1)}
    return [{**figure.to_json(), "test": of_test[figure.name]} for figure in figures]


def judge_again(generator: Generator) -> tuple[Figure, ...]:
    """Recompute the card's table from the model: the same requests, compared with the card's reference ranges."""
    card = generator.model.card["listening"]
    texts = [{name: row[name] for name in ReferenceRange.__dataclass_fields__} for row in card["figures"]]
    bands = [ReferenceRange(**row) for row in texts]
    return metrics.judge(generate_suggested(generator, card["pieces"], card["seed"]), bands, card["references"])


def measure_conditions(generator: Generator, real: Sequence[Score], seed: int) -> dict[str, Any]:
    """Measure whether conditions are met: pieces for each of the two commonest metres and keys, beside real ones.

    Metres show in the profile of onsets, keys in that of pitch classes; neither profile sees bar lines or signatures.
    """
    return {
        "time_signature": _measure_condition(
            generator, real, seed, "time_signature", _get_metre, metrics.compute_onset_profile
        ),
        "key": _measure_condition(generator, real, seed, "key", _get_key, metrics.compute_pitch_class_profile),
    }


def _get_metre(score: Score) -> str:
    return str(score.time_signatures[0]) if len(score.time_signatures) == 1 else ""


def _get_key(score: Score) -> str:
    return str(score.key_signatures[0].key.usual) if score.key_signatures else ""


def _measure_condition(
    generator: Generator, real: Sequence[Score], seed: int, field: str, value_of: Any, profile: Any
) -> dict[str, Any]:
    common = [value for value, _ in Counter(filter(None, map(value_of, real))).most_common(2)]
    profiles = {value: profile([score for score in real if value_of(score) == value]) for value in common}
    found: dict[str, Any] = {}
    for value in common if len(common) == 2 else []:
        other = next(v for v in common if v != value)
        requests = _make_requests(generator.suggested, seed, {field: value})
        pieces = [piece.score for piece in generate(generator, requests, redraws=0)]
        single = [metrics.is_nearer(profile([score]), profiles[value], profiles[other]) for score in pieces]
        found[value] = {
            "nearer_than": other,
            "bits_nearer": round(metrics.compute_margin(profile(pieces), profiles[value], profiles[other]), 5),
            "pieces_nearer": f"{sum(single)} of {len(pieces)}",
        }
    return found


def _make_requests(suggested: Request, seed: int, condition: Mapping[str, Any]) -> list[Request]:
    return [replace(suggested, seed=seed, index=index, **condition) for index in range(CONDITION_PIECES)]
