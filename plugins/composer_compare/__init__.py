"""A fair comparison of architectures on one dataset. It refers to them by name only.

command.py         `composer compare`
explain.py         `composer explain`
spec.py            the specification
plan.py            the runs that answer it
budget.py          equal width, steps and time
tuning.py          the same small search for each
questions.py       the change that each question makes
worker.py          one run to one result
running.py         all of them, on an executor
result_store.py    results on disk
perturbed_data.py  fewer pieces, wrong notes, other keys
material.py        the music of a run
cost.py            the speed of an architecture
counting.py        the size of a network
probes.py          how far back a network looks
recall_task.py     a motif after a gap
written.py         the pieces that a model writes
values.py          figures of single results
results.py         results by question
statistics.py      differences and their uncertainty
verdict.py         who won
claims.py          common claims about LSTM and GRU
judging.py         how claims are judged
memory.py          the claims about memory
curves.py          the points of plots
plots.py           plots as SVG
report.py          the page and the data
soundness.py       validation of stored results
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
