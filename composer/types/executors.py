"""Executors: where the jobs of a batch run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Outcome:
    """The result of one argument of an executor."""

    argument: Any
    value: Any = None
    fault: str = ""  # the reason for no value, in words: the error raised, or how its worker was lost


class Executor(Protocol):
    """A place where work runs: a frozen dataclass of options, called with functions that can be pickled.

    One that works on several arguments at once may state their number in an attribute or property `places`. It is read
    when arguments are taken; the work is divided so that all workers have some.
    """

    def __call__(
        self, stages: Sequence[Callable[[Any], Any]], arguments: Iterable[Any], limit: float
    ) -> Iterator[Outcome]:
        """Yield one outcome for each argument, in any order. Each stage is called with the result of the one before.

        Arguments are taken as workers become free, and not long before. A fault belongs to one argument alone: a stage
        raised, a worker died, or, where work can be stopped, it took more than `limit` seconds. Closing the iterator
        ends all workers. Raises BadOption where it cannot run.
        """
