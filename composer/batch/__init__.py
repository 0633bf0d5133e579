"""Batches: thousands of pieces from one file of jobs, nothing lost and nothing twice; it names no plugin.

    jobfile    a file of jobs -> tables, each with its lines
    jobs       tables -> cells: jobs with one value for each option
    plan       cells that are known to work, and what they will take
    places     the file names of pieces
    ledger     what is asked for, what is done, and what became of the rest, in SQLite
    work       a chunk of pieces -> their files' bytes; what executors run
    packing    what waits, in chunks
    running    chunks to an executor, and what comes back to the folder
    folder     what lies where, and what has to be put right
    gates      which pieces pass
    choosing   which of those stay
    manifest, parquet, status, gallery    what came of it, to be read

A piece depends on its model, request, seed and index alone. So nothing needs to be undone after a crash: what the
ledger does not call done is made once more, and comes out the same.
"""
