"""The contracts of objectives, optimisers and schedules find what is broken, and say which rule."""

import math
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from composer.testing import BrokenRule, check_objective, check_optimiser, check_schedule


def nats(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


@dataclass(frozen=True)
class Mistaken:
    """An objective with a fault."""

    fault: str = "none"
    unit: ClassVar[str] = "nats"
    calls: ClassVar[list[int]] = []

    def __call__(self, logits, targets):
        faulty = {
            "sum": lambda: nats(logits, targets).sum(),
            "cut": lambda: nats(logits.detach(), targets),
            "infinite": lambda: -functional.softmax(logits, -1).gather(1, targets[:, None])[:, 0].log(),
            "company": lambda: nats(logits, targets) / nats(logits, targets).mean().detach(),
            "state": lambda: nats(logits, targets) * (1 + 0.1 * self.count()),
            "chance": lambda: nats(logits, targets) * torch.rand(len(targets)),
            "left out": lambda: torch.where(targets == 3, 0.0, nats(logits, targets)),
            "upside down": lambda: -nats(logits, targets),
            "in place": lambda: nats(logits.data.mul_(0.5) * 0 + logits, targets),
        }
        return faulty[self.fault]() if self.fault in faulty else nats(logits, targets)

    def count(self):
        self.calls.append(1)
        return len(self.calls)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("sum", "the losses of an objective are (N,), not ()"),
        ("cut", "the losses of an objective have a gradient"),
        ("infinite", "the losses of an objective are finite"),
        ("company", "the loss of a position depends on that position alone"),
        ("state", "an objective has no state and no chance in it"),
        ("chance", "an objective has no state and no chance in it"),
        ("left out", "at equal chances, every position makes its target likelier"),
        ("upside down", "at equal chances, every position makes its target likelier"),
        ("in place", "the arguments of an objective are unchanged"),
    ],
)
def test_an_objective_with_a_fault(fault, rule):
    check_objective(Mistaken())
    with pytest.raises(BrokenRule) as broken:
        check_objective(Mistaken(fault))
    assert str(broken.value).startswith(rule)


def test_an_objective_says_what_it_counts():
    with pytest.raises(BrokenRule, match="an objective's `unit` says what its loss is counted in"):
        check_objective(type("Nameless", (Mistaken,), {"unit": ""})())


class Steps(torch.optim.Optimizer):
    """Momentum by hand, with a fault."""

    def __init__(self, groups, rate, fault):
        super().__init__(groups, {"lr": rate})
        self.fault, self.rate, self.means, self.made = fault, rate, {}, 0
        self._step_supports_amp_scaling = fault == "blind"

    @torch.no_grad()
    def step(self, closure=None):
        self.made += 1
        for group in self.param_groups:
            rate = self.rate if self.fault == "rate" else group["lr"]
            rate = rate / math.sqrt(self.made) if self.fault == "count" else rate
            for parameter in (one for one in group["params"] if one.grad is not None):
                state = self.means.setdefault(parameter, {}) if self.fault == "hidden" else self.state[parameter]
                mean = state.setdefault("mean", torch.zeros_like(parameter))
                mean.lerp_(parameter.grad, 0.5)
                if self.fault == "unkept":
                    state["last"] = deque([1])
                if self.fault == "late" and self.made > 3:
                    state["more"] = torch.zeros(1)
                parameter.add_(mean, alpha=rate if self.fault == "uphill" else -rate)


@dataclass(frozen=True)
class Careless:
    """An optimiser with a fault."""

    fault: str = "none"

    def build(self, parameters, learning_rate):
        if self.fault == "matrices":
            parameters = [one for one in parameters if one.dim() > 1]
        return [] if self.fault == "no torch" else Steps(parameters, learning_rate, self.fault)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("no torch", "build() makes an optimiser of torch"),
        ("matrices", "the groups of an optimiser hold every parameter once"),
        ("uphill", "the steps of an optimiser lower a small loss"),
        ("rate", "the `lr` of a group as it is set before a step is the rate of that step"),
        ("hidden", "an optimiser goes on to the bit from a state that was saved and loaded"),
        ("count", "an optimiser goes on to the bit from a state that was saved and loaded"),
        (
            "unkept",
            "the state of an optimiser can be kept in a checkpoint, from its first step on; the optimiser keeps",
        ),
        ("late", "the state of an optimiser can be kept in a checkpoint, from its first step on; 'optimiser."),
        ("blind", "a gradient of NaN changes neither a weight nor the state of an optimiser"),
    ],
)
def test_an_optimiser_with_a_fault(fault, rule):
    with pytest.raises(BrokenRule) as broken:
        check_optimiser(Careless(fault))
    assert str(broken.value).startswith(rule)


def test_an_optimiser_without_a_fault():
    check_optimiser(Careless())


@dataclass(frozen=True)
class Odd:
    """A schedule with a fault."""

    fault: str = "none"
    asked: ClassVar[list[int]] = []

    def compute_rate(self, step, steps, highest):
        faulty = {
            "high": lambda: highest * 1.5,
            "nothing": lambda: 0.0,
            "no number": lambda: highest / step if step else math.nan,
            "text": lambda: "0.5",
            "division": lambda: highest * step / (steps - 1),
            "state": lambda: highest / self.count(),
            "fixed": lambda: min(highest, 1.0),
        }
        return faulty[self.fault]() if self.fault in faulty else highest

    def count(self):
        self.asked.append(1)
        return len(self.asked)


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("high", "a rate is from 0 to the highest; at step 0 of 1 it is 1.5"),
        ("nothing", "a schedule has a rate above 0"),
        ("no number", "a rate is from 0 to the highest; at step 0 of 1 it is nan"),
        ("text", "a rate is a number, not str"),
        ("state", "the rate of a step is the same whenever it is asked for"),
        ("fixed", "rates are in proportion to the highest"),
    ],
)
def test_a_schedule_with_a_fault(fault, rule):
    check_schedule(Odd())
    with pytest.raises(BrokenRule) as broken:
        check_schedule(Odd(fault))
    assert str(broken.value).startswith(rule)


def test_a_schedule_that_cannot_be_asked_in_a_run_of_one_step():
    with pytest.raises(ZeroDivisionError):  # which the suite reports as a broken rule
        check_schedule(Odd("division"))
