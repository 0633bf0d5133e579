"""The contracts of objectives, optimisers and schedules of the learning rate."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from composer.errors import TrainingFailed
from composer.testing.backends import limit_threads
from composer.testing.rules import rebuild, require
from composer.training.optimising import OptimiserState, apply_gradient, check_state, read_state, restore_state
from composer.types import Objective, Optimiser, Schedule

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

POSITIONS, VOCABULARY = 24, 11

CLOSE = 1e-6

EXTREMES = (1.0, 5.0, 100.0)
"""Sizes of logits, from those of a new network to those of one that is sure of itself."""


# --- objectives -------------------------------------------------------------------------------------------------------


def check_objective(objective: Objective) -> None:
    """Check that losses and gradients are finite, and that each position counts, and for itself alone.

    An objective has no state and no chance in it.
    """
    import torch

    require(rebuild(objective) == objective, "options rebuilt from their fields are equal")
    unit = getattr(objective, "unit", None)
    require(isinstance(unit, str) and unit, "an objective's `unit` says what its loss is counted in, such as 'nats'")
    with torch.random.fork_rng(), limit_threads(1):
        torch.manual_seed(0)
        targets = torch.randint(0, VOCABULARY, (POSITIONS,))
        for size in EXTREMES:
            _check_losses(objective, size * torch.randn(POSITIONS, VOCABULARY), targets)
    _check_direction(objective, targets)


def _check_losses(objective: Objective, logits: Tensor, targets: Tensor) -> None:
    import torch

    before = logits.clone(), targets.clone()
    losses, gradient = _compute(objective, logits, targets)
    require(logits.equal(before[0]) and targets.equal(before[1]), "the arguments of an objective are unchanged")
    require(losses.shape == targets.shape, f"the losses of an objective are (N,), not {tuple(losses.shape)}")
    require(torch.isfinite(losses).all(), "the losses of an objective are finite")
    require(torch.isfinite(gradient).all(), "the gradient of an objective is finite")
    torch.manual_seed(1)
    require(
        _compute(objective, logits, targets)[0].equal(losses),
        "an objective has no state and no chance in it: the same logits give the same losses",
    )
    for part in (slice(0, 1), slice(3, 10), slice(POSITIONS - 1, None)):
        alone, its_gradient = _compute(objective, logits[part], targets[part])
        same = _are_close(alone, losses[part]) and _are_close(its_gradient, gradient[part])
        require(same, "the loss of a position depends on that position alone: it is the same in any company")


def _check_direction(objective: Objective, targets: Tensor) -> None:
    """Check that no position is left out, where all tokens are equally likely."""
    import torch

    _, gradient = _compute(objective, torch.zeros(len(targets), VOCABULARY), targets)
    rising = gradient.gather(1, targets[:, None])[:, 0]
    left_out = torch.flatten(torch.nonzero(rising >= 0)).tolist()
    require(
        not left_out,
        "at equal chances, every position makes its target likelier; not so the positions "
        f"{left_out[:5]}, of the tokens {targets[left_out[:5]].tolist()}",
    )


def _compute(objective: Objective, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the losses, and the gradient of their sum."""
    logits = logits.detach().requires_grad_()
    losses = objective(logits, targets)
    require(losses.requires_grad, "the losses of an objective have a gradient")
    losses.sum().backward()
    assert logits.grad is not None  # noqa: S101  (of what it depends on)
    return losses.detach(), logits.grad


def _are_close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().le(CLOSE * (1 + other.abs())).all())


# --- optimisers -------------------------------------------------------------------------------------------------------


RATES = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
"""Learning rates of which one, at least, suits an optimiser."""

STEPS, FEW = 60, 6


def check_optimiser(optimiser: Optimiser) -> None:
    """Check that steps lower a loss at the rate that is set, and that a saved state goes on to the bit.

    A gradient of NaN changes nothing. The parameters are of all shapes, and one never has a gradient.
    """
    import torch

    require(rebuild(optimiser) == optimiser, "options rebuilt from their fields are equal")
    with torch.random.fork_rng(), limit_threads(1):
        torch.manual_seed(0)
        task = _make_task()
        _check_groups(optimiser, task)
        _check_progress(optimiser, task)
        _check_rate(optimiser, task)
        _check_resumed(optimiser, task)
        _check_unsound(optimiser, task)


def _make_task() -> nn.Module:
    """Make a small module whose `forward()` is a loss."""
    import torch
    from torch import nn

    class Task(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inputs, self.outputs = torch.randn(32, 6), torch.randn(32, 3)
            self.first, self.last = nn.Linear(6, 8), nn.Parameter(0.3 * torch.randn(2, 8, 3))
            self.scale, self.unused = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.ones(4))

        def forward(self) -> Tensor:
            hidden = torch.tanh(self.first(self.inputs))
            found: Tensor = self.scale * torch.einsum("bi,kio->bo", hidden, self.last)
            return (found - self.outputs).square().mean()

    return Task()


def _build(optimiser: Optimiser, task: nn.Module, rate: float) -> torch.optim.Optimizer:
    return optimiser.build(list(task.parameters()), rate)


