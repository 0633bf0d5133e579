"""What is commonly said of LSTM and GRU, each beside what a trial measured; it knows results and trains nothing.

A claim is held, or not, where the interval of confidence leaves out 0; else it is not decided. So is a claim whose
architectures or whose question had no part in the trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from composer.comparing.findings import Findings
from composer.comparing.statistics import Estimate, difference, of_seeds

HELD, NOT_HELD, OPEN = "held", "not held", "not decided"

FAR, FARTHER = 32, 64
"""Lags in tokens at which gradients are held against each other."""

LONG = 16
"""Gaps from so many bars on are long."""

FASTER = 0.05
"""A share by which times must differ to be told apart, since they are measured once."""


@dataclass(frozen=True)
class Finding:
    """Whether a claim is held, and the figure that says so."""

    state: str
    figure: str


@dataclass(frozen=True)
class Claim:
    """What is said, and how a trial judges it."""

    number: int
    text: str
    judged: Callable[[Findings], Finding]


def examined(findings: Findings) -> list[tuple[Claim, Finding]]:
    """Every claim with its finding."""
    return [(claim, claim.judged(findings)) for claim in CLAIMS]


# --- differences ------------------------------------------------------------------------------------------------------


def _missing(what: str) -> Finding:
    return Finding(OPEN, f"{what} was not measured in this trial")


def below(estimate: Estimate | None, what: str, unit: str = "nats per note") -> Finding:
    """Held if a difference is below 0 beyond chance, not held if it is above."""
    if estimate is None:
        return _missing(what)
    said = f"{what}: {estimate.mean:+.3f} {unit}"
    if estimate.half_width == float("inf"):
        return Finding(OPEN, f"{said}, from one seed")
    state = HELD if estimate.high < 0 else NOT_HELD if estimate.low > 0 else OPEN
    return Finding(state, f"{said} [{estimate.low:+.3f}, {estimate.high:+.3f}]")


def _paired(one: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
    seeds = sorted(one.keys() & other.keys())
    return of_seeds([one[seed] - other[seed] for seed in seeds]) if seeds else None


def _values(
    found: Findings, name: str, figure: Callable[[Mapping[str, Any]], float], question: str, level: float
) -> dict[int, float]:
    return {seed: figure(result) for seed, result in found.of(question, name, level).items()}


def _gru_less(
    figure: Callable[[Mapping[str, Any]], float], what: str, question: str = "likelihood", level: float = 1.0
) -> Callable[[Findings], Finding]:
    """Whether a figure is smaller of gru than of lstm, seed by seed."""

    def judge(found: Findings) -> Finding:
        sides = [_values(found, name, figure, question, level) for name in ("gru", "lstm")]
        return below(_paired(*sides), f"{what}, gru less lstm")

    return judge


def _nats(result: Mapping[str, Any]) -> float:
    test = result["test"]
    return sum(test["nats"]) / max(sum(test["notes"]), 1)


def _gap(result: Mapping[str, Any]) -> float:
    return result["valid_nats"] - result["train_nats"]


def _more_hurt(question: str, level: float, what: str) -> Callable[[Findings], Finding]:
    """Whether gru loses less than lstm does from the usual music to an altered one."""

    def judge(found: Findings) -> Finding:
        losses = []
        for name in ("gru", "lstm"):
            usual, altered = (_values(found, name, _nats, *place) for place in (("likelihood", 1.0), (question, level)))
            losses.append({seed: altered[seed] - usual[seed] for seed in usual.keys() & altered.keys()})
        return below(_paired(*losses), f"{what}, gru less lstm")

    return judge


def _likelihood(question: str, sign: int) -> Callable[[Findings], Finding]:
    """Whether lstm (or with -1 gru) foretells held-out pieces better."""

    def judge(found: Findings) -> Finding:
        scores = found.scores(question)
        seeds = sorted(scores.get("lstm", {}).keys() & scores.get("gru", {}).keys())
        if not seeds:
            return _missing("the likelihood of both")
        import numpy as np

        stacked = [np.stack([scores[name][seed] for seed in seeds]) for name in ("lstm", "gru")]
        return below(difference(sign * stacked[0], sign * stacked[1], found.notes), "lstm less gru")

    return judge


# --- what is counted --------------------------------------------------------------------------------------------------


def _counted(key: str, wanted: Mapping[str, int], what: str) -> Callable[[Findings], Finding]:
    def judge(found: Findings) -> Finding:
        values = {name: found.cost(name).get(key) for name in wanted}
        if any(value is None for value in values.values()):
            return _missing(what)
        said = ", ".join(f"{name} {value}" for name, value in values.items())
        return Finding(HELD if values == dict(wanted) else NOT_HELD, f"{what}: {said}")

    return judge


def _smaller(found: Findings) -> Finding:
    costs = {name: found.cost(name) for name in ("gru", "lstm")}
    if not all(cost.get("sums") for cost in costs.values()):
        return _missing("the size of a unit")
    sums = {name: cost["sums"] for name, cost in costs.items()}
    tensors = {name: cost["state_tensors"] for name, cost in costs.items()}
    said = (
        f"of a unit, {sums['gru']} and {sums['lstm']} rows of weights, {tensors['gru']} and {tensors['lstm']} numbers"
    )
    fewer = sums["gru"] < sums["lstm"] and tensors["gru"] < tensors["lstm"]
    trial = f"in this trial {costs['gru']['parameters']:,} and {costs['lstm']['parameters']:,} parameters"
    return Finding(HELD if fewer else NOT_HELD, f"{said} (gru, lstm); {trial}")


def _cheaper(found: Findings) -> Finding:
    costs = [found.cost(name) for name in ("gru", "lstm")]
    if not all(costs):
        return _missing("the time of a step")
    gru, lstm = (cost["step_seconds"] for cost in costs)
    said = f"a step takes {gru * 1000:.0f} and {lstm * 1000:.0f} ms (gru, lstm), {found.equal}"
    faster = gru < lstm * (1 - FASTER)
    return Finding(HELD if faster else NOT_HELD if gru > lstm * (1 + FASTER) else OPEN, said)


def _less_code(found: Findings) -> Finding:
    from composer.plugins import registry

    lines = {}
    for name in ("gru", "lstm"):
        if name in found.names:
            lines[name] = len(getattr(registry().make("architectures", name), "equations", ()))
    if len(lines) < 2 or not all(lines.values()):
        return _missing("the number of equations")
    return Finding(HELD if lines["gru"] < lines["lstm"] else NOT_HELD, f"{lines['gru']} equations and {lines['lstm']}")


# --- memory -----------------------------------------------------------------------------------------------------------


def gradient(result: Mapping[str, Any], lag: int) -> float | None:
    """The gradient's norm at a lag, beside that at a lag of 1; None if it was not measured."""
    value = result.get("gradients", {}).get(str(lag))
    return value if isinstance(value, float) else None


