"""The runs that answer the questions of an experiment, as far as earlier results determine them.

First the speed of each architecture is measured, which determines the number of steps. Then all are tuned alike. Then
come the compared runs. A run's identity depends on its values, not on its question: two questions may share a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from composer_compare import spec, tuning
from composer_compare.questions import ABLATIONS, set_option
from composer_compare.result_store import ResultsByRun, compute_identity
from composer_compare.spec import DROPOUT, Candidate, Experiment

TUNING = 1 / 3
"""Length of a run of the search, as a share of a compared run."""

TUNING_SEED = 1000
"""The search has its own seed, so that no compared run is selected for its luck."""

EVALUATIONS, TUNING_EVALUATIONS = 15, 6

TRIED = (10, 40)
"""Steps of the two short runs that measure speed."""

MEASURING = 6.0
"""Rough seconds of a run beside its steps: reading, validations, the test."""


@dataclass(frozen=True)
class ExperimentRun:
    """One unit of work in plain values; its identity is a hash of those that differ from the defaults."""

    work: str  # a name in `composer_compare.worker.WORK`
    recipe: Mapping[str, Any]
    music: str
    share: float = 1.0  # of the training pieces
    noise: float = 0.0  # share of wrong notes in them
    shifts: tuple[int, ...] = ()  # semitones by which test pieces are transposed and scored again

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The values that differ from the defaults, ready for JSON."""
        usual = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}

    @cached_property
    def identity(self) -> str:
        """A hash, the same for equal runs alone."""
        return compute_identity(self.plain)


@dataclass(frozen=True)
class PlannedRun:
    """A planned run, the question it answers, and the estimated seconds of a processor."""

    question: str
    candidate: str  # its label
    run: ExperimentRun
    seed: int = 0
    level: float = 1.0
    seconds: float = 0.0


def plan_runs(trial: Experiment, results: ResultsByRun, *, foresee: bool = False) -> list[PlannedRun]:
    """List all runs known by now, in order; the plan is complete when each has a result.

    With `foresee`, runs that depend on the search are listed before it ends, with its first trial.
    """
    paces = [PlannedRun("cost", one.label, make_speed_run(trial, one), seconds=25) for one in trial.contenders]
    if not _have_ended(paces, results):
        return paces
    able = [one for one in trial.contenders if "failure" not in results[make_speed_run(trial, one).identity]]
    if not able:
        return paces
    lengths = compute_steps(trial, results)
    tuned = [entry for one in able for entry in plan_search(trial, one, lengths[one.label], results)]
    tuned.sort(key=lambda entry: entry.level)
    if not foresee and not _have_ended(tuned, results):
        return paces + tuned
    finals = {
        one.label: final
        for one in able
        if (final := make_final_run(trial, one, lengths[one.label], results)) is not None
    }
    asked = [entry for name in trial.questions for entry in _plan_ablation(trial, name, able, finals, results, foresee)]
    return paces + tuned + asked


def _have_ended(entries: list[PlannedRun], results: ResultsByRun) -> bool:
    return all(entry.run.identity in results for entry in entries)


# --- pace and length --------------------------------------------------------------------------------------------------


def _make_run(trial: Experiment, contender: Candidate, work: str, **training: Any) -> ExperimentRun:
    recipe = {
        **trial.recipe,
        "architecture": {"name": contender.name, **contender.options},
        "training": {**trial.recipe.get("training", {}), **training},
    }
    return ExperimentRun(work, recipe, trial.music)


def make_speed_run(trial: Experiment, contender: Candidate) -> ExperimentRun:
    """Build the run that measures an architecture's speed and counts its size."""
    return _make_run(trial, contender, "pace")


def compute_steps(trial: Experiment, results: ResultsByRun) -> dict[str, int]:
    """Compute the steps of a full-length run for each architecture of known speed."""
    found = {one.label: results[make_speed_run(trial, one).identity] for one in trial.contenders}
    paces = {name: result["step_seconds"] for name, result in found.items() if "failure" not in result}
    chosen = [ABLATIONS[name] for name in trial.questions]
    work = trial.trials * TUNING + trial.seeds * sum(question.length * len(question.levels) for question in chosen)
    runs = trial.trials + trial.seeds * sum(len(question.levels) for question in chosen)
    aside = len(paces) * (runs * MEASURING + trial.seeds * sum(one.seconds * len(one.levels) for one in chosen))
    whole = 60 * trial.minutes * trial.workers
    seconds = max(whole - aside, 0.1 * whole)
    return spec.distribute_steps(paces, trial.contenders[0].label, trial.length, trial.steps, seconds, work)


