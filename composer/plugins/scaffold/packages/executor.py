"""Threads: an executor for composer."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

from composer import hookimpl
from composer.types import Offers, Outcome

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Threads of this process; a hanging job is not stopped."""

    workers: Annotated[int, "threads"] = 2

    def __call__(
        self, stages: Sequence[Callable[[Any], Any]], arguments: Iterable[Any], limit: float
    ) -> Iterator[Outcome]:
        """Yield an outcome for each argument; only as many are taken ahead as keep the threads busy."""
        ahead: deque[Future[Outcome]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            for argument in arguments:
                ahead.append(pool.submit(_outcome, stages, argument))
                if len(ahead) > self.workers:
                    yield ahead.popleft().result()
            yield from (future.result() for future in ahead)


def _outcome(stages: Sequence[Callable[[Any], Any]], argument: Any) -> Outcome:
    value = argument
    try:
        for stage in stages:
            value = stage(value)
    except Exception as error:  # a fault is that of its argument alone
        return Outcome(argument, fault=f"{type(error).__name__}: {error}")
    return Outcome(argument, value)


@hookimpl
def register_executors() -> Offers:
    """Offer it by its name."""
    return {"my-thing": MyThing}