def _copy(task: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(task)


def _train(task: nn.Module, built: torch.optim.Optimizer, rate: float, steps: int) -> list[float]:
    """Make some steps at a rate, and return the losses before them."""
    losses = []
    for _ in range(steps):
        for group in built.param_groups:
            group["lr"] = rate
        built.zero_grad(set_to_none=True)
        loss = task()
        loss.backward()
        losses.append(float(loss.detach()))
        built.step()
    return losses


def _check_groups(optimiser: Optimiser, task: nn.Module) -> None:
    import torch

    built = _build(optimiser, task, 0.1)
    require(isinstance(built, torch.optim.Optimizer), "build() makes an optimiser of torch")
    held = sorted(id(parameter) for group in built.param_groups for parameter in group["params"])
    require(held == sorted(map(id, task.parameters())), "the groups of an optimiser hold every parameter once")


def _check_progress(optimiser: Optimiser, task: nn.Module) -> None:
    shares = {}
    for rate in RATES:
        mine = _copy(task)
        losses = _train(mine, _build(optimiser, mine, rate), rate, STEPS)
        shares[rate] = losses[-1] / losses[0]
    best = min((share for share in shares.values() if math.isfinite(share)), default=math.inf)
    told = (
        f"; after {STEPS} steps {best:.2f} of the loss is left, at the best of the rates {', '.join(map(str, RATES))}"
    )
    require(best < 0.7, f"the steps of an optimiser lower a small loss{told}")


def _check_rate(optimiser: Optimiser, task: nn.Module) -> None:
    """Check that the rate of each group, and not the one it was built with, is that of the next step."""
    moved = {}
    for rate in (0.0, 1e-3, 2e-3):
        mine = _copy(task)
        _train(mine, _build(optimiser, mine, 0.1), rate, 1)
        ends = zip(mine.parameters(), task.parameters(), strict=True)
        moved[rate] = sum(float((after - before).detach().abs().sum()) for after, before in ends)
    require(
        moved[0.0] == 0 < moved[1e-3] < moved[2e-3],
        "the `lr` of a group as it is set before a step is the rate of that step; at the rates "
        f"{', '.join(map(str, moved))} weights move by {', '.join(f'{far:.2g}' for far in moved.values())}",
    )


def _check_resumed(optimiser: Optimiser, task: nn.Module) -> None:
    """Check that an optimiser with the state of another one, through a checkpoint, makes the same steps."""
    mine = _copy(task)
    built = _build(optimiser, mine, 1e-3)
    _train(mine, built, 1e-3, FEW)
    theirs = _copy(mine)
    again = _build(optimiser, theirs, 1e-3)
    try:
        kept = _keep(built)
        check_state(kept, lambda module: _build(optimiser, module, 1e-3), task)
    except (ValueError, TrainingFailed) as error:
        require(False, f"the state of an optimiser can be kept in a checkpoint, from its first step on; {error}")
    restore_state(again, kept)
    _train(mine, built, 1e-3, FEW)
    _train(theirs, again, 1e-3, FEW)
    require(_have_same(mine, theirs), "an optimiser goes on to the bit from a state that was saved and loaded")


def _keep(built: torch.optim.Optimizer) -> OptimiserState:
    """Read the state of an optimiser as a checkpoint holds it."""
    found = read_state(built)
    plain, groups = json.loads(json.dumps([found.plain, found.groups]))
    return OptimiserState({name: tensor.clone() for name, tensor in found.tensors.items()}, plain, groups)


def _have_same(one: nn.Module, other: nn.Module) -> bool:
    return all(a.equal(b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def _check_unsound(optimiser: Optimiser, task: nn.Module) -> None:
    import torch

    mine, theirs = _copy(task), _copy(task)
    built, other = _build(optimiser, mine, 1e-3), _build(optimiser, theirs, 1e-3)
    _train(mine, built, 1e-3, FEW)
    _train(theirs, other, 1e-3, FEW)
    for parameter in mine.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    apply_gradient(built, torch.tensor(False))
    if hasattr(built, "found_inf"):
        del built.found_inf
    same = _have_same(mine, theirs)
    _train(mine, built, 1e-3, FEW)
    _train(theirs, other, 1e-3, FEW)
    require(
        same and _have_same(mine, theirs), "a gradient of NaN changes neither a weight nor the state of an optimiser"
    )


# --- schedules --------------------------------------------------------------------------------------------------------


LENGTHS = (1, 2, 7, 40, 1000)
"""Steps of runs."""


def check_schedule(schedule: Schedule) -> None:
    """Check that rates are from 0 to the highest, at every step of runs of any length, and in any order."""
    require(rebuild(schedule) == schedule, "options rebuilt from their fields are equal")
    for steps in LENGTHS:
        _check_course(schedule, steps)


def _check_course(schedule: Schedule, steps: int) -> None:
    asked = range(steps)
    rates = [schedule.compute_rate(step, steps, 1.0) for step in asked]
    for step, rate in zip(asked, rates, strict=True):
        require(isinstance(rate, float | int), f"a rate is a number, not {type(rate).__name__}")
        found = f"at step {step} of {steps} it is {rate} of the highest"
        require(math.isfinite(rate) and 0 <= rate <= 1 + 1e-9, f"a rate is from 0 to the highest; {found}")
    require(max(rates) > 0, f"a schedule has a rate above 0; not so in {steps} steps")
    again = _ask_shuffled(schedule, asked, steps)
    require(again == rates, f"the rate of a step is the same whenever it is asked for; not so in {steps} steps")
    doubled = [schedule.compute_rate(step, steps, 2.0) for step in asked]
    same = all(math.isclose(two, 2 * one, rel_tol=1e-9, abs_tol=1e-12) for one, two in zip(rates, doubled, strict=True))
    require(same, f"rates are in proportion to the highest; not so in {steps} steps")


def _ask_shuffled(schedule: Schedule, asked: Sequence[int], steps: int) -> list[float]:
    """Ask for all rates in another order, and return them in this one."""
    order = np.random.default_rng(0).permutation(len(asked)).tolist()
    found = {asked[place]: schedule.compute_rate(asked[place], steps, 1.0) for place in order}
    return [found[step] for step in asked]
