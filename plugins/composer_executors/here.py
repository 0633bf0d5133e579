"""The executor `here`: the first stage runs in this process, the others beside it."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from time import monotonic
from typing import Annotated, Any

from composer.types import Outcome

AFTER = 2.0
"""Seconds of work after which a second process pays off."""


@dataclass(frozen=True)
class Here:
    """The calling process. Work that hangs is not stopped, and work that kills the process ends the run."""

    beside: Annotated[int, "processes for the stages after the first; 0: none"] = 1

    def __call__(
        self, stages: Sequence[Callable[[Any], Any]], arguments: Iterable[Any], limit: float
    ) -> Iterator[Outcome]:
        """Yield results in order. While an argument is in the first stage, the one before may be in a later one."""
        first, *others = stages
        began, pool = monotonic(), None
        ahead: deque[tuple[Any, Future[Any]]] = deque()
        with ExitStack() as stack:
            for argument in arguments:
                value, fault = try_work(partial(first, argument))
                if pool is None and self.beside and others and monotonic() - began >= AFTER:
                    pool = ProcessPoolExecutor(self.beside, get_context("spawn"), initializer=follow_parent)
                    stack.callback(pool.shutdown, cancel_futures=True)
                if fault or pool is None:
                    value, fault = (value, fault) if fault else try_work(partial(run_stages, others, value))
                    yield Outcome(argument, value, fault)
                    continue
                try:
                    ahead.append((argument, pool.submit(run_stages, others, value)))
                except BrokenProcessPool:  # a later stage killed it; the next argument starts another
                    pool = None
                    yield Outcome(argument, fault="the process beside this one ended")
                while len(ahead) > self.beside or (ahead and ahead[0][1].done()):
                    yield _make_outcome(*ahead.popleft())
            while ahead:
                yield _make_outcome(*ahead.popleft())


def follow_parent() -> None:
    """Leave signals to the parent process, and end with it: nobody else waits for the results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def run_stages(stages: Sequence[Callable[[Any], Any]], value: Any) -> Any:
    """Run the stages in turn, each on the result of the one before."""
    for stage in stages:
        value = stage(value)
    return value


def try_work(work: Callable[[], Any]) -> tuple[Any, str]:
    """Run work, and return its result and an empty text, or None and a description of the error."""
    try:
        return work(), ""
    except Exception as error:  # work may raise anything
        return None, describe(error)


def describe(error: BaseException) -> str:
    """Describe an error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _make_outcome(argument: Any, future: Future[Any]) -> Outcome:
    value, fault = try_work(future.result)
    return Outcome(argument, value, fault)
