"""Checkpoints: a training run on disk, from which it goes on exactly; it knows no data and no loop.

A folder holds the last two. Each is one safetensors file: the weights, their average, the best of it, the optimiser's
tensors, the random states; its header says where the run was. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.errors import BadModelFile, CannotWrite, RunWarning, printable
from composer.files import whole_file
from composer.opening import check_regular

if TYPE_CHECKING:
    import torch

    from composer.training import Run

KEPT = 2
"""Checkpoints that are kept: should the newest be damaged, there is the one before."""


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a folder."""
    paths = [path for path in folder.glob("step-*.checkpoint") if path.stem[5:].isdecimal()]
    return sorted(paths, key=lambda path: int(path.stem[5:]), reverse=True)


def save(run: Run, folder: Path, device: torch.device) -> None:
    """Write the run to `folder`, whole or not at all. Raises CannotWrite; the checkpoints before are untouched then."""
    import torch
    from safetensors.torch import save as in_bytes

    found = {f"weights.{name}": tensor for name, tensor in run.module.state_dict().items()}
    found |= {f"average.{name}": tensor for name, tensor in run.average.state_dict().items()}
    found |= {f"best.{name}": torch.from_numpy(array) for name, array in (run.best or {}).items()}
    for number, state in run.optimiser.state_dict()["state"].items():
        found |= {f"optimiser.{number}.{name}": tensor for name, tensor in state.items()}
    found["since.nats"] = torch.as_tensor(run.nats)
    found["random.cpu"] = torch.get_rng_state()
    if device.type == "cuda":
        found["random.cuda"] = torch.cuda.get_rng_state(device)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in found.items()}
    place = {
        "batch": run.batch,
        "step": run.step,
        "tokens": run.tokens,
        "seconds": run.seconds,
        "history": [asdict(point) for point in run.history],
        "about": run.about,
    }
    header = json.dumps(place)
    content = in_bytes(tensors, {"run": header, "digest": _digest(header, tensors)})
    try:
        with whole_file(folder / f"step-{run.step:06d}.checkpoint") as scratch, scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
    except CannotWrite as error:
        before = newest_first(folder)
        rest = (
            f"{before[0].name} is whole: make room, and go on with --resume." if before else "There is none before it."
        )
        raise CannotWrite(f"{error} {rest}") from error
    for old in newest_first(folder)[KEPT:]:
        with contextlib.suppress(OSError):
            old.unlink()


def load(run: Run, folder: Path, device: torch.device) -> None:
    """Put `run` where the newest checkpoint in `folder` that is whole left it; without one it stays at its beginning.

    Raises BadModelFile if all are damaged, or if it was another run.
    """
    damaged: list[BadModelFile] = []
    for path in newest_first(folder):
        try:
            place, tensors = _read(path)
        except BadModelFile as error:
            damaged.append(error)
            continue
        if others := [
            name for name in {*run.about, *place["about"]} if run.about.get(name) != place["about"].get(name)
        ]:
            shown = printable(str(path))
            raise BadModelFile(
                f"{shown}: was begun with other {' and '.join(sorted(others))}; delete it to start anew."
            )
        if damaged:
            warnings.warn(f"{damaged[0]} The one before it, {path.name}, is taken.", RunWarning, stacklevel=2)
        _restore(run, place, tensors, device)
        return
    if damaged:
        raise BadModelFile(f"{damaged[0]} Delete it to start anew.")


def _read(path: Path) -> tuple[Mapping[str, Any], Mapping[str, torch.Tensor]]:
    """Where the run was, and its tensors. Raises BadModelFile for anything but what was written."""
    from safetensors import SafetensorError, safe_open

    check_regular(path, BadModelFile)
    try:
        with safe_open(path, framework="pt") as file:
            header, digest = (file.metadata()[name] for name in ("run", "digest"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        if digest != _digest(header, tensors):
            raise ValueError("its content is not what was written")
        return json.loads(header), tensors
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise BadModelFile(f"{path.name}: is damaged ({printable(str(error), 120)}).") from error


def _digest(header: str, tensors: Mapping[str, torch.Tensor]) -> str:
    import torch

    digest = hashlib.blake2b(header.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _restore(run: Run, place: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], device: torch.device) -> None:
    import torch

    from composer.training import Point

    run.module.load_state_dict(_under(tensors, "weights"))
    run.average.load_state_dict(_under(tensors, "average"))
    _restore_optimiser(run.optimiser, _under(tensors, "optimiser"))
    run.batch, run.step, run.seconds = place["batch"], place["step"], place["seconds"]
    run.nats, run.tokens = tensors["since.nats"].to(device), place["tokens"]
    run.history = [Point(**point) for point in place["history"]]
    run.best = {name: tensor.numpy() for name, tensor in _under(tensors, "best").items()} or None
    torch.set_rng_state(tensors["random.cpu"])
    if device.type == "cuda" and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"], device)


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.partition(".")[2]: t for name, t in tensors.items() if name.partition(".")[0] == prefix}


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition(".")
        state.setdefault(int(number), {})[what] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
