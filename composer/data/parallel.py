"""A `map` that moves to several processes if the work is long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from time import monotonic
from typing import Any, TypeAlias

from composer.errors import ComposerError

POOL_AFTER = 2.0
"""Seconds after which the rest of long work is shared; short work ends before other processes have started."""

Map: TypeAlias = Callable[..., Iterator[Any]]
"""The built-in `map`, perhaps in other processes: `(function, arguments) -> results`."""


@contextmanager
def share_work(workers: int) -> Iterator[Map]:
    """Provide a `map` that uses processes for `long` work, from the first argument after `POOL_AFTER` seconds.

    Results come in order. Only a few calls are made ahead, so that few results wait in memory. Raises ComposerError if
    the system ends one of the processes.
    """
    began, pool = monotonic(), None
    with ExitStack() as stack, _explain_broken_pool():

        def map_each(function: Callable[[Any], Any], arguments: Iterable[Any], long: bool = False) -> Iterator[Any]:
            nonlocal pool
            ahead: deque[Future[Any]] = deque()
            for argument in arguments:
                if pool is None and long and workers > 1 and monotonic() - began >= POOL_AFTER:
                    pool = ProcessPoolExecutor(workers, get_context("spawn"))
                    stack.callback(pool.shutdown, cancel_futures=True)
                if pool is None:
                    yield function(argument)
                    continue
                ahead.append(pool.submit(function, argument))
                if len(ahead) > workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

        yield map_each


@contextmanager
def _explain_broken_pool() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool:
        raise ComposerError(
            "a process that shared the work ended before it was done; where memory is short, use fewer (--workers 1)."
        ) from None
