"""One run from plain values to a plain result, on whatever machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer import metrics
from composer.building import build_module
from composer.data.corpus import Corpus
from composer.devices import use_one_thread
from composer.errors import ComposerError, TrainingFailed, printable
from composer.generation.generator import Generator
from composer.metrics import Measurements
from composer.model import Model
from composer.plugins.registry import registry
from composer.storage.inside import join_inside
from composer.training import evaluation, loop, model_card
from composer.training.loop import Settings
from composer.training.methods import Method, move_old_keys, read_method
from composer.training.recipes import Recipe
from composer.training.state import Trained
from composer.training.train import make_model
from composer.types import Architecture, Tokenizer
from composer_compare import perturbed_data, probes
from composer_compare.cost import Result, measure_speed
from composer_compare.perturbed_data import alter_music, load_music, make_recipe
from composer_compare.plan import ExperimentRun

if TYPE_CHECKING:
    from torch import nn


MODELS, RUNNING = "models", "running"
"""Folders beside the results: of trained models, and of unfinished runs."""

MOST_TRAINING_PIECES = 100
"""Training pieces whose likelihood is compared with that of held-out ones, at most."""


def run_one(folder: str, run: ExperimentRun) -> Result:
    """Run one unit of work in one thread; `failure` says in a sentence why there is no result.

    An interrupted run keeps its checkpoint under `folder`, and continues from it.
    """
    scratch = join_inside(Path(folder), RUNNING, run.identity)
    began = perf_counter()
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with use_one_thread():
            found = WORK[run.work](run, scratch)
    except Exception as error:  # an architecture is a plugin, which may raise anything
        if isinstance(error.__context__, KeyboardInterrupt):  # interrupted before the first checkpoint
            raise KeyboardInterrupt from None
        text = str(error) if isinstance(error, ComposerError) else f"{type(error).__name__}: {error}"
        found = {"failure": printable(" ".join(text.split()), 300)}
    found["took"] = round(perf_counter() - began, 2)
    with suppress(OSError):
        shutil.rmtree(scratch)
    return found


# --- training ---------------------------------------------------------------------------------------------------------


def _train(run: ExperimentRun, corpus: Corpus, tokenizer: Tokenizer, scratch: Path) -> tuple[Recipe, Trained]:
    recipe = make_recipe(run)
    return recipe, _train_to_end(corpus, tokenizer, recipe.architecture, recipe.settings, recipe.method, scratch)


def _train_to_end(
    corpus: Corpus, tokenizer: Tokenizer, architecture: Architecture, settings: Settings, method: Method, scratch: Path
) -> Trained:
    trained = loop.train(corpus, tokenizer, architecture, settings, method, folder=scratch)
    if trained.interrupted:
        raise KeyboardInterrupt  # the loop returns its best so far; a comparison continues from the checkpoint
    return trained


def _summarise_training(trained: Trained) -> Result:
    return {
        "history": [
            [point.step, round(point.epoch, 3), round(point.train, 5), round(point.valid, 5)]
            for point in trained.history
        ],
        "valid": round(trained.best.valid, 5),
        "best_step": trained.best.step,
        "seconds": round(trained.history[-1].seconds, 2),
        "parameters": trained.parameters,
        "diverged": trained.failure,
    }


def train_for_tuning(run: ExperimentRun, scratch: Path) -> Result:
    """Train, and return the validation losses alone."""
    corpus, tokenizer = load_music(run)
    _, trained = _train(run, alter_music(run, corpus, tokenizer, scratch), tokenizer, scratch)
    return _summarise_training(trained)


def train_and_test(run: ExperimentRun, scratch: Path) -> Result:
    """Train, score the test pieces once with the best weights, and measure how far back these look."""
    corpus, tokenizer = load_music(run)
    recipe, trained = _train(run, alter_music(run, corpus, tokenizer, scratch), tokenizer, scratch)
    model = make_model(replace(recipe, half=False), trained.weights)
    module, test, valid = model.make_module(), corpus.split("test"), corpus.split("valid")
    trained_on = _sample_evenly(corpus.split("train"), MOST_TRAINING_PIECES)
    found = {
        **_summarise_training(trained),
        "test": _score_pieces(module, corpus, tokenizer, test),
        "train_nats": round(evaluation.compute_likelihood(module, corpus, tokenizer, trained_on).nats_per_note, 5),
        "valid_nats": round(evaluation.compute_likelihood(module, corpus, tokenizer, valid).nats_per_note, 5),
        "context": _try_measurement(lambda: probes.measure_context_gain(module, corpus, tokenizer, test)),
        "gradients": _try_measurement(lambda: probes.measure_gradients(module, corpus, test)),
        "shifted": [_score_transposed(module, corpus, tokenizer, scratch, shift) for shift in run.shifts],
    }
    if run.share == 1 and not run.noise and not run.shifts:
        _keep(run, replace(model, card={**model.card, "title": f"{recipe.architecture_name}, compared"}), scratch)
    return found


def _try_measurement(measure: Callable[[], Any]) -> Any:
    """Run a measurement, or return why it failed: the others go on."""
    try:
        return measure()
    except Exception as error:
        return {"failure": printable(f"{error}", 200)}


def _sample_evenly(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return numbers[:: -(-len(numbers) // most)]


def _score_pieces(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64]
) -> Mapping[str, list[Any]]:
    """Return nats, notes and tokens of each piece."""
    nats = evaluation.compute_piece_nats(module, corpus, tokenizer, pieces)
    lengths = np.diff(corpus.offsets)[pieces]
    return {
        "pieces": pieces.tolist(),
        "nats": [round(value, 4) for value in nats.tolist()],
        "notes": corpus.notes[pieces].tolist(),
        "tokens": lengths.tolist(),
    }


def _score_transposed(module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, scratch: Path, shift: int) -> Result:
    """Score the test pieces in another key, beside the same pieces untransposed."""
    moved = perturbed_data.build_perturbed(corpus, tokenizer, scratch, shift=shift)
    test = moved.split("test")
    same = np.array([int(name) for name in moved.names[test]])
    as_is = evaluation.compute_likelihood(module, corpus, tokenizer, same).nats_per_note
    return {
        "semitones": shift,
        "pieces": len(test),
        "as_is": round(as_is, 5),
        "moved": round(evaluation.compute_likelihood(module, moved, tokenizer, test).nats_per_note, 5),
    }


def _keep(run: ExperimentRun, model: Any, scratch: Path) -> None:
    """Keep the model beside the results, where `composer generate --model` finds it."""
    from composer.model import save

    path = _locate_model(run, scratch)
    path.parent.mkdir(exist_ok=True)
    save(model, path)


def _locate_model(run: ExperimentRun, scratch: Path) -> Path:
    """Return the path of the model of a compared run."""
    name = f"{run.recipe['architecture']['name']}-{run.recipe['training']['seed']}-{run.identity}.safetensors"
    return join_inside(scratch.parent.parent, MODELS, name)


# --- pieces of a trained model, beside held-out real ones -------------------------------------------------------------


def generate_pieces(run: ExperimentRun, scratch: Path) -> Result:
    """Generate with the model of a run that has ended. Raises TrainingFailed if it is missing."""
    from composer.model import load

    corpus, tokenizer = load_music(run)
    path = _locate_model(replace(run, work="final"), scratch)
    if not path.exists():
        raise TrainingFailed(f"{MODELS}/{path.name} is missing, so nothing is generated with it.")
    return evaluate_writing(load(path), corpus, tokenizer, run.recipe["training"]["seed"])


def evaluate_writing(model: Model, corpus: Corpus, tokenizer: Tokenizer, seed: int) -> dict[str, Any]:
    """Generate a piece per test piece, 50 at most, with the dataset's suggestions, and measure them.

    `distance` is the Fréchet feature distance from the test pieces, with its interval and the distance between halves
    of these. `inside` counts the figures within the reference range of 99 in 100 sets of as many real pieces. `copied`
    is the overlap of the pieces with the training pieces, `held_out` that of the test pieces.
    """
    generator = Generator(model, "")
    real = _measure_real(corpus.folder, tokenizer)  # type: ignore[arg-type]  # a frozen dataclass
    test = metrics.measure(
        [tokenizer.decode(corpus.read_piece(n)) for n in corpus.split("test").tolist()], real.metrics
    )
    pieces = model_card.generate_suggested(generator, min(len(test), model_card.MOST_PIECES), seed)
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


# --- recall -----------------------------------------------------------------------------------------------------------


def train_on_recall(run: ExperimentRun, scratch: Path) -> Result:
    """Train on the recall task, and measure recall after gaps."""
    options = dict(run.recipe["architecture"])
    architecture = registry().make("architectures", options.pop("name"), **options)
    plain = move_old_keys(run.recipe)
    settings = Settings(**plain["training"])
    music = probes.write_corpus(scratch / "music", settings.seed)
    trained = _train_to_end(music, probes.SYMBOLS, architecture, settings, read_method(plain), scratch)
    import torch

    columns, words = probes.SYMBOLS.grammar.columns, len(probes.SYMBOLS.vocabulary)
    module = build_module(architecture, columns, words, probes.SYMBOLS.token_info)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in trained.weights.items()})
    return {**_summarise_training(trained), "recall": probes.measure_recall(module, music, settings.seed)}


# --- the kinds of work ------------------------------------------------------------------------------------------------


WORK: Mapping[str, Callable[[ExperimentRun, Path], Result]] = {
    "pace": measure_speed,
    "tune": train_for_tuning,
    "final": train_and_test,
    "write": generate_pieces,
    "recall": train_on_recall,
}
"""The kinds of work, by name."""
