"""A fair trial of architectures on one dataset; it knows none of them but by name.

trial.py      what is asked for             plan.py        the runs that answer it
budget.py     equal width, steps and time   tuning.py      the same small search for each
questions.py  what each question changes    work.py        one run to one result
running.py    all of them, on an executor   ledger.py      results on disk
altered.py    less music, wrong notes       material.py    the music of a run
pacing.py     how fast an architecture is   counting.py    what a network costs
probes.py     how far back one looks        recall.py      a motif after a gap
written.py    what a model writes           values.py      figures of single results
findings.py   results by question           statistics.py  differences and how sure they are
verdict.py    who won                       claims.py      what is said of LSTM and GRU
judging.py    how claims are judged         memory.py      … those of memory
curves.py     the lines of plots            plots.py       plots as SVG
report.py     the page and the data
"""
