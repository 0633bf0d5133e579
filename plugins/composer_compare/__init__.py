"""A fair trial of architectures on one dataset; it knows none of them but by name.

command.py         `composer compare`
explain.py         `composer explain`
spec.py            what is asked for
plan.py            the runs that answer it
budget.py          equal width, steps and time
tuning.py          the same small search for each
questions.py       what each question changes
worker.py          one run to one result
running.py         all of them, on an executor
result_store.py    results on disk
perturbed_data.py  less music, wrong notes
material.py        the music of a run
cost.py            how fast an architecture is
counting.py        what a network costs
probes.py          how far back one looks
recall_task.py     a motif after a gap
written.py         what a model writes
values.py          figures of single results
results.py         results by question
statistics.py      differences and how sure they are
verdict.py         who won
claims.py          what is said of LSTM and GRU
judging.py         how claims are judged
memory.py          … those of memory
curves.py          the lines of plots
plots.py           plots as SVG
report.py          the page and the data
soundness.py       whether a result is one that a run of its kind comes to
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Offer `composer compare` and `composer explain`."""
    from composer_compare.command import compare
    from composer_compare.explain import explain

    return {"compare": compare, "explain": explain}
