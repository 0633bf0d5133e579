"""The catalogue of a batch as Parquet, all shards together, for tables and data frames."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from composer.errors import BadOption, UnreadableFile, printable
from composer.storage.atomic import write_whole_file
from composer_batch.catalogue import open_catalogue
from composer_batch.folder import PARQUET, find_catalogues

GROUP = 8192
"""Rows in memory at once."""

COLUMNS = {
    **dict.fromkeys(("number", "job", "seed", "index", "tries", "attempt", "bytes", "run"), "int64"),
    **dict.fromkeys(("model", "model_hash", "state", "stem", "asked", "files", "metrics", "reason"), "string"),
    **dict.fromkeys(("rank", "distance", "seconds", "made_at"), "float64"),
}
"""The columns of the catalogue, with their types. Those with several values are JSON."""


def check() -> None:
    """Raise BadOption where Parquet cannot be written."""
    if find_spec("pyarrow") is None:
        raise BadOption("pyarrow, which writes Parquet, is not installed; `pip install 'composer-midi[parquet]'`.")


def write_parquet(out: Path) -> None:
    """Write a row for each requested piece, whatever its state. Raises CannotWrite."""
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in COLUMNS.items()])
    with write_whole_file(out / PARQUET) as scratch, parquet.ParquetWriter(scratch, schema) as writer:
        for path in find_catalogues(out):
            with open_catalogue(path, reading=True) as catalogue:
                rows = catalogue.read_rows(list(COLUMNS))
                while group := list(islice(rows, GROUP)):
                    columns: dict[str, Any] = dict(zip(COLUMNS, zip(*group, strict=True), strict=True))
                    try:
                        writer.write_table(pyarrow.table(columns, schema=schema))
                    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
                        what = printable(" ".join(str(error).split()), 160)
                        shown = printable(str(path))
                        raise UnreadableFile(f"{shown}: corrupt, or not a catalogue ({what}).") from None
