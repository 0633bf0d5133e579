"""Checkpoints: a training run on disk, resumed exactly.

A folder holds the last two. Each is one safetensors file: the weights, their average, its best version, the optimiser's
tensors and the random states. Its header holds the position of the run. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.errors import BadModelFile, CannotWrite, RunWarning, printable
from composer.storage.atomic import write_whole_file
from composer.storage.opening import check_regular
from composer.training.optimising import OptimiserState, check_state, read_state, restore_state
from composer.training.state import Point, Run

if TYPE_CHECKING:
    import torch

MOST = 2**53
"""Counts and figures are less than this."""

KEPT = 2
"""Checkpoints in a folder: should the newest be damaged, the one before it is left."""


def list_newest_first(folder: Path) -> list[Path]:
    """List the checkpoints in a folder, the newest first."""
    paths = [path for path in folder.glob("step-*.checkpoint") if re.fullmatch(r"[0-9]{1,18}", path.stem[5:])]
    return sorted(paths, key=lambda path: int(path.stem[5:]), reverse=True)


def save(run: Run, folder: Path, device: torch.device) -> None:
    """Write the run to `folder`, whole or not at all. Raises CannotWrite; earlier checkpoints stay as they are then."""
    import torch
    from safetensors.torch import save as in_bytes

    found = {f"weights.{name}": tensor for name, tensor in run.module.state_dict().items()}
    found |= {f"average.{name}": tensor for name, tensor in run.average.state_dict().items()}
    found |= {f"best.{name}": torch.from_numpy(array) for name, array in (run.best or {}).items()}
    optimiser = read_state(run.optimiser)
    found |= {f"optimiser.{name}": tensor for name, tensor in optimiser.tensors.items()}
    found["since.nats"] = torch.as_tensor(run.nats)
    found["random.cpu"] = torch.get_rng_state()
    if device.type == "cuda":
        found["random.cuda"] = torch.cuda.get_rng_state(device)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in found.items()}
    position = {
        "batch": run.batch,
        "step": run.step,
        "tokens": run.tokens,
        "seconds": run.seconds,
        "history": [asdict(point) for point in run.history],
        "about": run.about,
        "optimiser": {"plain": optimiser.plain, "groups": optimiser.groups},
    }
    header = json.dumps(position)
    content = in_bytes(tensors, {"run": header, "digest": _hash_tensors(header, tensors)})
    try:
        with write_whole_file(folder / f"step-{run.step:06d}.checkpoint") as scratch, scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
    except CannotWrite as error:
        before = list_newest_first(folder)
        rest = (
            f"{before[0].name} is whole: make room, and go on with --resume." if before else "There is none before it."
        )
        raise CannotWrite(f"{error} {rest}") from error
    for old in list_newest_first(folder)[KEPT:]:
        with contextlib.suppress(OSError):
            old.unlink()


def load(run: Run, folder: Path, device: torch.device) -> None:
    """Restore `run` from the newest intact checkpoint in `folder`; without one it stays at its beginning.

    Raises BadModelFile if all are damaged, or if they belong to another run.
    """
    damaged: list[BadModelFile] = []
    for path in list_newest_first(folder):
        try:
            position, tensors = _read(path)
        except BadModelFile as error:
            damaged.append(error)
            continue
        about = position["about"]
        if others := [name for name in {*run.about, *about} if run.about.get(name) != about.get(name)]:
            shown, what = printable(str(path)), printable(" and ".join(sorted(others)), 160)
            raise BadModelFile(f"{shown}: was begun with other {what}; delete it to start anew.")
        try:
            _check(run, position, tensors)
        except ValueError as error:
            damaged.append(BadModelFile(f"{path.name}: is not of this run ({printable(str(error), 160)})."))
            continue
        if damaged:
            warnings.warn(f"{damaged[0]} The one before it, {path.name}, is taken.", RunWarning, stacklevel=2)
        _restore(run, position, tensors, device)
        return
    if damaged:
        raise BadModelFile(f"{damaged[0]} Delete it to start anew.")


def _read(path: Path) -> tuple[Mapping[str, Any], Mapping[str, torch.Tensor]]:
    """Read the position of the run, and its tensors. Raises BadModelFile unless the content matches its digest."""
    from safetensors import SafetensorError, safe_open

    check_regular(path, BadModelFile)
    try:
        with safe_open(path, framework="pt") as file:
            header, digest = (file.metadata()[name] for name in ("run", "digest"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        if digest != _hash_tensors(header, tensors):
            raise ValueError("its digest does not match its content")
        position = json.loads(header)
        if not isinstance(position["about"], dict):
            raise ValueError("it does not describe its run")
        return position, tensors
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
        raise BadModelFile(f"{path.name}: is damaged ({printable(str(error), 120)}).") from error


def _check(run: Run, position: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise ValueError for a checkpoint that no run like this can have saved. Its folder may come from anybody."""
    _check_position(run, position, has_best=bool(_select_prefix(tensors, "best")))
    state = run.module.state_dict()
    for part in ("weights", "average", *(["best"] if _select_prefix(tensors, "best") else [])):
        _check_tensors(part, _select_prefix(tensors, part), state)
    check_state(_read_optimiser(position, tensors), run.build_optimiser, run.module)
    for name, there in (("since.nats", ()), ("random.cpu", tuple(_get_random_state().shape))):
        if name not in tensors or tuple(tensors[name].shape) != there:
            raise ValueError(f"'{name}' has another shape")


