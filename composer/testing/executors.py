"""The contract of an executor: an outcome for each argument, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator

from composer.testing.rules import require
from composer.types import Executor

LIMIT = 120.0
"""Seconds that any argument may take."""


def check_executor(executor: Executor) -> None:
    """Check that every argument has one outcome, through all stages in turn, and that faults stay apart."""
    found = list(executor((_take_half, _add_one), iter(range(8)), LIMIT))
    arguments = sorted(outcome.argument for outcome in found)
    require(arguments == list(range(8)), f"each argument has one outcome; of 0 to 7 there are {arguments}")
    for outcome in found:
        if outcome.argument % 2:
            require("ValueError" in outcome.fault, f"the fault states the error of a stage, not '{outcome.fault}'")
            require(outcome.value is None, "where there is a fault, there is no value")
        else:
            wanted = outcome.argument // 2 + 1
            require(not outcome.fault, f"one argument's fault is not another's: '{outcome.fault}'")
            require(outcome.value == wanted, f"stages follow each other: {wanted} is due, {outcome.value} came")
    require(not list(executor((_add_one,), iter(()), LIMIT)), "without arguments there are no outcomes")
    _check_end(executor)
    again = [outcome.value for outcome in executor((_add_one,), iter([1]), LIMIT)]
    require(again == [2], "an executor can be called again")


def _check_end(executor: Executor) -> None:
    """Check that the iterator can be closed early."""
    taken: list[int] = []

    def count_up() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    outcomes = executor((_add_one,), count_up(), LIMIT)
    next(outcomes)
    require(len(taken) < 10_000, "arguments are taken as workers become free, not all at the beginning")
    close = getattr(outcomes, "close", None)
    require(callable(close), "the iterator can be closed, which ends the workers")
    if close is not None:
        close()


def _take_half(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def _add_one(number: int) -> int:
    return number + 1
