"""Common claims about LSTM and GRU, and the function that judges each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from composer_compare import judging, memory, values
from composer_compare.judging import Finding
from composer_compare.results import Findings


@dataclass(frozen=True)
class Claim:
    """A common claim, and the function that judges it by the results."""

    number: int
    text: str
    judged: Callable[[Findings], Finding]


def examined(findings: Findings) -> list[tuple[Claim, Finding]]:
    """Judge every claim."""
    return [(claim, claim.judged(findings)) for claim in CLAIMS]


CLAIMS = (
    Claim(1, "A plain recurrent network has vanishing gradients and a short memory.", memory.fades),
    Claim(2, "GRU has two gates, LSTM three.", judging.counted("gates", {"gru": 2, "lstm": 3}, "gates")),
    Claim(
        3, "LSTM keeps a memory cell apart; GRU shows its whole state.",
        judging.counted("state_tensors", {"gru": 1, "lstm": 2}, "tensors of state"),
    ),
    Claim(4, "GRU has fewer parameters and takes less memory.", judging.smaller),
    Claim(5, "GRU is cheaper to compute and trains faster.", judging.cheaper),
    Claim(6, "GRU needs less data.", judging.more_hurt("data", 0.05, "lost with 5 % of the pieces")),
    Claim(7, "GRU copes better with noise.", judging.more_hurt("noise", 0.2, "lost with 20 % of wrong notes")),
    Claim(8, "GRU overfits less.", judging.gru_less(values.gap, "valid less train")),
    Claim(
        9, "LSTM overfits on small sets.",
        judging.gru_less(values.gap, "valid less train at 5 % of the pieces", "data", 0.05),
    ),
    Claim(10, "LSTM learns long dependencies better.", memory.remembers),
    Claim(11, "LSTM is more accurate where there is much data.", judging.more_accurate),
    Claim(12, "LSTM is the more expressive, at equal width and at equal parameters.", judging.more_expressive),
    Claim(13, "LSTM can explode at a high learning rate, where GRU does not.", judging.explodes),
    Claim(14, "GRU may still have vanishing gradients.", memory.gru_fades),
    Claim(15, "GRU generalises worse from biased music.", judging.worse_biased),
    Claim(16, "GRU is less code.", judging.less_code),
    Claim(17, "Dropout keeps LSTM from overfitting.", judging.dropout_helps),
    Claim(18, "LSTM handles pieces of any length.", judging.any_length),
    Claim(19, "There is no clear winner: it depends on the data.", judging.no_winner),
    Claim(20, "Both can write music.", judging.writes),
)  # fmt: skip
"""In our own words, with the numbers used in reports."""
