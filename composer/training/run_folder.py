"""The folder of a run: its recipe, its metrics, and the models it has written.

recipe.toml               every choice, the folder and the command with which the run was started
metrics.jsonl             a line a validation
written.json              digests of the models that the run has written to its file
step-000500.checkpoint    the last two (composer.training.checkpoints)

Other files in it, such as samples, come from callbacks.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from composer.errors import BadModelFile, BadOption, BadRecipe, CannotWrite, printable
from composer.model import Model, load
from composer.storage.atomic import write_whole_file
from composer.storage.inside import expand_home, is_file, join_inside, open_inside
from composer.storage.opening import read_bytes
from composer.storage.seals import is_ours, sign_words
from composer.training.callbacks import Progress, Record
from composer.training.recipe_file import format_recipe, read_recipe
from composer.training.recipes import Plain

RECIPE, WRITTEN, METRICS = "recipe.toml", "written.json", "metrics.jsonl"

LARGEST = 2**26
"""The most bytes of a file written there line by line."""


@dataclass(frozen=True)
class Started:
    """How a run was started: with its recipe, enough to resume it from anywhere."""

    folder: str  # relative paths of the recipe are from there
    command: str
    music: str  # the corpus by its content
    beginning: str = ""  # the model that it began from by its hash, if from any
    seal: str = ""  # proof that the user chose the path of the model


def check_folder(folder: Path, writes: Iterable[str] = ()) -> None:
    """Raise CannotWrite for a path that is no folder, and for a folder without a run where files would be lost.

    `writes` are the names of the callbacks' files and folders.
    """
    shown = printable(str(folder), 200)
    if folder.exists() and not folder.is_dir():
        raise CannotWrite(f"{shown}: is a file; a run needs a folder.")
    for name in (*writes, *(path.name for path in sorted(folder.glob("*")))):
        join_inside(folder, name)  # nothing of a run is a link
    if (folder / RECIPE).exists():
        return
    theirs = [pattern for name in writes for pattern in (name, f"{name}/*") if not (folder / pattern).is_dir()]
    ours = (METRICS, WRITTEN, "step-*.checkpoint", *theirs)
    if found := next((path for pattern in ours for path in folder.glob(pattern)), None):
        other = printable(found.relative_to(folder).as_posix())
        raise CannotWrite(f"{shown}: holds '{other}', and no {RECIPE} of a run to go on with; name another folder.")


def record_model(folder: Path, model: Model) -> None:
    """Record a model before the run writes it to its file, which the run may replace later. Raises CannotWrite."""
    with write_whole_file(folder / WRITTEN) as scratch:
        scratch.write_text(json.dumps([*_read_written(folder), _hash_model(model)]) + "\n", encoding="utf-8")


def has_written(folder: Path, out: Path) -> bool:
    """Tell whether a file is a model that the run in a folder has written."""
    try:
        return (folder / WRITTEN).is_file() and out.is_file() and _hash_model(load(out)) in _read_written(folder)
    except BadModelFile:
        return False


def _read_written(folder: Path) -> list[str]:
    try:
        return list(map(str, json.loads(read_bytes(folder / WRITTEN, LARGEST, BadRecipe))))
    except (BadRecipe, ValueError, TypeError, RecursionError):
        return []


def _hash_model(model: Model) -> str:
    """Hash the content of a model file, its card included."""
    card = json.dumps(json.loads(json.dumps(model.card)), sort_keys=True)
    return hashlib.blake2b(f"{model.hash}{card}".encode(), digest_size=16).hexdigest()


def begin_run(folder: Path, plain: Plain, started: Started) -> None:
    """Make the folder of a run, or find the same run there. Raises CannotWrite if it holds another."""
    shown, path = printable(str(folder), 200), folder / RECIPE
    started = replace(started, seal=sign_words(plain["out"], started.folder))
    recipe = format_recipe({**plain, "started": asdict(started)})
    if path.exists():
        _check_same(reopen_run(folder)[0], tomllib.loads(recipe), shown)
        for scratch in (*folder.glob(".composer-*"), *folder.glob("*/.composer-*")):
            scratch.unlink(missing_ok=True)  # left by a killed run
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{shown}: cannot be made ({error.strerror}).") from error
    with write_whole_file(path) as scratch:
        scratch.write_text(recipe, encoding="utf-8")


def reopen_run(folder: Path) -> tuple[Plain, Started]:
    """Read the recipe of the run in a folder, and how it was started. Raises BadRecipe if there is none."""
    shown = printable(str(folder))
    if not is_file(join_inside(folder, RECIPE)):
        raise BadRecipe(f"{shown}: contains no run: it has no {RECIPE}.")
    plain = read_recipe(folder / RECIPE)
    try:
        started = Started(**plain["started"])
        _ = plain["out"]
        if not all(isinstance(value, str) for value in asdict(started).values()):
            raise TypeError
    except (KeyError, TypeError):
        raise BadRecipe(f"{shown}: its {RECIPE} does not say how the run was started.") from None
    if "dataset" not in plain:
        raise BadRecipe(f"{shown}: its {RECIPE} names no dataset.")
    return plain, started


def check_out(folder: Path, plain: Plain, started: Started) -> None:
    """Raise BadOption if the model would be written outside a run that this user has not begun."""
    out = Path(started.folder) / expand_home(plain["out"])
    if is_ours(started.seal, plain["out"], started.folder) or out.resolve().is_relative_to(folder.resolve()):
        return
    raise BadOption(
        f"{printable(str(folder))}: was begun by somebody else, or elsewhere, and would write {printable(str(out))}; "
        "say with --out where the model is to go."
    )


def _check_same(there: Plain, here: Plain, shown: str) -> None:
    """Raise CannotWrite if the folder holds another run. The typed command may differ."""
    for name, what in (("music", "the music, or the version of composer,"), ("beginning", "the model to begin from")):
        if there["started"].get(name) != here["started"][name]:
            raise CannotWrite(
                f"{shown}: {what} has changed since this run was begun; bring it back, or begin a new run elsewhere."
            )
    keys = {*there, *here} - {"run", "out", "started", "callbacks"}
    if others := sorted(key for key in keys if there.get(key) != here.get(key)):
        raise CannotWrite(f"{shown}: holds a run with other {' and '.join(others)}; name another folder, or delete it.")


def record_metrics(folder: Path) -> Record:
    """Return a function that writes a line into `metrics.jsonl` after each validation, with the callbacks' figures."""
    path = folder / METRICS

    def write_line(progress: Progress, figures: Mapping[str, Any]) -> None:
        fields = ("step", "epoch", "train", "valid", "best", "seconds", "tokens_per_second")
        values = {name: getattr(progress, name) for name in fields}
        values["train_unit"] = f"{progress.unit} per note"
        line = json.dumps({**values, **figures, **values})
        try:
            there = read_bytes(path, LARGEST, CannotWrite) if path.exists() else b""
            lines = there.decode("utf-8", "replace").splitlines()
            # Lines from this step on are left by a run that was killed before its checkpoint.
            kept = [line for line in lines if _step(line) < progress.step]
            if len(kept) < len(lines):
                with write_whole_file(path) as scratch:
                    scratch.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            with open_inside(path, "append") as file:
                file.write(f"{line}\n".encode())
        except OSError as error:
            raise CannotWrite(f"{printable(str(path))}: cannot be written ({error.strerror}).") from error

    return write_line


def _step(line: str) -> float:
    """Read the step of a line. A torn line, which a power cut may leave, comes after all others."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf
