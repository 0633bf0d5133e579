"""The executor `ray`: workers of a Ray cluster, on this machine or on many."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from time import monotonic
from typing import Annotated, Any

from composer.errors import BadOption
from composer.types import Outcome
from composer_executors.here import run_stages, try_work

PATIENCE = 1.0
"""Seconds between two checks of the time limit."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster. A lost worker or machine costs only its own work. Files come back to this machine."""

    address: Annotated[str, "address of the cluster, or auto; empty: start one on this machine"] = ""
    workers: Annotated[int, "arguments at a time; 0: as many as the cluster has room for"] = 0
    cpus: Annotated[float, "processors of each worker"] = 1.0
    gpus: Annotated[float, "GPUs of each worker"] = 0.0

    @property
    def places(self) -> int:
        """How many arguments are worked on at once, as far as is known before there is a cluster."""
        ray = sys.modules.get("ray")
        joined = ray is not None and ray.is_initialized()
        return self.workers or (_count_places(ray, self.cpus, self.gpus) if joined else 1)

    def __call__(
        self, stages: Sequence[Callable[[Any], Any]], arguments: Iterable[Any], limit: float
    ) -> Iterator[Outcome]:
        """Run all stages of an argument in one worker. Results come as they are ready."""
        if find_spec("ray") is None:
            raise BadOption("Ray is not installed; install it with `pip install 'composer-midi[ray]'`.")
        import ray

        ours = not ray.is_initialized()
        if ours:
            try:
                ray.init(address=self.address or None, log_to_driver=False, configure_logging=False)
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                raise BadOption(f"there is no Ray cluster at '{self.address}' ({type(error).__name__}).") from None
        try:
            yield from self._run(ray, stages, arguments, limit)
        finally:
            if ours:
                ray.shutdown()

    def _run(
        self, ray: Any, stages: Sequence[Callable[[Any], Any]], arguments: Iterable[Any], limit: float
    ) -> Iterator[Outcome]:
        resources = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": 0}
        serve = ray.remote(**resources)(_serve).options(
            runtime_env={"env_vars": {"OMP_NUM_THREADS": f"{self.cpus:.0f}"}}
        )
        count = self.places
        waiting, more = iter(arguments), True
        going: dict[Any, tuple[Any, float]] = {}
        while True:
            while more and len(going) < count:
                try:
                    argument = next(waiting)
                except StopIteration:
                    more = False
                    break
                going[serve.remote(tuple(stages), argument)] = argument, monotonic()
            if not going:
                return
            ready, _ = ray.wait(list(going), num_returns=1, timeout=min(PATIENCE, limit))
            for reference in ready:
                argument, _ = going.pop(reference)
                yield _make_outcome(argument, partial(ray.get, reference))
            for reference, (argument, since) in list(going.items()):
                if monotonic() - since >= limit:
                    ray.cancel(reference, force=True)
                    del going[reference]
                    yield Outcome(argument, fault=f"it took more than {limit:g} seconds")


def _serve(stages: Sequence[Callable[[Any], Any]], argument: Any) -> tuple[Any, str]:
    return try_work(partial(run_stages, stages, argument))


def _make_outcome(argument: Any, get: Callable[[], Any]) -> Outcome:
    found, lost = try_work(get)
    if lost:
        return Outcome(argument, fault=f"its worker died ({lost.partition(':')[0]})")
    return Outcome(argument, *found)


def _count_places(ray: Any, cpus: float, gpus: float) -> int:
    there = ray.cluster_resources()
    room = [there.get(name, 0.0) / each for name, each in (("CPU", cpus), ("GPU", gpus)) if each]
    return max(int(min(room, default=1)), 1)
