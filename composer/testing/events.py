"""The contract of the events that a plugin answers: it takes sample events, quickly, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

from composer.music.score import Score
from composer.plugins.hooks import EVENTS, HookManager, read_hooks
from composer.testing.rules import require
from composer.testing.sequences import SAMPLES
from composer.types import Piece, RunView

SLOWEST = 0.25
"""Seconds that the quickest of three answers may take; a batch writes tens of pieces in a second."""

Arguments = Mapping[str, Any]

REQUEST = {"seed": 7, "index": 2, "bars": 4, "samplers": [{"name": "top-p", "options": {"p": 0.97}}]}
PROVENANCE = {
    "composer": "0.1.0",
    "model": "chorales",
    "model_hash": "0" * 64,
    "request": REQUEST,
    "nats": {"model": 27.76, "chain": 27.36},
    "licence": "CC0-1.0",
}


def check_events(module: object, folder: Path) -> None:
    """Check all events that a module answers; files are made in `folder`, which is empty."""
    for event in EVENTS:
        check_event(event, module, folder)


def check_event(event: str, module: object, folder: Path) -> None:
    """Check what a module answers to one event, if it does. Files are made in `folder`."""
    hooks, notes = read_hooks(module)
    require(not notes, f"every hook of a plugin can be used; {'; '.join(note.text for note in notes)}")
    manager = HookManager([name for name, hook in hooks.items() if hook == event])
    manager.register(module)
    caller: Callable[..., object] = getattr(manager.hook, event)
    quickest = inf
    for number, (title, arguments) in enumerate(list_events(event, folder), start=1):
        quickest = min(quickest, _check_answer(event, caller, title, arguments))
        require(
            quickest <= SLOWEST or number < 3,  # the first one may import something
            f"an answer takes {SLOWEST} seconds at most, for the work waits for it; {event} took {quickest:.2f}",
        )


def _check_answer(event: str, caller: Callable[..., object], title: str, arguments: Arguments) -> float:
    """Check one answer. Return the seconds that it took."""
    before, here = {name: _take_snapshot(value) for name, value in arguments.items()}, Path.cwd()
    began = perf_counter()
    try:
        caller(**arguments)
    except (Exception, SystemExit) as error:
        require(False, f"an answer raises nothing; {event} raised {type(error).__name__}: {error}, for {title}")
    took = perf_counter() - began
    changed = [name for name, value in arguments.items() if _take_snapshot(value) != before[name]]
    require(not changed, f"an answer changes none of its arguments; {event} changed '{''.join(changed[:1])}'")
    require(Path.cwd() == here, f"an answer leaves the working folder as it is; {event} changed it")
    return took


def _take_snapshot(value: Any) -> object:
    """Describe an argument, with what is in files, so that any change is seen."""
    if isinstance(value, Piece):
        notes = [(track, track.notes.tobytes()) for track in value.score.tracks]
        return repr((value.score, notes, value.provenance))
    if isinstance(value, RunView):
        return value.progress, value.seed, value.folder, value.corpus.tokens.tobytes(), value.corpus.offsets.tobytes()
    if isinstance(value, tuple):
        return [(path, path.read_bytes() if path.is_file() else None) for path in value]
    return deepcopy(value)


# --- sample events ----------------------------------------------------------------------------------------------------


def list_events(event: str, folder: Path) -> Iterator[tuple[str, Arguments]]:
    """Yield samples of an event, each with what it is: its arguments by name. Files are made in `folder`."""
    yield from {
        "piece_written": _list_pieces,
        "run_started": _list_starts,
        "validated": _list_validations,
        "batch_finished": _list_batches,
    }[event](folder)


def _list_pieces(folder: Path) -> Iterator[tuple[str, Arguments]]:
    made = Piece(SAMPLES["two parts"], PROVENANCE)
    yield "a piece", {"paths": _write_files(folder, "7-000002.mid"), "piece": made}
    titled = Piece(SAMPLES["two parts"], {**PROVENANCE, "title": 'Näyte "1"'})
    yield "a piece in two formats", {"paths": _write_files(folder, "ein Stück.wav", "ein Stück.pdf"), "piece": titled}
    for name, score in {**SAMPLES, "no notes": Score(())}.items():
        yield f"music that was read ({name})", {"paths": _write_files(folder, "read.mid"), "piece": Piece(score)}
    (folder / "gone").mkdir(exist_ok=True)
    yield "a piece whose file is gone again", {"paths": (folder / "gone" / "piece.mid",), "piece": made}


def _write_files(folder: Path, *names: str) -> tuple[Path, ...]:
    paths = tuple(folder / name for name in names)
    for path in paths:
        path.write_bytes(b"MThd")
    return paths


def _list_batches(folder: Path) -> Iterator[tuple[str, Arguments]]:
    _write_files(folder, "manifest.jsonl")
    yield "a batch", {"folder": folder, "counts": {"done": 12, "rejected": 3, "failed": 1, "passed over": 4}}
    yield "a batch without a piece", {"folder": folder, "counts": {}}


def _list_starts(folder: Path) -> Iterator[tuple[str, Arguments]]:
    for title, values in (("a run", {"step": 0}), ("a resumed run", {"step": 4})):
        yield from _list_runs(folder, title, values)


def _list_validations(folder: Path) -> Iterator[tuple[str, Arguments]]:
    for values in ({"step": 0, "valid": 3.1, "best": 3.1}, {"step": 4, "valid": 2.5, "best": 2.25}):
        yield from _list_runs(folder, f"a validation at step {values['step']}", values)


def _list_runs(folder: Path, title: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Arguments]]:
    """Yield a run of a small network with a folder, and without one."""
    from composer.building import build_new_network
    from composer.data.corpus import build
    from composer.testing.callbacks import SETTINGS, make_recipe
    from composer.training.callbacks import Moment, Progress, RunContext
    from composer.training.train import make_model

    recipe = make_recipe()
    tokenizer = recipe.tokenizer
    corpus = build(recipe.dataset, tokenizer, name="scales", cache=folder / "cache", workers=1)
    columns, words = tokenizer.grammar.columns, len(tokenizer.vocabulary)
    network = build_new_network(recipe.architecture, columns, words, tokenizer.token_info)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    run = folder / "run"
    run.mkdir(exist_ok=True)
    usual = {"steps": SETTINGS.steps, "epoch": 1.0, "tokens_per_second": 1e4, "seconds": 2.0, "seconds_left": 1.0}
    moment = Moment("validation", Progress(**{**usual, "train": 3.0, **values}), lambda: deepcopy(weights))
    for where in (run, None):
        around = RunContext(lambda found: make_model(recipe, found), corpus, tokenizer, 0, where)
        yield title + ("" if where else " without a folder"), {"run": around.make_view(moment)}