# --- the search -------------------------------------------------------------------------------------------------------


def plan_search(trial: Experiment, contender: Candidate, steps: int, results: ResultsByRun) -> Iterator[PlannedRun]:
    """Yield the runs that search for a learning rate and a dropout."""
    for place, choice in enumerate(tuning.list_choices(trial.trials)):
        run = _make_run(
            trial,
            _set_dropout(contender, choice.dropout),
            "tune",
            learning_rate=choice.rate,
            seed=TUNING_SEED,
            **_make_length(max(round(steps * TUNING), 1), TUNING_EVALUATIONS),
        )
        yield PlannedRun(
            "tuning", contender.label, run, level=place, seconds=_estimate_seconds(trial, contender, run, results)
        )


def choose_settings(trial: Experiment, contender: Candidate, steps: int, results: ResultsByRun) -> tuning.Choice | None:
    """Choose the best of the search; the first trial until the search has ended, None if all failed."""
    runs = [entry.run.identity for entry in plan_search(trial, contender, steps, results)]
    tried = tuning.list_choices(trial.trials)
    if not all(run in results for run in runs):
        return tried[0]
    return tuning.choose_best([(choice, results[run].get("valid")) for choice, run in zip(tried, runs, strict=True)])


def _set_dropout(contender: Candidate, dropout: float) -> Candidate:
    """Set the dropout, if the architecture has one that its spec does not fix."""
    known = None if DROPOUT in contender.given else set_option(contender, DROPOUT, dropout)
    return known or contender


def _make_length(steps: int, evaluations: int) -> dict[str, Any]:
    """Return settings for `steps` without early stopping, so that all compared runs see the same amount of data."""
    count = min(evaluations, steps)
    return {"steps": steps, "evaluations": count, "patience": count, "checkpoint_every": 60.0}


def make_final_run(trial: Experiment, contender: Candidate, steps: int, results: ResultsByRun) -> ExperimentRun | None:
    """Build the run that is compared, with the best settings found; None if there are none."""
    choice = choose_settings(trial, contender, steps, results)
    if choice is None:
        return None
    settings = _make_length(steps, EVALUATIONS)
    return _make_run(
        trial, _set_dropout(contender, choice.dropout), "final", learning_rate=choice.rate, seed=0, **settings
    )


# --- questions --------------------------------------------------------------------------------------------------------


def _plan_ablation(
    trial: Experiment,
    name: str,
    able: list[Candidate],
    finals: Mapping[str, ExperimentRun],
    results: ResultsByRun,
    foresee: bool,
) -> Iterator[PlannedRun]:
    question = ABLATIONS[name]
    for seed in range(trial.seeds):
        for level in question.levels:
            for one in able:
                if one.label not in finals:
                    continue
                final = _set_seed(finals[one.label], seed)
                if question.after and not _may_have_model(final, results, foresee):
                    continue
                run = question.run(final, one, level)
                if run is not None:
                    seconds = question.seconds or _estimate_seconds(trial, one, run, results)
                    yield PlannedRun(name, one.label, run, seed, level, seconds)


def _may_have_model(final: ExperimentRun, results: ResultsByRun, foresee: bool) -> bool:
    """Tell whether a run has left a model, or may yet."""
    result = results.get(final.identity)
    return foresee if result is None else "failure" not in result


def _set_seed(run: ExperimentRun, seed: int) -> ExperimentRun:
    return replace(run, recipe={**run.recipe, "training": {**run.recipe["training"], "seed": seed}})


def _estimate_seconds(trial: Experiment, contender: Candidate, run: ExperimentRun, results: ResultsByRun) -> float:
    pace = results[make_speed_run(trial, contender).identity]
    settings = run.recipe["training"]
    return MEASURING + settings["steps"] * pace["step_seconds"] + settings["evaluations"] * pace["validation_seconds"]
