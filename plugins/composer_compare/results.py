"""The results of an experiment by question, architecture, seed and level, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer_compare.plan import PlannedRun, choose_settings, compute_steps, make_speed_run, plan_runs
from composer_compare.questions import ABLATIONS
from composer_compare.result_store import ResultsByRun
from composer_compare.spec import Experiment
from composer_compare.statistics import Estimate, estimate_from_pieces, estimate_from_seeds
from composer_compare.tuning import is_fastest
from composer_compare.verdict import Verdict, judge

Result = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Results:
    """The results of an experiment so far."""

    trial: Experiment
    results: ResultsByRun

    @cached_property
    def entries(self) -> list[PlannedRun]:
        """All planned runs."""
        return plan_runs(self.trial, self.results, foresee=True)

    @property
    def names(self) -> list[str]:
        """The labels of the architectures, in the order of the command line."""
        return [one.label for one in self.trial.contenders]

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str, float], dict[int, Result]]:
        found: dict[tuple[str, str, float], dict[int, Result]] = {}
        for entry in self.entries:
            result = self.results.get(entry.run.identity)
            if result is not None and "failure" not in result:
                found.setdefault((entry.question, entry.candidate, entry.level), {})[entry.seed] = result
        return found

    def select(self, question: str, name: str, level: float = 1.0) -> dict[int, Result]:
        """Return the results of one architecture, by seed."""
        return dict(self._by_place.get((question, name, level), {}))

    def get_cost(self, name: str) -> Result:
        """Return the size and speed of an architecture; empty if it failed or takes no part."""
        mine = [make_speed_run(self.trial, one).identity for one in self.trial.contenders if one.label == name]
        found = self.results.get(mine[0], {}) if mine else {}
        return {} if "failure" in found else found

    def list_missing(self) -> list[str]:
        """List what is missing, a sentence each: failed runs, and the number of runs not done."""
        failed: dict[str, list[PlannedRun]] = {}
        for entry in self.entries:
            if reason := self.results.get(entry.run.identity, {}).get("failure"):
                failed.setdefault(f"{entry.candidate}, {entry.question}: {reason}", []).append(entry)
        said = [f"{text} ({len(entries)} of its runs)" for text, entries in failed.items()]
        left = sum(entry.run.identity not in self.results for entry in self.entries)
        return said + ([f"{left} of {len(self.entries)} runs have not been done."] if left else [])

    def list_fastest(self) -> list[str]:
        """List the architectures that learned best at the highest rate tried: a higher one might be better."""
        if not all(make_speed_run(self.trial, one).identity in self.results for one in self.trial.contenders):
            return []
        lengths = compute_steps(self.trial, self.results)
        able = [one for one in self.trial.contenders if one.label in lengths]
        chosen = [(one.label, choose_settings(self.trial, one, lengths[one.label], self.results)) for one in able]
        return [name for name, choice in chosen if choice and is_fastest(choice, self.trial.trials)]

    # --- likelihood ---------------------------------------------------------------------------------------------------

    def collect_scores(
        self, question: str = "likelihood", level: float = 1.0
    ) -> dict[str, dict[int, NDArray[np.float64]]]:
        """Return the nats of each test piece (P,), by architecture and seed."""
        return {
            name: {
                seed: np.array(result["test"]["nats"]) for seed, result in self.select(question, name, level).items()
            }
            for name in self.names
        }

    @cached_property
    def notes(self) -> NDArray[np.float64]:
        """(P,) notes of each test piece."""
        found = [result for name in self.names for result in self.select("likelihood", name).values()]
        return np.array(found[0]["test"]["notes"] if found else [], dtype=float)

    def estimate_likelihood(self, name: str, question: str = "likelihood", level: float = 1.0) -> Estimate | None:
        """Estimate nats per note on the test pieces; None without results."""
        by_seed = self.collect_scores(question, level)[name]
        return estimate_from_pieces(np.stack(list(by_seed.values())), self.notes) if by_seed else None

    def estimate_mean(self, question: str, name: str, level: float, figure: Any) -> Estimate | None:
        """Estimate the mean over seeds of `figure(result)`, without its Nones; None if nothing is left."""
        values = [
            value for result in self.select(question, name, level).values() if (value := figure(result)) is not None
        ]
        return estimate_from_seeds(values) if values else None

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict on the likelihoods."""
        scores = {name: by_seed for name, by_seed in self.collect_scores().items() if by_seed}
        return judge(scores, self.notes, self.equal)

    @property
    def equal(self) -> str:
        """The equal quantities, in words."""
        return f"at equal {self.trial.size} and equal {'training time' if self.trial.length == 'time' else 'tokens'}"


# --- figures of single results, one number each -----------------------------------------------------------------------


FAINTEST = 1e-30
"""The smallest gradient considered."""


def compute_nats(result: Result) -> float:
    """Compute nats per note on all test pieces."""
    test = result["test"]
    return float(sum(test["nats"]) / max(sum(test["notes"]), 1))


def compute_gap(result: Result) -> float:
    """Compute by how many nats per note the validation split is harder than the training split."""
    return float(result["valid_nats"] - result["train_nats"])


def compute_last_fifth(result: Result) -> float | None:
    """Compute the share of the gain in validation that the last fifth of the steps brought, from 0 to 1.

    The gain is in nats per note, from the first validation to the best, whose weights are kept. Between validations it
    is taken as even. None without a gain, or if the first validation is in the last fifth.
    """
    steps, nats = ([point[column] for point in result["history"]] for column in (0, 3))
    best = np.minimum.accumulate(nats).tolist()  # so far
    gain, turn = best[0] - best[-1], 0.8 * steps[-1]
    if gain == 0 or steps[0] > turn:
        return None
    share = (float(np.interp(turn, steps, best)) - best[-1]) / gain
    return share if isfinite(share) else None


def compute_fading(result: Result, lag: int) -> float | None:
    """Compute the power of ten of the gradient norm at a lag, relative to lag 1; None if not measured."""
    value = result.get("gradients", {}).get(str(lag))
    return log10(max(value, FAINTEST)) if isinstance(value, float) else None


def collect_recall(found: Results, name: str) -> dict[int, Mapping[str, float]]:
    """Collect nats per note of a recalled motif by gap, for each seed, at the rate that validated best."""
    tried = [by_seed for level in ABLATIONS["memory"].levels if (by_seed := found.select("memory", name, level))]
    if not tried:
        return {}
    best = min(tried, key=lambda by_seed: sum(r["valid"] for r in by_seed.values()) / len(by_seed))
    return {seed: result["recall"] for seed, result in best.items()}


def has_diverged(result: Result) -> bool:
    """Tell whether a run ended in NaN, or worse than at its first validation."""
    history = result["history"]
    return bool(result["diverged"]) or (len(history) > 1 and history[-1][3] > history[0][3])


def compute_transposition_loss(result: Result) -> float:
    """Compute the nats per note lost in other keys."""
    lost = sum(one["moved"] - one["as_is"] for one in result["shifted"])
    return float(lost / max(len(result["shifted"]), 1))


def compute_length_gap(result: Result) -> float:
    """Compute by how many nats per note the longer half of the test pieces is harder than the shorter half."""
    test = result["test"]
    order = sorted(range(len(test["tokens"])), key=test["tokens"].__getitem__)
    half = len(order) // 2
    short, long = (
        sum(test["nats"][i] for i in part) / max(sum(test["notes"][i] for i in part), 1)
        for part in (order[:half], order[half:])
    )
    return float(long - short)
