"""A fair comparison of architectures on one dataset. It refers to them by name only.

command.py         `composer compare`
explain.py         `composer explain`
spec.py            the specification, and equal width, steps and time
plan.py            the runs that answer it
tuning.py          the same small search for each
questions.py       the change that each question makes
perturbed_data.py  the music of a run: fewer pieces, wrong notes, other keys
worker.py          one run to one result, and the pieces that the model writes
running.py         all of them, on an executor
result_store.py    results on disk
cost.py            the size and the speed of an architecture
probes.py          how far back a network looks, and a motif after a gap
results.py         results by question, and figures of single ones
statistics.py      differences and their uncertainty
verdict.py         who won
claims.py          common claims about LSTM and GRU
judging.py         how claims are judged
plots.py           plots as SVG
report.py          the page and the data
soundness.py       validation of stored results
leaderboard.py     runs of `composer train`, by the time to a likelihood
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Register `composer compare` and `composer explain`."""
    from composer_compare.command import compare
    from composer_compare.explain import explain

    return {"compare": compare, "explain": explain}
