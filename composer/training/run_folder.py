"""The folder of a run: what was asked for, how it goes, how it sounds; it knows no loop.

recipe.toml               every choice, and where and by what line the run was started
metrics.jsonl             a line a validation
written.json              the models that the run has written to its file, by their digests
samples/step-000500.mid   what the model writes after each validation
step-000500.checkpoint    the last two (composer.training.checkpoints)
tensorboard/              the same as in metrics.jsonl, if it is asked for
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.errors import BadModelFile, BadOption, BadRecipe, CannotWrite, ComposerError, RunWarning, printable
from composer.generation.generator import Player, generate
from composer.io.formats import write
from composer.model import Model, load
from composer.storage.atomic import whole_file
from composer.storage.inside import inside, open_inside
from composer.storage.opening import read_bytes
from composer.storage.paths import from_home, is_file
from composer.storage.seals import is_ours, seal
from composer.training.loop import Progress, Report, Weights
from composer.training.recipe_file import read, text
from composer.training.recipes import Plain
from composer.types import Piece

if TYPE_CHECKING:
    from composer.originality.index import Music

RECIPE, WRITTEN, METRICS, SAMPLES, BOARD = "recipe.toml", "written.json", "metrics.jsonl", "samples", "tensorboard"

OURS = (RECIPE, WRITTEN, METRICS, SAMPLES, BOARD)
"""What stands in the folder beside checkpoints."""

LARGEST = 2**26
"""Bytes of what is written there a line at a time."""

SAMPLE_BARS = 8

COMPARED = 8
"""Pieces of so many bars that are drawn at each validation to say what they copy."""

Measure = Callable[[Progress], Mapping[str, Any]]
"""More figures of a validation, by name, for its line in `metrics.jsonl`."""


@dataclass(frozen=True)
class Started:
    """How a run was started; with its recipe, all that is needed to go on with it from anywhere."""

    folder: str  # relative paths of the recipe are from there
    command: str
    music: str  # the corpus by its content
    beginning: str = ""  # the model that it began from by its hash, if from any
    seal: str = ""  # by which the user's own words on where the model goes are known


def check(folder: Path) -> None:
    """Raise CannotWrite for what is no folder, and for one without a run in which files of a run would be lost."""
    shown = printable(str(folder), 200)
    if folder.exists() and not folder.is_dir():
        raise CannotWrite(f"{shown}: is a file; a run needs a folder.")
    for name in OURS:
        inside(folder, name)
    if (folder / RECIPE).exists():
        return
    ours = (METRICS, WRITTEN, f"{SAMPLES}/*", f"{BOARD}/*", "step-*.checkpoint")
    if found := next((path for pattern in ours for path in folder.glob(pattern)), None):
        other = printable(found.relative_to(folder).as_posix())
        raise CannotWrite(f"{shown}: holds '{other}', and no {RECIPE} of a run to go on with; name another folder.")


def note(folder: Path, model: Model) -> None:
    """Note a model before the run in a folder writes it to its file, which it may then replace. Raises CannotWrite."""
    with whole_file(folder / WRITTEN) as scratch:
        scratch.write_text(json.dumps([*_written(folder), _digest(model)]) + "\n", encoding="utf-8")


def has_written(folder: Path, out: Path) -> bool:
    """Whether a file is a model as the run in a folder has written it."""
    try:
        return (folder / WRITTEN).is_file() and out.is_file() and _digest(load(out)) in _written(folder)
    except BadModelFile:
        return False


def _written(folder: Path) -> list[str]:
    try:
        return list(map(str, json.loads(read_bytes(folder / WRITTEN, LARGEST, BadRecipe))))
    except (BadRecipe, ValueError, TypeError, RecursionError):
        return []


def _digest(model: Model) -> str:
    """Of all that a model file holds, its card too."""
    card = json.dumps(json.loads(json.dumps(model.card)), sort_keys=True)
    return hashlib.blake2b(f"{model.hash}{card}".encode(), digest_size=16).hexdigest()


def begin(folder: Path, plain: Plain, started: Started) -> None:
    """Make the folder of a run, or find the same run there. Raises CannotWrite if it holds another."""
    shown, path = printable(str(folder), 200), folder / RECIPE
    started = replace(started, seal=seal(plain["out"], started.folder))
    recipe = text({**plain, "started": asdict(started)})
    if path.exists():
        _check_same(reopen(folder)[0], tomllib.loads(recipe), shown)
        for scratch in (*folder.glob(".composer-*"), *folder.glob(f"{SAMPLES}/.composer-*")):
            scratch.unlink(missing_ok=True)  # what was being written when the run was killed
        return
    try:
        (folder / SAMPLES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{shown}: cannot be made ({error.strerror}).") from error
    with whole_file(path) as scratch:
        scratch.write_text(recipe, encoding="utf-8")


def reopen(folder: Path) -> tuple[Plain, Started]:
    """The recipe of the run in a folder, and how it was started. Raises BadRecipe if there is none."""
    shown = printable(str(folder))
    if not is_file(inside(folder, RECIPE)):
        raise BadRecipe(f"{shown}: contains no run: it has no {RECIPE}.")
    plain = read(folder / RECIPE)
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
    """Raise BadOption where the model would be written outside a run that this user has not begun."""
    out = Path(started.folder) / from_home(plain["out"])
    if is_ours(started.seal, plain["out"], started.folder) or out.resolve().is_relative_to(folder.resolve()):
        return
    raise BadOption(
        f"{printable(str(folder))}: was begun by somebody else, or elsewhere, and would write {printable(str(out))}; "
        "say with --out where the model is to go."
    )


def _check_same(there: Plain, here: Plain, shown: str) -> None:
    """Raise CannotWrite if the run in a folder is not this one. The line that was typed may differ."""
    for name, what in (("music", "the music, or the version of composer,"), ("beginning", "the model to begin from")):
        if there["started"].get(name) != here["started"][name]:
            raise CannotWrite(
                f"{shown}: {what} has changed since this run was begun; bring it back, or begin a new run elsewhere."
            )
    keys = {*there, *here} - {"run", "out", "started"}
    if others := sorted(key for key in keys if there.get(key) != here.get(key)):
        raise CannotWrite(f"{shown}: holds a run with other {' and '.join(others)}; name another folder, or delete it.")


def metrics(folder: Path, more: Sequence[Measure] = ()) -> Report:
    """Write a line into `metrics.jsonl` after each validation, with the figures of `more` at its end."""
    path = folder / METRICS

    def note(progress: Progress) -> None:
        if progress.valid is None:
            return
        fields = ("step", "epoch", "train", "valid", "best", "seconds", "tokens_per_second")
        values = {name: getattr(progress, name) for name in fields}
        line = json.dumps(values | {name: value for measure in more for name, value in measure(progress).items()})
        try:
            there = read_bytes(path, LARGEST, CannotWrite) if path.exists() else b""
            lines = there.decode("utf-8", "replace").splitlines()
            # A line of this step or a later one is of a run that was killed before its checkpoint.
            kept = [line for line in lines if _step(line) < progress.step]
            if len(kept) < len(lines):
                with whole_file(path) as scratch:
                    scratch.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            with open_inside(path, "append") as file:
                file.write(f"{line}\n".encode())
        except OSError as error:
            raise CannotWrite(f"{printable(str(path))}: cannot be written ({error.strerror}).") from error

    return note


def _step(line: str) -> float:
    """The step of a line; a torn one, which a power cut may leave, comes after all."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf


