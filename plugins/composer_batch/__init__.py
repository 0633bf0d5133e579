"""Batches: thousands of pieces from one file of jobs, none lost and none made twice.

    jobfile    a file of jobs -> tables, each with its lines
    jobs       tables -> points of grids: jobs with one value for each option
    plan       points -> checked cells
    trial      an estimate of time and size
    places     the file names of pieces
    catalogue  the state and the result of each piece, in SQLite
    packing    waiting pieces -> chunks
    worker     a chunk of pieces -> the bytes of their files; run by executors
    scheduler  chunks to an executor, and results into the folder
    folder     the layout of the folder, and its repair
    filters    which pieces pass
    choosing   which of those are kept
    manifest, parquet, status, reports    results, for people and other programs

A piece depends on its model, request, seed and index only. So nothing needs to be undone after a crash: a piece that
is not `done` in the catalogue is made again, and is the same.
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Register `composer batch`."""
    from composer_batch.command import batch

    return {"batch": batch}
