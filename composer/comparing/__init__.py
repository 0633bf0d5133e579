"""A fair trial of architectures on one dataset; it knows none of them but by name.

trial.py     what is asked for              plan.py        the runs that answer it
budget.py    equal width, steps and time    tuning.py      the same small search for each
work.py      one run to one result          running.py     all of them, on an executor
ledger.py    results on disk                altered.py     less music, wrong notes, other keys
counting.py  what a network costs           probes.py      how far back one looks
recall.py    a motif after a gap            statistics.py  differences and how sure they are
"""
