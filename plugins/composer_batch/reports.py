"""Reports of a batch, all shards together: a gallery, a table as Parquet, and the state.

The gallery has the best pieces on a page, by the exporter of pages if there is one. The table is the catalogue, for
data frames.
"""

from __future__ import annotations

import heapq
import html
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import quote

from composer.errors import BadOption, ComposerError, UnreadableFile, printable
from composer.io import formats
from composer.plugins.registry import registry
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_batch.catalogue import STATES, open_catalogue
from composer_batch.folder import PARQUET, find_catalogues, make_path

# --- the gallery ------------------------------------------------------------------------------------------------------


SUFFIX = ".html"


def write(out: Path, page: Path, top: int) -> int:
    """Write the `top` best ranked pieces to `page`. Return how many there were.

    Raises BadOption if there is no batch, or no finished piece, and CannotWrite.
    """
    check_page(page)
    paths = find_catalogues(out)
    if not paths:
        raise BadOption(f"{printable(str(out))}: contains no batch.")
    best = heapq.nsmallest(top, _read_best(paths, top), key=_make_sort_key)
    if not best:
        raise BadOption(f"{printable(str(out))}: no piece is done yet.")
    if SUFFIX not in registry().offers["exporters"] or not _export_page(out, page, best):
        with write_whole_file(page) as scratch:
            scratch.write_text(_build_plain_page(out, page, best), encoding="utf-8")
    return len(best)


def _make_sort_key(row: dict[str, Any]) -> tuple[float, ...]:
    """Return the sort key of a piece; pieces without a rank come last."""
    return tuple(inf if row[name] is None else row[name] for name in ("rank", "distance", "number"))


def check_page(page: Path) -> None:
    """Raise BadOption for a file that is no page."""
    if page.suffix.lower() != SUFFIX:
        raise BadOption(f"{printable(str(page))}: a gallery must be a page, such as best.html.")


def list_files(out: Path) -> Iterator[Path]:
    """Yield the files of all finished pieces of a batch."""
    for path in find_catalogues(out):
        with open_catalogue(path, reading=True) as catalogue:
            for row in catalogue.read_pieces("done"):
                yield from _list_paths(out, row)


def _read_best(paths: Sequence[Path], top: int) -> Iterator[dict[str, Any]]:
    for path in paths:
        with open_catalogue(path, reading=True) as catalogue:
            yield from islice(catalogue.read_pieces("done", order="rank, distance, number"), top)


def _export_page(out: Path, page: Path, best: Sequence[dict[str, Any]]) -> bool:
    """Export the pieces to a page. Tell whether an exporter took them."""
    readers = registry().offers["readers"]
    pieces = []
    for row in best:
        path = next((path for path in _list_paths(out, row) if path.suffix.lower() in readers), None)
        if path is None:
            return False
        pieces.append(Piece(formats.read(path), {**formats.read_provenance(path), "title": row["stem"]}))
    try:
        formats.write(pieces, page)
    except ComposerError:  # it may take one piece only
        return False
    return True


def _list_paths(out: Path, row: dict[str, Any]) -> list[Path]:
    return [make_path(out, row["stem"], suffix) for suffix in row["files"]]


def _build_plain_page(out: Path, page: Path, best: Sequence[dict[str, Any]]) -> str:
    """Build a page of links. All values from the batch are escaped text."""
    rows = []
    for rank, row in enumerate(best, start=1):
        links = ", ".join(_format_link(path, page) for path in _list_paths(out, row))
        metrics = row["metrics"] or {}
        broken = ", ".join(metrics.get("broken", ())) or "none"
        nats = metrics.get("nats per note")
        cells = [str(rank), links, html.escape(row["model"]), str(row["seed"]), str(row["index"])]
        cells += [str(metrics.get("notes", "?")), "?" if nats is None else f"{nats:.3f}", html.escape(broken)]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    headings = ("", "files", "model", "seed", "index", "notes", "nats per note", "rules broken")
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    title = html.escape(f"The best {len(best)} of {out.name or out}")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title>\n<h1>{title}</h1>\n'
        f"<table>\n<tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>\n</html>\n"
    )


def _format_link(path: Path, page: Path) -> str:
    target = Path(os.path.relpath(path.absolute(), page.absolute().parent)).as_posix()
    return f'<a href="{html.escape(quote(target))}">{html.escape(path.name)}</a>'


# --- the catalogue as Parquet -----------------------------------------------------------------------------------------


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


# --- the state --------------------------------------------------------------------------------------------------------


def summarise(out: Path) -> dict[str, Any]:
    """Count pieces by state, rejections by gate, and the reasons of failures. Raises BadOption without a batch."""
    paths = find_catalogues(out)
    if not paths:
        raise BadOption(f"{printable(str(out))}: contains no batch.")
    states: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    shards = []
    for path in paths:
        with open_catalogue(path, reading=True) as catalogue:
            states.update(catalogue.count_states())
            rejections.update(catalogue.count_rejections())
            aside.update(row["reason"] for row in catalogue.read_pieces("failed", "reason"))
            shards.append(catalogue.read_header()["shard"])
    return {
        "pieces": states.total(),
        "states": {state: states[state] for state in STATES if states[state]},
        "rejections": dict(rejections.most_common()),
        "set aside": dict(aside.most_common(20)),
        "shards": ", ".join(shards) if shards != ["1/1"] else "",
    }
