"""Schedules of the learning rate. All rise in a straight line first, in a share of all steps called the warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

Warmup = Annotated[float, "share of all steps in which the rate rises"]
Floor = Annotated[float, "the last rate, as a share of the highest"]


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1")


def _rise_and_fall(step: int, steps: int, highest: float, warmup: float, fall: Callable[[float], float]) -> float:
    """Compute a rate: rising in the warm-up, then `fall` of the share of the steps since, times the highest."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return highest * (step + 1) / rising
    return highest * fall(min(1.0, (step - rising) / max(1, steps - rising)))


@dataclass(frozen=True)
class Cosine:
    """Fall along half a cosine, from the highest rate to the last one (Loshchilov and Hutter 2017)."""

    warmup: Warmup = 0.03
    floor: Floor = 0.01

    def __post_init__(self) -> None:
        """Raise ValueError for shares out of range."""
        _check_shares(warmup=self.warmup, floor=self.floor)

    def compute_rate(self, step: int, steps: int, highest: float) -> float:
        """Compute the rate of a step."""

        def fall(part: float) -> float:
            return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * part))

        return _rise_and_fall(step, steps, highest, self.warmup, fall)


@dataclass(frozen=True)
class Constant:
    """Stay at the highest rate."""

    warmup: Warmup = 0.03

    def __post_init__(self) -> None:
        """Raise ValueError for a share out of range."""
        _check_shares(warmup=self.warmup)

    def compute_rate(self, step: int, steps: int, highest: float) -> float:
        """Compute the rate of a step."""
        return _rise_and_fall(step, steps, highest, self.warmup, lambda _: 1.0)


@dataclass(frozen=True)
class Linear:
    """Fall in a straight line, from the highest rate to the last one."""

    warmup: Warmup = 0.03
    floor: Floor = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for shares out of range."""
        _check_shares(warmup=self.warmup, floor=self.floor)

    def compute_rate(self, step: int, steps: int, highest: float) -> float:
        """Compute the rate of a step."""
        return _rise_and_fall(step, steps, highest, self.warmup, lambda part: 1 - (1 - self.floor) * part)


@dataclass(frozen=True)
class Wsd:
    """Stay at the highest rate, and fall in a straight line at the end: warm-up, stable, decay (Hu et al. 2024)."""

    warmup: Warmup = 0.03
    decay: Annotated[float, "share of all steps in which the rate falls"] = 0.2
    floor: Floor = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError for shares out of range."""
        _check_shares(warmup=self.warmup, decay=self.decay, floor=self.floor)
        if self.warmup + self.decay > 1:
            raise ValueError("warmup and decay must be 1 together at most")

    def compute_rate(self, step: int, steps: int, highest: float) -> float:
        """Compute the rate of a step."""
        falling = max(1, round(self.decay * steps))
        part = min(1.0, max(0.0, (step - (steps - falling)) / falling))
        return _rise_and_fall(step, steps, highest, self.warmup, lambda _: 1 - (1 - self.floor) * part)
