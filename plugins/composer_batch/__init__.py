"""Batches: thousands of pieces from one file of jobs, none lost and none made twice.

    command.py    `composer batch`
    jobfile.py    a file of jobs -> tables, each with its lines
    jobs.py       tables -> points of grids: jobs with one value for each option; file names
    requests.py   jobs -> requests, checked against their models
    plan.py       points -> checked cells, no two pieces the same; an estimate of time and size
    cell.py       pieces that differ in their index only
    catalogue.py  the state and the result of each piece, in SQLite
    schema.py     what a file of jobs and a catalogue may hold
    scheduler.py  waiting pieces in chunks to an executor, and results into the folder
    worker.py     a chunk of pieces -> the bytes of their files; run by executors
    filters.py    which pieces pass
    folder.py     the layout of the folder, its manifest and repair, and the best pieces
    progress.py   progress, live or as lines
    reports.py    the gallery, the table and the state

A piece depends on its model, request, seed and index only. So nothing needs to be undone after a crash: a piece that is
not `done` in the catalogue is made again, and is the same.
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Register `composer batch`."""
    from composer_batch.command import batch

    return {"batch": batch}