def scalars(folder: Path) -> Report:
    """Write what TensorBoard shows into `tensorboard/`. Raises BadOption if it is not installed."""
    if find_spec("tensorboard") is None:
        raise BadOption("TensorBoard is not installed; install it with `pip install tensorboard`.")
    writers: list[Any] = []

    def show(progress: Progress) -> None:
        if progress.valid is None:
            return
        if not writers:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed run wrote of this step or later ones is not shown.
            writers.append(SummaryWriter(str(folder / BOARD), purge_step=progress.step))
        for name in ("train", "valid", "best", "tokens_per_second"):
            writers[0].add_scalar(name, getattr(progress, name), progress.step)
        writers[0].flush()

    return show


def samples(folder: Path, model: Callable[[Weights], Model], seed: int) -> Report:
    """Write a few bars after each validation. If none can be written, that is said, and the run goes on."""

    def sing(progress: Progress) -> None:
        if progress.weights is None:
            return
        try:
            _sing(model(progress.weights), seed, folder / SAMPLES / f"step-{progress.step:06d}.mid")
        except Exception as error:  # plugins made the model, write with it and export it
            what = str(error) if isinstance(error, ComposerError) else f"{type(error).__name__}: {error}."
            warnings.warn(f"no sample could be written: {printable(what, 200)}", RunWarning, stacklevel=2)

    return sing


def copying(model: Callable[[Weights], Model], music: Music, seed: int) -> Measure:
    """What pieces that are drawn after a validation share with music: `copied_share`, `longest` and `novelty`.

    See `composer.originality`. If none can be drawn, that is said, and the run goes on.
    """
    from composer.originality.passages import compare, pooled

    def measure(progress: Progress) -> Mapping[str, Any]:
        if progress.weights is None:
            return {}
        try:
            pieces = _drawn(Player(model(progress.weights)), seed, COMPARED)
            found = pooled([compare(piece.score, music) for piece in pieces]).to_json()
            return {name: found[name] for name in ("copied_share", "copied_bars", "longest", "novelty")}
        except Exception as error:  # plugins made the model, and write with it
            what = str(error) if isinstance(error, ComposerError) else f"{type(error).__name__}: {error}."
            warnings.warn(f"no copies could be counted: {printable(what, 200)}", RunWarning, stacklevel=2)
            return {}

    return measure


def _drawn(player: Player, seed: int, count: int = 1) -> list[Piece]:
    """Pieces as they come, loops and all: one hears what the model has learnt."""
    import torch

    asked = [replace(player.suggested, seed=seed, index=index, bars=SAMPLE_BARS) for index in range(count)]
    with torch.random.fork_rng(devices=[]):  # the run's random numbers are its own
        return generate(player, asked, redraws=0)


def _sing(model: Model, seed: int, path: Path) -> None:
    pieces = _drawn(Player(model, path.stem), seed)
    path.parent.mkdir(exist_ok=True)
    write(pieces, path)
