"""One run to one result in plain values, wherever it is done; it knows no other runs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer import evaluation, recipefile, training
from composer.comparing import altered, counting, probes, recall
from composer.comparing.plan import TRIED, Run
from composer.corpus import Corpus, build
from composer.datasets import make_dataset
from composer.devices import choose_device, one_thread
from composer.errors import ComposerError, TrainingFailed, printable
from composer.plugins import registry
from composer.recipes import Recipe, model_of
from composer.training import Settings, Trained
from composer.types import Architecture, Tokenizer

if TYPE_CHECKING:
    from torch import nn

Result = dict[str, Any]

MODELS, RUNNING = "models", "running"
"""Folders beside the results: of trained models, and of runs that have not ended."""

MOST_TRAINING_PIECES = 100
"""Of which the likelihood is taken, to be held beside that of unseen ones."""

WRITTEN = 192
"""Tokens for which the speed of writing is measured."""


def carry_out(folder: str, run: Run) -> Result:
    """The result of a run, in one thread; `failure` says in one sentence why there is none.

    What is needed of an interrupted run is kept under `folder`, and taken up again.
    """
    scratch = Path(folder) / RUNNING / run.identity
    began = perf_counter()
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with one_thread():
            found = WORK[run.work](run, scratch)
    except Exception as error:  # an architecture is a plugin, which may raise anything; the others go on
        if isinstance(error.__context__, KeyboardInterrupt):  # stopped, before there was anything to keep
            raise KeyboardInterrupt from None
        text = str(error) if isinstance(error, ComposerError) else f"{type(error).__name__}: {error}"
        found = {"failure": printable(" ".join(text.split()), 300)}
    found["took"] = round(perf_counter() - began, 2)
    with suppress(OSError):
        shutil.rmtree(scratch)
    return found


# --- what a run is about ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _corpus(text: str) -> tuple[Corpus, Tokenizer]:
    """The music of a recipe, which whoever planned the run has built already."""
    plain = json.loads(text)
    dataset = make_dataset(plain["dataset"], **plain["dataset_options"])
    options = dict(plain["tokenizer"])
    tokenizer = registry().make("tokenizers", options.pop("name"), **options)
    return build(dataset, tokenizer, name=plain["dataset"]), tokenizer


def _music(run: Run) -> tuple[Corpus, Tokenizer]:
    """The music that the run was planned for. Raises TrainingFailed if it has changed since."""
    keys = ("dataset", "dataset_options", "tokenizer")
    corpus, tokenizer = _corpus(json.dumps({key: run.recipe[key] for key in keys}))
    if corpus.folder.name != run.music:
        raise TrainingFailed("the music has changed since this was planned.")
    return corpus, tokenizer


def _altered(run: Run, corpus: Corpus, tokenizer: Tokenizer, scratch: Path) -> Corpus:
    seed = run.recipe["training"]["seed"]
    if run.noise:
        corpus = altered.altered(corpus, tokenizer, scratch, noise=run.noise, seed=seed)
    return altered.Part(corpus.folder, run.share, seed) if run.share < 1 else corpus


def _recipe(run: Run) -> Recipe:
    return recipefile.make(run.recipe)


# --- pace -------------------------------------------------------------------------------------------------------------


def pace(run: Run, _: Path) -> Result:
    """Seconds of a step and of a validation, seconds of a written token, and what the network costs, counted."""
    corpus, tokenizer = _music(run)
    recipe = _recipe(run)
    took = []
    clock = process_time if choose_device(recipe.settings.device).type == "cpu" else perf_counter
    for steps in (1, *TRIED):  # the first one warms up, and is not counted
        began = clock()
        settings = replace(recipe.settings, steps=steps, evaluations=1)
        trained = training.train(corpus, tokenizer, recipe.architecture, settings)
        took.append(clock() - began)
    took = took[1:]
    step = max((took[1] - took[0]) / (TRIED[1] - TRIED[0]), 1e-4)
    stream = training.training_stream(corpus, tokenizer, recipe.settings)
    chunks = [chunk for number in range(min(stream.batches, 20)) for chunk in stream.chunks(number)]
    tokens = float(np.mean([np.count_nonzero(chunk.targets >= 0) for chunk in chunks]))
    sizes, words = [column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary)
    module = recipe.architecture.module(sizes, words)
    counted = counting.counts(recipe.architecture, sizes, words)
    held = counting.training_bytes(module, sizes, recipe.settings.batch_size, recipe.settings.chunk)
    return {
        "step_seconds": round(step, 6),
        "validation_seconds": round(max(took[0] - TRIED[0] * step, 0.0), 4),
        "tokens_per_step": round(tokens, 1),
        "training_bytes": held,
        **counted,
        **_writing(recipe, trained, len(sizes)),
        "machine": _machine(),
    }


def _writing(recipe: Recipe, trained: Trained, columns: int) -> Result:
    """Seconds of a token at batch 1 by the reference stepper, and at 1 and 64 by the one that is fastest here."""
    from composer.generation import Player

    model = model_of(recipe, trained.weights)
    player = Player(model, "")
    usual = player.resolved(replace(player.suggested, device="cpu"))
    found: Result = {"stepper": usual.stepper}
    for name, stepper, rows in (
        ("write_seconds_reference", "torch", 1),
        ("write_seconds", usual.stepper, 1),
        ("write_seconds_64", usual.stepper, 64),
    ):
        found[name] = float(f"{_step_seconds(player.stepper(replace(usual, stepper=stepper)), rows, columns):.4g}")
    return found


def _step_seconds(step: Any, rows: int, columns: int) -> float:
    """The time of one token of one row: the best of three stretches."""
    inputs, state = np.zeros((rows, columns), dtype=np.int64), None
    stretches = []
    for _ in range(4):  # the first one warms up
        began = perf_counter()
        for _ in range(WRITTEN // 4):
            _, state = step(inputs, state)
        stretches.append(perf_counter() - began)
    return min(stretches[1:]) / (WRITTEN // 4) / rows


def _machine() -> str:
    import platform

    import torch

    return f"{platform.machine()}, {platform.system()}, Python {sys.version.split()[0]}, torch {torch.__version__}"


# --- training ---------------------------------------------------------------------------------------------------------


def _train(run: Run, corpus: Corpus, tokenizer: Tokenizer, scratch: Path) -> tuple[Recipe, Trained]:
    recipe = _recipe(run)
    return recipe, _taught(corpus, tokenizer, recipe.architecture, recipe.settings, scratch)


def _taught(
    corpus: Corpus, tokenizer: Tokenizer, architecture: Architecture, settings: Settings, scratch: Path
) -> Trained:
    trained = training.train(corpus, tokenizer, architecture, settings, folder=scratch)
    if trained.interrupted:
        raise KeyboardInterrupt  # the loop keeps its best so far; a comparison goes on from its checkpoint
    return trained


def _course(trained: Trained) -> Result:
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


def tune(run: Run, scratch: Path) -> Result:
    """What a training comes to on the validation split alone."""
    corpus, tokenizer = _music(run)
    _, trained = _train(run, _altered(run, corpus, tokenizer, scratch), tokenizer, scratch)
    return _course(trained)


def final(run: Run, scratch: Path) -> Result:
    """What a training comes to, its test pieces scored once by the best weights, and how far back these look."""
    corpus, tokenizer = _music(run)
    recipe, trained = _train(run, _altered(run, corpus, tokenizer, scratch), tokenizer, scratch)
    model = model_of(replace(recipe, half=False), trained.weights)
    module, test, valid = model.make_module(), corpus.split("test"), corpus.split("valid")
    learnt = _spaced(corpus.split("train"), MOST_TRAINING_PIECES)
    found = {
        **_course(trained),
        "test": _per_piece(module, corpus, tokenizer, test),
        "train_nats": round(evaluation.likelihood(module, corpus, tokenizer, learnt).nats_per_note, 5),
        "valid_nats": round(evaluation.likelihood(module, corpus, tokenizer, valid).nats_per_note, 5),
        "context": _tried(lambda: probes.gain_from_context(module, corpus, tokenizer, test)),
        "gradients": _tried(lambda: probes.gradients(module, corpus, test)),
        "shifted": [_shifted(module, corpus, tokenizer, scratch, shift) for shift in run.shifts],
    }
    if run.share == 1 and not run.noise and not run.shifts:
        _keep(run, replace(model, card={**model.card, "title": f"{recipe.architecture_name}, compared"}), scratch)
    return found


def _tried(measure: Callable[[], Any]) -> Any:
    """A measurement, or why there is none: one that fails is not the end of the others."""
    try:
        return measure()
    except Exception as error:
        return {"failure": printable(f"{error}", 200)}


def _spaced(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return numbers[:: -(-len(numbers) // most)]


def _per_piece(
    module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, pieces: NDArray[np.int64]
) -> Mapping[str, list[Any]]:
    """Of each piece its nats, its notes and its tokens."""
    nats = evaluation.piece_nats(module, corpus, tokenizer, pieces)
    lengths = np.diff(corpus.offsets)[pieces]
    return {
        "pieces": pieces.tolist(),
        "nats": [round(value, 4) for value in nats.tolist()],
        "notes": corpus.notes[pieces].tolist(),
        "tokens": lengths.tolist(),
    }


def _shifted(module: nn.Module, corpus: Corpus, tokenizer: Tokenizer, scratch: Path, shift: int) -> Result:
    """Nats per note of the test pieces in another key, beside the same pieces as they are."""
    moved = altered.altered(corpus, tokenizer, scratch, shift=shift)
    test = moved.split("test")
    same = np.array([int(name) for name in moved.names[test]])
    as_is = evaluation.likelihood(module, corpus, tokenizer, same).nats_per_note
    return {
        "semitones": shift,
        "pieces": len(test),
        "as_is": round(as_is, 5),
        "moved": round(evaluation.likelihood(module, moved, tokenizer, test).nats_per_note, 5),
    }


def _keep(run: Run, model: Any, scratch: Path) -> None:
    """Leave the model beside the results, where `composer generate --model` finds it."""
    from composer.model import save

    path = _place(run, scratch)
    path.parent.mkdir(exist_ok=True)
    save(model, path)


def _place(run: Run, scratch: Path) -> Path:
    """Where the model of a run that is compared lies."""
    name = f"{run.recipe['architecture']['name']}-{run.recipe['training']['seed']}-{run.identity}.safetensors"
    return scratch.parent.parent / MODELS / name


def write(run: Run, scratch: Path) -> Result:
    """What the model of a run that has ended writes. Raises TrainingFailed if it is not here."""
    from composer.comparing.written import written
    from composer.model import load

    corpus, tokenizer = _music(run)
    path = _place(replace(run, work="final"), scratch)
    if not path.exists():
        raise TrainingFailed(f"{MODELS}/{path.name} is not here, so nothing is written with it.")
    return written(load(path), corpus, tokenizer, run.recipe["training"]["seed"])


# --- recall -----------------------------------------------------------------------------------------------------------


def recalling(run: Run, scratch: Path) -> Result:
    """How well a motif is recalled after gaps, by a network that was trained on music made for it."""
    options = dict(run.recipe["architecture"])
    architecture = registry().make("architectures", options.pop("name"), **options)
    settings = Settings(**run.recipe["training"])
    music = recall.corpus(scratch / "music", settings.seed)
    trained = _taught(music, recall.SYMBOLS, architecture, settings, scratch)
    import torch

    module = architecture.module(
        [column.size for column in recall.SYMBOLS.grammar.columns], len(recall.SYMBOLS.vocabulary)
    )
    module.load_state_dict({name: torch.from_numpy(array) for name, array in trained.weights.items()})
    return {**_course(trained), "recall": recall.recalled(module, music, settings.seed)}


WORK: Mapping[str, Callable[[Run, Path], Result]] = {
    "pace": pace,
    "tune": tune,
    "final": final,
    "write": write,
    "recall": recalling,
}
"""The kinds of work by name."""
