"""Running an experiment: planned runs go to an executor, and their results to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from composer.io.outputs import hold_lock
from composer.storage.inside import join_inside
from composer.types import Executor
from composer_compare.plan import PlannedRun, plan_runs
from composer_compare.result_store import ResultsByRun, ResultStore
from composer_compare.spec import Experiment
from composer_compare.worker import MODELS, RUNNING, run_one

LIMIT = 86_400.0
"""The time limit of a run in seconds: a day, since a run ends by its steps."""


@dataclass(frozen=True)
class ExperimentProgress:
    """The result of a run that has ended; the others take about `seconds` of a processor."""

    entry: PlannedRun
    result: Mapping[str, Any]
    done: int
    total: int
    seconds: float


Report = Callable[[ExperimentProgress], None]


def run_experiment(
    trial: Experiment, folder: Path, executor: Executor, report: Report, *, only: str = ""
) -> ResultsByRun:
    """Run what is missing and return all results of an experiment. With `only`, run that question alone.

    Results already in the folder are used. A run whose worker was lost counts as failed now, and is retried by the next
    call. Ctrl-C stops at any moment; the same call carries on. Raises BatchFailed if another process works in the
    folder, CannotWrite if a link in it leads outside.
    """
    with hold_lock(folder):
        for name in (MODELS, RUNNING):
            join_inside(folder, name)
        ledger = ResultStore(folder)
        results = ledger.read()
        while todo := _find_waiting(trial, results, only):
            work = partial(run_one, str(folder.absolute()))
            with closing(executor([work], [entry.run for entry in todo.values()], LIMIT)) as outcomes:  # type: ignore[type-var]
                for outcome in outcomes:
                    run = outcome.argument
                    result = {"failure": outcome.fault} if outcome.fault else outcome.value
                    results[run.identity] = result
                    if not outcome.fault:
                        ledger.add(run.identity, run.plain, result)
                    report(_measure_progress(trial, todo[run.identity], results))
    return results


def _find_waiting(trial: Experiment, results: ResultsByRun, only: str) -> dict[str, PlannedRun]:
    """Find the runs that can be done now and have no result, each once, in order."""
    found: dict[str, PlannedRun] = {}
    for entry in plan_runs(trial, results):
        if entry.run.identity not in results and only in ("", entry.question):
            found.setdefault(entry.run.identity, entry)
    return found


def _measure_progress(trial: Experiment, entry: PlannedRun, results: ResultsByRun) -> ExperimentProgress:
    entries = {one.run.identity: one for one in plan_runs(trial, results, foresee=True)}
    left = [one.seconds for identity, one in entries.items() if identity not in results]
    return ExperimentProgress(entry, results[entry.run.identity], len(entries) - len(left), len(entries), sum(left))