def _fades(found: Findings) -> Finding:
    means = {name: found.mean("likelihood", name, 1.0, lambda r: gradient(r, FAR)) for name in found.names}
    gated = [name for name in ("lstm", "gru") if means.get(name)]
    rnn = means.get("rnn")
    if rnn is None or not gated:
        return _missing("the gradient of rnn and of a gated cell")
    said = ", ".join(f"{name} {means[name].mean:.2g}" for name in ("rnn", *gated))  # type: ignore[union-attr]
    less = [rnn.high < means[name].low for name in gated]  # type: ignore[union-attr]
    more = [rnn.low > means[name].high for name in gated]  # type: ignore[union-attr]
    state = HELD if all(less) else NOT_HELD if any(more) else OPEN
    return Finding(state, f"gradient over {FAR} tokens beside that over one: {said}")


def _gru_fades(found: Findings) -> Finding:
    mean = found.mean("likelihood", "gru", 1.0, lambda result: gradient(result, FARTHER))
    if mean is None:
        return _missing("the gradient of gru")
    said = f"gradient over {FARTHER} tokens beside that over one: gru {mean.mean:.2g}"
    return Finding(HELD if mean.high < 0.1 else NOT_HELD if mean.low > 0.1 else OPEN, said)


def recalled(found: Findings, name: str) -> dict[int, Mapping[str, float]]:
    """Nats a note of a recalled motif by gap, of each seed, at the rate that validated best over all seeds."""
    from composer.comparing.questions import QUESTIONS

    tried = [by_seed for level in QUESTIONS["memory"].levels if (by_seed := found.of("memory", name, level))]
    if not tried:
        return {}
    best = min(tried, key=lambda by_seed: sum(r["valid"] for r in by_seed.values()) / len(by_seed))
    return {seed: result["recall"] for seed, result in best.items()}


def _remembers(found: Findings) -> Finding:
    def far(name: str) -> dict[int, float]:
        return {
            seed: sum(value for gap, value in gaps.items() if int(gap) >= LONG)
            / max(sum(int(gap) >= LONG for gap in gaps), 1)
            for seed, gaps in recalled(found, name).items()
        }

    return below(_paired(far("lstm"), far("gru")), f"a motif after {LONG} bars and more, lstm less gru", "nats a note")


# --- the rest ---------------------------------------------------------------------------------------------------------


def diverged(result: Mapping[str, Any]) -> bool:
    """Whether a run ended in no number, or worse than it was at its first validation."""
    history = result["history"]
    return bool(result["diverged"]) or (len(history) > 1 and history[-1][3] > history[0][3])


