"""Batches: thousands of pieces from one file of jobs, none lost and none made twice.

    jobfile    a file of jobs -> tables, each with its lines
    jobs       tables -> cells: jobs with one value for each option
    plan       cells that are known to work, and what they will take
    places     the file names of pieces
    catalogue  what is asked for, what is done, and what became of the rest, in SQLite
    worker     a chunk of pieces -> their files' bytes; what executors run
    packing    what waits, in chunks
    scheduler  chunks to an executor, and what comes back to the folder
    folder     what lies where, and what has to be put right
    filters    which pieces pass
    choosing   which of those stay
    manifest, parquet, status, reports    what came of it, to be read

A piece depends on its model, request, seed and index alone. So nothing needs to be undone after a crash: what the
catalogue does not call done is made once more, and comes out the same.
"""

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@hookimpl
def register_commands() -> Offers:
    """Register `composer batch`."""
    from composer_batch.command import batch

    return {"batch": batch}
