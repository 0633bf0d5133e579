"""Common claims about LSTM and GRU, and the function that judges each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from composer_compare import judging, results
from composer_compare.judging import Finding
from composer_compare.results import Results


@dataclass(frozen=True)
class Claim:
    """A common claim, and the function that judges it by the results."""

    number: int
    text: str
    judge: Callable[[Results], Finding]


def judge_claims(findings: Results) -> list[tuple[Claim, Finding]]:
    """Judge every claim."""
    return [(claim, claim.judge(findings)) for claim in CLAIMS]


CLAIMS = (
    Claim(1, "A plain recurrent network has vanishing gradients and a short memory.", judging.judge_rnn_fading),
    Claim(2, "GRU has two gates, LSTM three.", judging.judge_counts("gates", {"gru": 2, "lstm": 3}, "gates")),
    Claim(
        3, "LSTM keeps a memory cell apart; GRU shows its whole state.",
        judging.judge_counts("state_tensors", {"gru": 1, "lstm": 2}, "tensors of state"),
    ),
    Claim(4, "GRU has fewer parameters and takes less memory.", judging.judge_size),
    Claim(5, "GRU is cheaper to compute and trains faster.", judging.judge_speed),
    Claim(6, "GRU needs less data.", judging.judge_robustness("data", 0.05, "lost with 5 % of the pieces")),
    Claim(7, "GRU copes better with noise.", judging.judge_robustness("noise", 0.2, "lost with 20 % of wrong notes")),
    Claim(8, "GRU overfits less.", judging.judge_gru_lower(results.compute_gap, "valid less train")),
    Claim(
        9, "LSTM overfits on small sets.",
        judging.judge_gru_lower(results.compute_gap, "valid less train at 5 % of the pieces", "data", 0.05),
    ),
    Claim(10, "LSTM learns long dependencies better.", judging.judge_recall),
    Claim(11, "LSTM is more accurate where there is much data.", judging.judge_accuracy),
    Claim(12, "LSTM is the more expressive, at equal width and at equal parameters.", judging.judge_expressiveness),
    Claim(13, "LSTM can explode at a high learning rate, where GRU does not.", judging.judge_divergence),
    Claim(14, "GRU may still have vanishing gradients.", judging.judge_gru_fading),
    Claim(15, "GRU generalises worse from biased music.", judging.judge_bias),
    Claim(16, "GRU is less code.", judging.judge_code),
    Claim(17, "Dropout keeps LSTM from overfitting.", judging.judge_dropout),
    Claim(18, "LSTM handles pieces of any length.", judging.judge_lengths),
    Claim(19, "There is no clear winner: it depends on the data.", judging.judge_tie),
    Claim(20, "Both can write music.", judging.judge_writing),
)  # fmt: skip
"""In our own words, with the numbers used in reports."""