def _check_position(run: Run, position: Mapping[str, Any], *, has_best: bool) -> None:
    counts, figures, history = ("batch", "step"), ("tokens", "seconds"), position.get("history")
    if not all(type(position.get(name)) is int and 0 <= position[name] < MOST for name in counts):
        raise ValueError("its step counts are invalid")
    if not all(_is_figure(position.get(name)) for name in figures) or not isinstance(history, list):
        raise ValueError("its figures are invalid")
    names = {field.name for field in fields(Point)}
    for point in history:
        if not isinstance(point, dict) or set(point) != names or not all(map(_is_figure, point.values())):
            raise ValueError("it holds an invalid validation")
    ended = position["step"] >= run.about["settings"]["steps"]
    if has_best != bool(history) or (ended and not history):
        raise ValueError("it has no weights of its validations")


def _check_tensors(part: str, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    for name in sorted({*found, *wanted}):
        there, here = found.get(name), wanted.get(name)
        if there is None or here is None or there.shape != here.shape or there.dtype != here.dtype:
            raise ValueError(f"'{part}.{name}' is another array than the architecture's")


def _read_optimiser(position: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> OptimiserState:
    """Read the optimiser's state. Raises ValueError for values that are no tables."""
    about = position.get("optimiser")
    plain, groups = (about.get("plain"), about.get("groups")) if isinstance(about, dict) else (None, None)
    if not (isinstance(plain, dict) and isinstance(groups, list) and all(isinstance(one, dict) for one in groups)):
        raise ValueError("it does not describe its optimiser")
    return OptimiserState(_select_prefix(tensors, "optimiser"), plain, groups)


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MOST


def _get_random_state() -> torch.Tensor:
    import torch

    return torch.get_rng_state()


def _hash_tensors(header: str, tensors: Mapping[str, torch.Tensor]) -> str:
    import torch

    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _restore(run: Run, position: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], device: torch.device) -> None:
    import torch

    run.module.load_state_dict(_select_prefix(tensors, "weights"))
    run.average.load_state_dict(_select_prefix(tensors, "average"))
    restore_state(run.optimiser, _read_optimiser(position, tensors))
    run.batch, run.step, run.seconds = position["batch"], position["step"], position["seconds"]
    run.nats, run.tokens = tensors["since.nats"].to(device), position["tokens"]
    run.history = [Point(**point) for point in position["history"]]
    run.best = {name: tensor.numpy() for name, tensor in _select_prefix(tensors, "best").items()} or None
    try:
        torch.set_rng_state(tensors["random.cpu"])
        if device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
    except (RuntimeError, TypeError) as error:
        raise BadModelFile(f"a checkpoint holds invalid random states ({printable(str(error), 120)}).") from None


def _select_prefix(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.partition(".")[2]: t for name, t in tensors.items() if name.partition(".")[0] == prefix}