def _explodes(found: Findings) -> Finding:
    from composer.comparing.questions import QUESTIONS

    shares = {}
    for name in ("lstm", "gru"):
        runs = [r for level in QUESTIONS["stability"].levels for r in found.of("stability", name, level).values()]
        if not runs:
            return _missing("training at high rates")
        shares[name] = f"{sum(map(diverged, runs))} of {len(runs)}"
    any_lstm = not shares["lstm"].startswith("0 ")
    said = ", ".join(f"{name} {share}" for name, share in shares.items())
    return Finding(HELD if any_lstm else NOT_HELD, f"runs that diverged, without clipping: {said}")


def _shifted(result: Mapping[str, Any]) -> float:
    return sum(one["moved"] - one["as_is"] for one in result["shifted"]) / max(len(result["shifted"]), 1)


def _worse_biased(found: Findings) -> Finding:
    sides = [_values(found, name, _shifted, "bias", 1.0) for name in ("lstm", "gru")]
    return below(_paired(*sides), "lost in keys that were not learnt, lstm less gru")


def _dropout_helps(found: Findings) -> Finding:
    sides = [_values(found, "lstm", _nats, "dropout", level) for level in (0.3, 0.0)]
    return below(_paired(*sides), "lstm with dropout 0.3 less without")


def by_length(result: Mapping[str, Any]) -> tuple[float, float]:
    """Nats per note of the shorter and of the longer half of the test pieces."""
    test = result["test"]
    order = sorted(range(len(test["tokens"])), key=test["tokens"].__getitem__)
    half = len(order) // 2
    parts = order[:half], order[half:]
    found = [sum(test["nats"][i] for i in part) / max(sum(test["notes"][i] for i in part), 1) for part in parts]
    return found[0], found[1]


def _any_length(found: Findings) -> Finding:
    values = [by_length(result) for result in found.of("likelihood", "lstm").values()]
    if not values:
        return _missing("the likelihood of lstm")
    return below(
        of_seeds([long - short for short, long in values]), "lstm, longer half of the pieces less shorter half"
    )


def _no_winner(found: Findings) -> Finding:
    verdict = found.verdict
    if len(verdict.standing) < 2:
        return _missing("more than one architecture")
    said = f"best is {verdict.winner}, beyond chance" if verdict.winner else "no clear winner on this music"
    pair = next((p for p in verdict.pairs if {p.better, p.worse} == {"lstm", "gru"}), None)
    if pair is None:
        return Finding(OPEN, said)
    how = "beyond chance" if pair.decided else "which may be chance"
    said += f"; {pair.better} ahead of {pair.worse} by {pair.behind.mean:.3f} nats per note, {how}"
    return Finding(NOT_HELD if pair.decided else HELD, said)


def _writes(_: Findings) -> Finding:
    return Finding(OPEN, "likelihood alone does not say; the models are kept, to be listened to and measured")


CLAIMS = (
    Claim(1, "A plain recurrent network has vanishing gradients and a short memory.", _fades),
    Claim(2, "GRU has two gates, LSTM three.", _counted("gates", {"gru": 2, "lstm": 3}, "gates")),
    Claim(
        3, "LSTM keeps a memory cell apart; GRU shows its whole state.",
        _counted("state_tensors", {"gru": 1, "lstm": 2}, "tensors of state"),
    ),
    Claim(4, "GRU has fewer parameters and takes less memory.", _smaller),
    Claim(5, "GRU is cheaper to compute and trains faster.", _cheaper),
    Claim(6, "GRU needs less data.", _more_hurt("data", 0.05, "lost with 5 % of the pieces")),
    Claim(7, "GRU copes better with noise.", _more_hurt("noise", 0.2, "lost with 20 % of wrong notes")),
    Claim(8, "GRU overfits less.", _gru_less(_gap, "valid less train")),
    Claim(9, "LSTM overfits on small sets.", _gru_less(_gap, "valid less train at 5 % of the pieces", "data", 0.05)),
    Claim(10, "LSTM learns long dependencies better.", _remembers),
    Claim(11, "LSTM is more accurate where there is much data.", _likelihood("likelihood", 1)),
    Claim(12, "LSTM is the more expressive, at equal width and at equal parameters.", _likelihood("width", 1)),
    Claim(13, "LSTM can explode at a high learning rate.", _explodes),
    Claim(14, "GRU may still have vanishing gradients.", _gru_fades),
    Claim(15, "GRU generalises worse from biased music.", _worse_biased),
    Claim(16, "GRU is less code.", _less_code),
    Claim(17, "Dropout keeps LSTM from overfitting.", _dropout_helps),
    Claim(18, "LSTM handles pieces of any length.", _any_length),
    Claim(19, "There is no clear winner: it depends on the data.", _no_winner),
    Claim(20, "Both can write music.", _writes),
)  # fmt: skip
"""In our words, with the numbers under which they are known here."""
