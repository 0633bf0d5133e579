"""The executor `pool`: processes of this machine, each with one argument at a time. Lost ones are replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic
from typing import Annotated, Any

from composer.devices import count_processors
from composer.errors import printable
from composer.types import Outcome
from composer_executors.here import follow_parent, run_stages, try_work

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that lists the GPUs a process may use."""

STARTING = 300.0
"""Seconds for a worker to start; they do not count as work."""

_NOTHING = object()

ENDING = 5.0
"""Seconds for an idle worker to end by itself."""


@dataclass(frozen=True)
class Pool:
    """Processes of this machine. One that dies, hangs or runs out of memory costs only its own work."""

    workers: Annotated[int, "processes; 0: one for each of the `gpus`, or else for each processor"] = 0
    threads: Annotated[int, "threads of each process; 0: the processors divided by the processes"] = 0
    memory: Annotated[int, "MiB for each process; 0: no limit"] = 0
    gpus: Annotated[int, "visible GPUs to use, one for each process in turn"] = 0

    def __post_init__(self) -> None:
        """Refuse negative numbers, and more GPUs than are visible."""
        if min(self.workers, self.threads, self.memory, self.gpus) < 0:
            raise ValueError("numbers of workers, threads, MiB and GPUs are 0 or more")
        if (visible := os.environ.get(VISIBLE)) is not None and self.gpus > len(_split_list(visible)):
            raise ValueError(f"{self.gpus} GPUs are more than {VISIBLE} lists ('{printable(visible)}')")

    @property
    def places(self) -> int:
        """How many arguments are worked on at once."""
        return self.workers or self.gpus or count_processors()

    def make_environment(self, slot: int) -> dict[str, str]:
        """Return the environment of a process: its share of the processors, and its one GPU."""
        found = {"OMP_NUM_THREADS": str(self.threads or max(count_processors() // self.places, 1))}
        if self.gpus:
            visible = os.environ.get(VISIBLE)
            found[VISIBLE] = str(slot % self.gpus) if visible is None else _split_list(visible)[slot % self.gpus]
        return found

    def __call__(
        self, stages: Sequence[Callable[[Any], Any]], arguments: Iterable[Any], limit: float
    ) -> Iterator[Outcome]:
        """Run all stages of an argument in one worker. Results come as they are ready."""
        waiting, count = iter(arguments), self.places
        argument = next(waiting, _NOTHING)
        crew: list[_Worker] = []
        found: list[Outcome] = []
        try:
            while True:
                while argument is not _NOTHING and (worker := self._find_worker(crew, count, stages)) is not None:
                    worker.take(argument)
                    argument = next(waiting, _NOTHING)
                yield from found  # workers are busy while these are handled
                busy = [worker for worker in crew if not worker.is_idle]
                if not busy:
                    return
                found = []
                for outcome, worker in _collect_outcomes(busy, limit):
                    if worker.is_lost:
                        crew.remove(worker)
                    found.append(outcome)
        finally:
            for worker in crew:
                worker.end()

    def _find_worker(self, crew: list[_Worker], count: int, stages: Sequence[Callable[[Any], Any]]) -> _Worker | None:
        """Find an idle worker, or start another if there is room for it."""
        if idle := [worker for worker in crew if worker.is_idle]:
            return idle[0]
        if len(crew) == count:
            return None
        slot = min(set(range(count)) - {worker.slot for worker in crew})
        crew.append(_Worker.start(self, slot, stages))
        return crew[-1]


@dataclass(eq=False)
class _Worker:
    """A process, and its current argument."""

    slot: int
    process: BaseProcess
    pipe: Connection
    argument: Any = None
    since: float | None = None  # when it got its argument; None: idle
    has_begun: bool = False  # it has started on the argument
    is_lost: bool = False

    @staticmethod
    def start(options: Pool, slot: int, stages: Sequence[Callable[[Any], Any]]) -> _Worker:
        """Start a process. It is not ready yet."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, stages, options.memory), daemon=True)
        with _set_environment(**options.make_environment(slot)):
            process.start()
        theirs.close()
        return _Worker(slot, process, ours)

    @property
    def is_idle(self) -> bool:
        """Whether it can take an argument."""
        return self.since is None

    def take(self, argument: Any) -> None:
        """Send an argument to the process."""
        self.argument = argument
        self.since, self.has_begun = monotonic(), False
        with suppress(OSError):  # it has died, which `wait` reports
            self.pipe.send(self.argument)

    def receive(self) -> Outcome | None:
        """Receive the result, or report the loss of the process. Return None if it has only begun."""
        try:
            reply = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(ENDING)
            self.since, self.is_lost = None, True
            return Outcome(self.argument, fault=f"its worker died ({_describe_exit(self.process.exitcode)})")
        if reply is None:
            self.since, self.has_begun = monotonic(), True
            return None
        self.since = None
        return Outcome(self.argument, *reply)

    def find_time_left(self, limit: float) -> float:
        """Compute the seconds until it has taken too long."""
        return (self.since or 0.0) + (limit if self.has_begun else max(limit, STARTING)) - monotonic()

    def stop(self, limit: float) -> Outcome:
        """End the process in the middle of its work."""
        self.since, self.is_lost = None, True
        self.end()
        return Outcome(self.argument, fault=f"it took more than {limit:g} seconds")

    def end(self) -> None:
        """End the process: let an idle one finish, and kill a busy one."""
        self.pipe.close()
        if self.since is not None or self.is_lost:
            self.process.kill()
        self.process.join(ENDING)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _collect_outcomes(busy: Sequence[_Worker], limit: float) -> Iterator[tuple[Outcome, _Worker]]:
    """Yield the next outcomes: results, losses and timeouts."""
    ready = wait([worker.pipe for worker in busy], max(min(worker.find_time_left(limit) for worker in busy), 0.0))
    for worker in busy:
        if worker.pipe in ready:
            if (outcome := worker.receive()) is not None:
                yield outcome, worker
        elif worker.find_time_left(limit) <= 0:
            yield worker.stop(limit), worker


def _describe_exit(status: int | None) -> str:
    return f"signal {-status}" if status is not None and status < 0 else f"exit status {status}"


def _split_list(visible: str) -> list[str]:
    return [name.strip() for name in visible.split(",") if name.strip()]


@contextmanager
def _set_environment(**variables: str) -> Iterator[None]:
    """Set these variables while processes are started: some libraries read them when they are loaded."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# --- in the worker ----------------------------------------------------------------------------------------------------


def _serve(pipe: Connection, stages: Sequence[Callable[[Any], Any]], memory: int) -> None:
    """Receive arguments and send results until there are no more, or the parent is gone."""
    follow_parent()
    if memory:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory * 2**20, memory * 2**20))
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            argument = pipe.recv()
            pipe.send(None)
            pipe.send(try_work(lambda argument=argument: run_stages(stages, argument)))  # type: ignore[misc]
