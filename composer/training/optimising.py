"""The steps of any optimiser of torch, and its state as tensors and plain values."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from composer.errors import TrainingFailed, printable

if TYPE_CHECKING:
    import torch
    from torch import nn

BuildOptimiser: TypeAlias = "Callable[[nn.Module], torch.optim.Optimizer]"


def apply_gradient(optimiser: torch.optim.Optimizer, sound: torch.Tensor) -> None:
    """Make a step, unless the gradient is NaN or infinite: then `sound` is false, and neither weight nor state changes.

    A fused optimiser reads the flag on its own device, as it does for torch's GradScaler, so that no step waits for a
    GPU. For any other one the flag is read here.
    """
    if getattr(optimiser, "_step_supports_amp_scaling", False):
        optimiser.found_inf = (~sound).float()  # type: ignore[attr-defined]
        optimiser.step()
    elif sound:
        optimiser.step()


@dataclass(frozen=True)
class OptimiserState:
    """The state of an optimiser: tensors and values at `NUMBER.NAME` of a parameter, and the values of groups."""

    tensors: Mapping[str, torch.Tensor]
    plain: Mapping[str, Any]
    groups: list[dict[str, Any]]


def read_state(optimiser: torch.optim.Optimizer) -> OptimiserState:
    """Read the state of an optimiser. Raises TrainingFailed for what no checkpoint can hold."""
    import torch

    found = optimiser.state_dict()
    tensors, plain = {}, {}
    for number, state in found["state"].items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{number}.{name}"] = value
            else:
                plain[f"{number}.{name}"] = _check_plain(name, value)
    groups = [
        {name: _check_plain(name, value) for name, value in group.items() if name != "params"}
        for group in found["param_groups"]
    ]
    return OptimiserState(tensors, plain, groups)


def _check_plain(name: str, value: Any) -> Any:
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        raise TrainingFailed(
            f"the optimiser keeps a '{printable(name)}' that no checkpoint can hold ({printable(str(error), 160)})."
        ) from error
    return value


def check_state(found: OptimiserState, build: BuildOptimiser, module: nn.Module) -> None:
    """Raise ValueError for a state that no step of such an optimiser on such a module leaves."""
    wanted = read_state(_try_step(build, module))
    if [_list_types(group) for group in found.groups] != [_list_types(group) for group in wanted.groups]:
        raise ValueError("the groups of its optimiser are others")
    numbers = {name.partition(".")[0] for name in (*found.tensors, *found.plain)}
    expected = {name for name in (*wanted.tensors, *wanted.plain) if name.partition(".")[0] in numbers}
    if others := sorted(expected ^ {*found.tensors, *found.plain}):
        what = "is missing" if others[0] in expected else "is of no parameter"
        raise ValueError(f"'optimiser.{others[0]}' {what}")
    for name, tensor in found.tensors.items():
        there = wanted.tensors.get(name)
        if there is None or there.shape != tensor.shape or there.dtype != tensor.dtype:
            raise ValueError(f"'optimiser.{name}' has another shape")
    if _list_types(found.plain) != {name: kind for name, kind in _list_types(wanted.plain).items() if name in expected}:
        raise ValueError("the values of its optimiser are others")


def _try_step(build: BuildOptimiser, module: nn.Module) -> torch.optim.Optimizer:
    """Build the optimiser of a copy of a module, and make a step with a gradient of zeros."""
    import torch

    module = copy.deepcopy(module)
    optimiser = build(module)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    return optimiser


def _list_types(values: Mapping[str, Any]) -> dict[str, Any]:
    """Name the type of each value, as JSON tells them apart."""
    return {name: _name_type(value) for name, value in values.items()}


def _name_type(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return list(map(_name_type, value))
    return "number" if type(value) in (int, float) else type(value).__name__


def restore_state(optimiser: torch.optim.Optimizer, kept: OptimiserState) -> None:
    """Give an optimiser a state that was read from another, and may have been in JSON since."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*kept.tensors.items(), *kept.plain.items()]:
        number, _, what = name.partition(".")
        state.setdefault(int(number), {})[what] = value
    groups = [
        {**here, **{name: tuple(value) if isinstance(here[name], tuple) else value for name, value in there.items()}}
        for here, there in zip(optimiser.state_dict()["param_groups"], kept.groups, strict=True)
    ]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
