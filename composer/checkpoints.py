"""Checkpoints: a training run on disk, from which it goes on exactly; it knows no data and no loop.

One safetensors file holds the weights, their average, the best of it, the optimiser's tensors and the random states;
its header says where the run was. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer.errors import BadModelFile, printable
from composer.files import whole_file

if TYPE_CHECKING:
    import torch

    from composer.training import Run


def save(run: Run, path: Path, device: torch.device) -> None:
    """Write the run to `path`, whole or not at all."""
    import torch
    from safetensors.torch import save_file

    tensors = {f"weights.{name}": tensor.contiguous() for name, tensor in run.module.state_dict().items()}
    tensors |= {f"average.{name}": tensor.contiguous() for name, tensor in run.average.state_dict().items()}
    tensors |= {f"best.{name}": torch.from_numpy(array) for name, array in (run.best or {}).items()}
    for number, state in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in state.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    place = {
        "batch": run.batch,
        "step": run.step,
        "seconds": run.seconds,
        "history": [asdict(point) for point in run.history],
        "about": run.about,
    }
    with whole_file(path) as scratch:
        save_file({name: tensor.cpu().clone() for name, tensor in tensors.items()}, scratch, {"run": json.dumps(place)})


def load(run: Run, path: Path, device: torch.device) -> None:
    """Put `run` where the one in `path` stopped. Raises BadModelFile if it is damaged or was another run."""
    import torch
    from safetensors import SafetensorError, safe_open

    from composer.training import Point

    shown = printable(str(path))
    try:
        with safe_open(path, framework="pt") as file:
            place: dict[str, Any] = json.loads(file.metadata()["run"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        if others := [name for name, value in run.about.items() if place["about"].get(name) != value]:
            raise BadModelFile(f"{shown}: was begun with other {' and '.join(others)}; delete it to start anew.")
        run.module.load_state_dict(_under(tensors, "weights"))
        run.average.load_state_dict(_under(tensors, "average"))
        _restore(run.optimiser, _under(tensors, "optimiser"))
        run.batch, run.step, run.seconds = place["batch"], place["step"], place["seconds"]
        run.history = [Point(**point) for point in place["history"]]
        run.best = {name: tensor.numpy() for name, tensor in _under(tensors, "best").items()}
        torch.set_rng_state(tensors["random.cpu"])
        if device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], device)
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError, OSError) as error:
        raise BadModelFile(f"{shown}: is no checkpoint of this run ({printable(str(error), 120)}).") from error


def _under(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.partition(".")[2]: t for name, t in tensors.items() if name.partition(".")[0] == prefix}


def _restore(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, what = name.partition(".")
        state.setdefault(int(number), {})[what] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
