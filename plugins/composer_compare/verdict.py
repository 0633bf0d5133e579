"""The verdict on the likelihoods: who won, and how sure that is, in one paragraph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from composer_compare.statistics import LEVEL, Estimate, adjust_by_holm, estimate_difference, estimate_from_pieces

Scores = Mapping[str, Mapping[int, NDArray[np.float64]]]
"""Nats of each test piece (P,), by architecture and seed."""


@dataclass(frozen=True)
class Pair:
    """How far the second is behind the first, in nats per note; `p` is adjusted for the number of pairs.

    `detectable` is the difference that would have been found; see `Estimate.compute_detectable`. Its level is that of
    the strictest of Holm's steps, which no other pair changes. Infinite if unknown.
    """

    better: str
    worse: str
    behind: Estimate
    p: float
    seeds: int
    detectable: float = math.inf

    @property
    def decided(self) -> bool:
        """Whether the difference is beyond chance."""
        return self.p < 1 - LEVEL


@dataclass(frozen=True)
class Verdict:
    """The ranking, the best first; every pair; and a paragraph. `winner` is empty if there is none."""

    standing: Sequence[tuple[str, Estimate]]
    pairs: Sequence[Pair]
    winner: str
    losers: Sequence[str]
    text: str


def judge(scores: Scores, notes: NDArray[np.float64], equal: str = "") -> Verdict:
    """Judge these scores, of pieces with so many notes (P,).

    A winner is better than every other beyond chance, a loser worse than the best. All pairs are tested and adjusted
    by Holm's method: among equals, nothing is decided in 95 of 100 experiments.
    """
    known = {name: by_seed for name, by_seed in scores.items() if by_seed}
    found = {name: estimate_from_pieces(np.stack(list(by_seed.values())), notes) for name, by_seed in known.items()}
    standing = sorted(found.items(), key=lambda item: item[1].mean)
    pairs = _compare_pairs([name for name, _ in standing], known, notes)
    first = standing[0][0] if standing else ""
    ahead = [pair for pair in pairs if pair.better == first]
    winner = first if ahead and all(pair.decided for pair in ahead) else ""
    losers = [pair.worse for pair in ahead if pair.decided] if ahead else []
    seeds = min((len(by_seed) for by_seed in known.values()), default=0)
    return Verdict(standing, pairs, winner, losers, _write_paragraph(standing, ahead, winner, seeds, len(notes), equal))


def _compare_pairs(names: Sequence[str], scores: Scores, notes: NDArray[np.float64]) -> list[Pair]:
    """Compare every pair, the better one first, over the seeds that both have."""
    found = {}
    for better, worse in combinations(names, 2):
        seeds = sorted(scores[better].keys() & scores[worse].keys())
        if seeds:
            stacked = [np.stack([scores[name][seed] for seed in seeds]) for name in (worse, better)]
            found[better, worse] = estimate_difference(stacked[0], stacked[1], notes), len(seeds)
    corrected = adjust_by_holm({pair: estimate.p for pair, (estimate, _) in found.items()})
    level = 1 - (1 - LEVEL) / max(len(found), 1)
    return [
        Pair(*pair, estimate, corrected[pair], seeds, estimate.compute_detectable(level))
        for pair, (estimate, seeds) in found.items()
    ]


def _write_paragraph(
    standing: Sequence[tuple[str, Estimate]], ahead: Sequence[Pair], winner: str, seeds: int, pieces: int, equal: str
) -> str:
    if len(standing) < 2:
        return "No verdict: fewer than two architectures came to a result."
    name, best = standing[0]
    ground = f"over {_format_count(seeds, 'seed')} and {_format_count(pieces, 'held-out piece')}" + (
        f", {equal}" if equal else ""
    )
    behind = [pair for pair in ahead if pair.decided]
    open_ = [pair for pair in ahead if not pair.decided]
    if seeds < 2:
        return (
            f"No clear winner: {name} came first with {best.mean:.3f} nats per note, but one seed "
            "cannot tell luck from skill; take at least three."
        )
    if winner:
        near = min(behind, key=lambda pair: pair.behind.mean)
        return (
            f"{name} is best {ground}: {best.mean:.3f} nats per note, {_describe_pair(near)}. "
            + (f"{_describe_rest(behind, near)} " if len(behind) > 1 else "")
            + _describe_size(near.behind.mean, best.mean)
        )
    worse = _join_names([pair.worse for pair in behind])
    return (
        f"No clear winner {ground}. {name} came first with {best.mean:.3f} nats per note, but what divides it from "
        f"{_join_names([pair.worse for pair in open_])} may be chance: {'; '.join(map(_describe_pair, open_))}."
        + (f" {worse} {'is' if len(behind) == 1 else 'are'} behind beyond chance:"
           f" {'; '.join(map(_describe_pair, behind))}." if behind else "")
        + (" More seeds would tell." if seeds < 5 else "")
    )  # fmt: skip


def _describe_pair(pair: Pair) -> str:
    low, high = pair.behind.low, pair.behind.high
    is_open = not pair.decided and math.isfinite(pair.detectable)
    power = f" ({pair.detectable:.2g} would have been seen)" if is_open else ""
    return f"{pair.worse} {pair.behind.mean:+.3f} [{low:+.3f}, {high:+.3f}], p = {_format_p(pair.p)}{power}"


def _describe_rest(behind: Sequence[Pair], near: Pair) -> str:
    return "The others: " + "; ".join(_describe_pair(pair) for pair in behind if pair is not near) + "."


def _describe_size(by: float, of: float) -> str:
    share = by / of
    how = "a small" if share < 0.01 else "a moderate" if share < 0.05 else "a large"
    return f"That is sure beyond chance, and {how} difference: {share:.1%} of its nats."


def _format_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _format_count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _join_names(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
