"""Claims about memory, judged by vanishing gradients and by the recall of a motif.

It knows results, and trains nothing.
"""

from __future__ import annotations

import numpy as np

from composer_compare.judging import (
    HELD,
    NOT_HELD,
    OPEN,
    Finding,
    estimate_paired_difference,
    judge_difference,
    report_missing,
)
from composer_compare.results import Results
from composer_compare.statistics import estimate_from_seeds
from composer_compare.values import collect_recall, compute_fading

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
    states = {judge_difference(beyond, name).state for name, beyond in apart.items()}
    state = NOT_HELD if NOT_HELD in states else HELD if states == {HELD} else OPEN
    return Finding(state, f"gradient over {FAR} tokens beside that over one: {said}")


def judge_gru_fading(found: Results) -> Finding:
    """Judge whether the gradient of gru falls below a tenth."""
    powers = _collect_fading(found, "gru", FARTHER)
    if not powers:
        return report_missing("the gradient of gru")
    said = f"gradient over {FARTHER} tokens beside that over one: gru {10 ** np.mean(list(powers.values())):.2g}"
    return Finding(judge_difference(estimate_from_seeds([power + 1 for power in powers.values()]), "gru").state, said)


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
