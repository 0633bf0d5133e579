"""How the results of an experiment decide a claim.

A claim is held, or not held, if the confidence interval excludes 0; otherwise it is not decided, and its words say what
difference would have been found. Neither is a claim decided whose architectures or whose question are not part of the
experiment. The architectures are the plain ones: a variant of `lstm` does not stand for `lstm`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from composer_compare.questions import ABLATIONS
from composer_compare.results import (
    Results,
    collect_recall,
    compute_fading,
    compute_length_gap,
    compute_nats,
    compute_transposition_loss,
    has_diverged,
)
from composer_compare.statistics import LEVEL, Estimate, compute_exact_p, estimate_difference, estimate_from_seeds

HELD, NOT_HELD, OPEN = "held", "not held", "not decided"

NATS, POWERS = "nats per note", "powers of ten"
"""Units of differences."""

SLIGHT = 0.05
"""A difference in nats per note that still counts as equal."""

FASTER = 0.05
"""The share by which times must differ to be distinguished, since they are measured once."""


@dataclass(frozen=True)
class Finding:
    """The state of a claim, and the figure that decides it.

    `detectable` is the difference that would have been found, in `unit`, where one difference decides and it is known.
    The unit says from where it counts, unless from 0.
    """

    state: str
    figure: str
    detectable: float | None = None
    unit: str = NATS

    @property
    def words(self) -> str:
        """The figure; of an undecided claim, also the difference that would have been found."""
        if self.state != OPEN or self.detectable is None:
            return self.figure
        return f"{self.figure}; {describe_detectable(self.detectable, self.unit)}"


def describe_detectable(difference: float, unit: str = NATS) -> str:
    """Say what difference would have been found, in words."""
    return f"a difference of {difference:.2g} {unit} would have been seen"


# --- differences ------------------------------------------------------------------------------------------------------


def report_missing(what: str) -> Finding:
    """Return the finding of a claim for which nothing was measured."""
    return Finding(OPEN, f"{what} was not measured in this trial")


def judge_difference(estimate: Estimate | None, what: str, unit: str = NATS) -> Finding:
    """Judge a claim that a difference is negative: held if it is below 0 beyond chance, not held if above."""
    if estimate is None:
        return report_missing(what)
    said = f"{what}: {estimate.mean:+.3f} {unit}"
    if estimate.half_width == float("inf"):
        return Finding(OPEN, f"{said}, from one seed")
    state = HELD if estimate.high < 0 else NOT_HELD if estimate.low > 0 else OPEN
    figure = f"{said} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
    return Finding(state, figure, estimate.compute_detectable(), unit)


def combine_findings(parts: Sequence[Finding], figure: str) -> Finding:
    """Combine findings into one: held if all are, not held if one is not; no single difference decides it."""
    states = {one.state for one in parts}
    return Finding(NOT_HELD if NOT_HELD in states else HELD if states == {HELD} else OPEN, figure)


def estimate_paired_difference(one: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
    """Estimate the mean difference over the seeds that both have; None if they share none."""
    seeds = sorted(one.keys() & other.keys())
    return estimate_from_seeds([one[seed] - other[seed] for seed in seeds]) if seeds else None


def _collect_values(
    found: Results, name: str, figure: Callable[[Mapping[str, Any]], float], question: str, level: float
) -> dict[int, float]:
    return {seed: figure(result) for seed, result in found.select(question, name, level).items()}


def judge_gru_lower(
    figure: Callable[[Mapping[str, Any]], float], what: str, question: str = "likelihood", level: float = 1.0
) -> Callable[[Results], Finding]:
    """Return a judge of whether a figure is smaller for gru than for lstm, seed by seed."""

    def judge(found: Results) -> Finding:
        sides = [_collect_values(found, name, figure, question, level) for name in ("gru", "lstm")]
        return judge_difference(estimate_paired_difference(*sides), f"{what}, gru less lstm")

    return judge


def judge_robustness(question: str, level: float, what: str) -> Callable[[Results], Finding]:
    """Return a judge of whether gru loses less than lstm when the training music is altered."""

    def judge(found: Results) -> Finding:
        losses = []
        for name in ("gru", "lstm"):
            usual, altered = (
                _collect_values(found, name, compute_nats, *place) for place in (("likelihood", 1.0), (question, level))
            )
            losses.append({seed: altered[seed] - usual[seed] for seed in usual.keys() & altered.keys()})
        return judge_difference(estimate_paired_difference(*losses), f"{what}, gru less lstm")

    return judge


def compare_likelihoods(found: Results, question: str) -> Estimate | None:
    """Estimate by how many nats per note lstm is above gru, over seeds and pieces; None if either is missing."""
    scores = found.collect_scores(question)
    seeds = sorted(scores.get("lstm", {}).keys() & scores.get("gru", {}).keys())
    if not seeds:
        return None
    lstm, gru = (np.stack([scores[name][seed] for seed in seeds]) for name in ("lstm", "gru"))
    return estimate_difference(lstm, gru, found.notes)


def judge_accuracy(found: Results) -> Finding:
    """Judge whether lstm predicts held-out pieces better than gru."""
    return judge_difference(compare_likelihoods(found, "likelihood"), "lstm less gru")


def judge_expressiveness(found: Results) -> Finding:
    """Judge accuracy at equal width and at equal parameters: held if at both, not held if gru wins either."""
    places = dict(zip((found.trial.size, found.trial.other_size), ("likelihood", "width"), strict=True))
    both = [
        judge_difference(compare_likelihoods(found, question), f"equal {size}") for size, question in places.items()
    ]
    return combine_findings(both, "lstm less gru at " + "; ".join(one.figure for one in both))


# --- counted figures --------------------------------------------------------------------------------------------------


def judge_counts(key: str, wanted: Mapping[str, int], what: str) -> Callable[[Results], Finding]:
    """Return a judge of whether the counted numbers are the claimed ones."""

    def judge(found: Results) -> Finding:
        counted = {name: found.get_cost(name).get(key) for name in wanted}
        if any(value is None for value in counted.values()):
            return report_missing(what)
        said = ", ".join(f"{name} {value}" for name, value in counted.items())
        return Finding(HELD if counted == dict(wanted) else NOT_HELD, f"{what}: {said}")

    return judge


def judge_size(found: Results) -> Finding:
    """Judge whether a unit of gru has fewer weights and less state than one of lstm."""
    costs = {name: found.get_cost(name) for name in ("gru", "lstm")}
    if not all(cost.get("sums") for cost in costs.values()):
        return report_missing("the size of a unit")
    sums = {name: cost["sums"] for name, cost in costs.items()}
    tensors = {name: cost["state_tensors"] for name, cost in costs.items()}
    said = (
        f"of a unit, {sums['gru']} and {sums['lstm']} rows of weights, {tensors['gru']} and {tensors['lstm']} numbers"
    )
    fewer = sums["gru"] < sums["lstm"] and tensors["gru"] < tensors["lstm"]
    trial = f"in this trial {costs['gru']['parameters']:,} and {costs['lstm']['parameters']:,} parameters"
    return Finding(HELD if fewer else NOT_HELD, f"{said} (gru, lstm); {trial}")


def judge_speed(found: Results) -> Finding:
    """Judge whether a step of gru takes less time than one of lstm."""
    costs = [found.get_cost(name) for name in ("gru", "lstm")]
    if not all(costs):
        return report_missing("the time of a step")
    gru, lstm = (cost["step_seconds"] for cost in costs)
    said = f"a step takes {gru * 1000:.0f} and {lstm * 1000:.0f} ms (gru, lstm), {found.equal}"
    faster = gru < lstm * (1 - FASTER)
    return Finding(HELD if faster else NOT_HELD if gru > lstm * (1 + FASTER) else OPEN, said)


def judge_code(found: Results) -> Finding:
    """Judge whether gru has fewer equations."""
    from composer.plugins.registry import registry

    lines = {}
    for name in ("gru", "lstm"):
        if name in found.names:
            lines[name] = len(getattr(registry().make("architectures", name), "equations", ()))
    if len(lines) < 2 or not all(lines.values()):
        return report_missing("the number of equations")
    return Finding(HELD if lines["gru"] < lines["lstm"] else NOT_HELD, f"{lines['gru']} equations and {lines['lstm']}")


# --- training, writing and lengths ------------------------------------------------------------------------------------


def judge_divergence(found: Results) -> Finding:
    """Judge whether lstm diverges at high learning rates where gru, at the same rates and seeds, does not."""
    runs = {
        name: {
            (level, seed): has_diverged(result)
            for level in ABLATIONS["stability"].levels
            for seed, result in found.select("stability", name, level).items()
        }
        for name in ("lstm", "gru")
    }
    shared = runs["lstm"].keys() & runs["gru"].keys()
    if not shared:
        return report_missing("training at high rates")
    lstm, gru = (sum(runs[name][run] for run in shared) for name in ("lstm", "gru"))
    lone = [
        sum(runs[one][run] > runs[other][run] for run in shared) for one, other in (("lstm", "gru"), ("gru", "lstm"))
    ]
    p = compute_exact_p(*lone)
    said = f"of {len(shared)} runs each without clipping, {lstm} of lstm diverged and {gru} of gru, p = {p:.2g}"
    sure = p < 1 - LEVEL
    return Finding(HELD if sure and lstm > gru else NOT_HELD if not lstm or (sure and gru > lstm) else OPEN, said)


def judge_bias(found: Results) -> Finding:
    """Judge whether lstm loses less than gru in keys absent from training."""
    sides = [_collect_values(found, name, compute_transposition_loss, "bias", 1.0) for name in ("lstm", "gru")]
    return judge_difference(estimate_paired_difference(*sides), "lost in keys that were not learnt, lstm less gru")


def judge_dropout(found: Results) -> Finding:
    """Judge whether lstm predicts held-out pieces better with dropout."""
    sides = [_collect_values(found, "lstm", compute_nats, "dropout", level) for level in (0.3, 0.0)]
    return judge_difference(estimate_paired_difference(*sides), "lstm with dropout 0.3 less without")


def judge_lengths(found: Results) -> Finding:
    """Judge whether lstm finds longer pieces no harder than the others do; what is harder for all lies in the music.

    The others are not variants of it.
    """
    names = [name for name in found.names if not name.startswith("lstm:")]
    harder = {name: _collect_values(found, name, compute_length_gap, "likelihood", 1.0) for name in names}
    lstm = harder.pop("lstm", {})
    others = [by_seed for by_seed in harder.values() if by_seed]
    if not lstm or not others:
        return report_missing("the likelihood of lstm and of another")
    shared = set(lstm).intersection(*others)
    usual = {seed: sum(by_seed[seed] for by_seed in others) / len(others) for seed in shared}
    beyond = estimate_paired_difference({seed: gap - SLIGHT for seed, gap in lstm.items()}, usual)
    differences = f"lstm {_average(lstm):+.3f}, the others {_average(usual):+.3f} nats"
    said = f"longer half of the pieces less shorter half: {differences}"
    judged = judge_difference(beyond, "lstm", f"{NATS} beyond the margin of {SLIGHT:g}")
    return replace(judged, figure=f"{said} per note")


def _average(by_seed: Mapping[int, float]) -> float:
    return sum(by_seed.values()) / max(len(by_seed), 1)


def judge_tie(found: Results) -> Finding:
    """Judge whether lstm and gru cannot be told apart."""
    verdict = found.verdict
    if len(verdict.standing) < 2:
        return report_missing("more than one architecture")
    said = f"best is {verdict.winner}, beyond chance" if verdict.winner else "no clear winner on this music"
    pair = next((p for p in verdict.pairs if {p.better, p.worse} == {"lstm", "gru"}), None)
    if pair is None:
        return Finding(OPEN, said)
    said += f"; {pair.better} ahead of {pair.worse} by {pair.behind.mean:.3f} nats per note"
    detectable = pair.detectable if math.isfinite(pair.detectable) else None
    if pair.decided:
        return Finding(NOT_HELD, f"{said}, beyond chance", detectable)
    power = "" if detectable is None else f"; {describe_detectable(detectable)}"
    return Finding(HELD, f"{said}, which may be chance{power}", detectable)


def judge_writing(found: Results) -> Finding:
    """Judge whether most figures of the pieces of both lie within the reference ranges."""
    shares, said = [], []
    for name in ("lstm", "gru"):
        runs = list(found.select("music", name).values())
        if not runs:
            return report_missing("what both write")
        shares.append(estimate_from_seeds([run["inside"] / max(run["figures"], 1) for run in runs]))
        copied = estimate_from_seeds([run["copied"]["share"] for run in runs])
        said.append(f"{name} {shares[-1].mean:.0%}, with {copied.mean:.0%} of its notes in copies")
    state = HELD if all(s.low > 0.5 for s in shares) else NOT_HELD if any(s.high < 0.5 for s in shares) else OPEN
    return Finding(state, f"figures inside the bands of real pieces: {'; '.join(said)}")


# --- memory, by vanishing gradients and the recall of a motif ---------------------------------------------------------


FAR, FARTHER = 32, 64
"""Lags in tokens at which gradients are compared."""

LONG = 16
"""The shortest long gap, in bars."""


def _collect_fading(found: Results, name: str, lag: int) -> dict[int, float]:
    """Collect, by seed, the powers of ten by which a gradient fades."""
    runs = found.select("likelihood", name)
    return {seed: power for seed, result in runs.items() if (power := compute_fading(result, lag)) is not None}


def judge_rnn_fading(found: Results) -> Finding:
    """Judge whether the gradient of rnn fades sooner than that of every gated cell present, seed by seed."""
    powers = {name: _collect_fading(found, name, FAR) for name in ("rnn", "lstm", "gru")}
    rnn = powers.pop("rnn")
    apart = {name: beyond for name, of in powers.items() if (beyond := estimate_paired_difference(rnn, of)) is not None}
    if not apart:
        return report_missing("the gradient of rnn and of a gated cell")
    means = {"rnn": rnn, **{name: powers[name] for name in apart}}
    said = ", ".join(f"{name} {10 ** np.mean(list(of.values())):.2g}" for name, of in means.items())
    judged = [judge_difference(beyond, name, POWERS) for name, beyond in apart.items()]
    return combine_findings(judged, f"gradient over {FAR} tokens beside that over one: {said}")


def judge_gru_fading(found: Results) -> Finding:
    """Judge whether the gradient of gru falls below a tenth."""
    powers = _collect_fading(found, "gru", FARTHER)
    if not powers:
        return report_missing("the gradient of gru")
    said = f"gradient over {FARTHER} tokens beside that over one: gru {10 ** np.mean(list(powers.values())):.2g}"
    beyond = estimate_from_seeds([power + 1 for power in powers.values()])
    return replace(judge_difference(beyond, "gru", f"{POWERS} from a tenth"), figure=said)


def judge_recall(found: Results) -> Finding:
    """Judge whether lstm recalls a motif after a long gap better than gru."""

    def average_long_gaps(name: str) -> dict[int, float]:
        return {
            seed: sum(value for gap, value in gaps.items() if int(gap) >= LONG)
            / max(sum(int(gap) >= LONG for gap in gaps), 1)
            for seed, gaps in collect_recall(found, name).items()
        }

    return judge_difference(
        estimate_paired_difference(average_long_gaps("lstm"), average_long_gaps("gru")),
        f"a motif after {LONG} bars and more, lstm less gru",
        "nats a note",
    )
