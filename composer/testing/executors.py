"""The contract of an executor: an outcome for each argument, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator

from composer.testing.rules import rule
from composer.types import Executor

LIMIT = 120.0
"""Seconds that any argument may take."""


def check_executor(executor: Executor) -> None:
    """Check that every argument has one outcome, through all stages in turn, and that faults stay apart."""
    found = list(executor((_halved, _one_more), iter(range(8)), LIMIT))
    arguments = sorted(outcome.argument for outcome in found)
    rule(arguments == list(range(8)), f"each argument has one outcome; of 0 to 7 there are {arguments}")
    for outcome in found:
        if outcome.argument % 2:
            rule("ValueError" in outcome.fault, f"the fault states the error of a stage, not '{outcome.fault}'")
            rule(outcome.value is None, "where there is a fault, there is no value")
        else:
            wanted = outcome.argument // 2 + 1
            rule(not outcome.fault, f"one argument's fault is not another's: '{outcome.fault}'")
            rule(outcome.value == wanted, f"stages follow each other: {wanted} is due, {outcome.value} came")
    rule(not list(executor((_one_more,), iter(()), LIMIT)), "without arguments there are no outcomes")
    _check_end(executor)
    again = [outcome.value for outcome in executor((_one_more,), iter([1]), LIMIT)]
    rule(again == [2], "an executor can be called again")


def _check_end(executor: Executor) -> None:
    """Check that the iterator can be closed early."""
    taken: list[int] = []

    def arguments() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    outcomes = executor((_one_more,), arguments(), LIMIT)
    next(outcomes)
    rule(len(taken) < 10_000, "arguments are taken as workers become free, not all at the beginning")
    close = getattr(outcomes, "close", None)
    rule(callable(close), "the iterator can be closed, which ends the workers")
    if close is not None:
        close()


def _halved(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def _one_more(number: int) -> int:
    return number + 1
