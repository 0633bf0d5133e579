"""A fair trial of architectures on one dataset; it knows none of them but by name.

trial.py     what is asked for              plan.py        the runs that answer it
budget.py    equal width, steps and time    tuning.py      the same small search for each
work.py      one run to one result          running.py     all of them, on an executor
ledger.py    results on disk                altered.py     less music, wrong notes, other keys
material.py  the music of a run             pacing.py      how fast an architecture is
written.py   what a model writes           curves.py      the lines of plots
values.py    figures of single results     judging.py     how claims are judged
counting.py  what a network costs           probes.py      how far back one looks
recall.py    a motif after a gap            statistics.py  differences and how sure they are
"""
