"""`composer journal`: the last lines of the journal as a table, or as they are."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from composer.errors import BadOption, UnreadableFile, printable
from composer_journal import VARIABLE


@click.command()
@click.argument("path", required=False, metavar="[FILE]", type=click.Path(path_type=Path))
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many lines, the newest last.")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they are, with the provenance of each piece.")
def journal(path: Path | None, last: int, as_json: bool) -> None:
    """Show what was made lately: pieces, trainings, batches.

    FILE is a journal, that of COMPOSER_JOURNAL unless given. One is begun by this variable alone:

    \b
    export COMPOSER_JOURNAL=~/journal.jsonl
    composer generate chorale.mid
    composer journal
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.cli.tables import print_table
    from composer.storage.inside import expand_home
    from composer_journal.file import read_lines

    named = path or os.environ.get(VARIABLE)
    if not named:
        raise BadOption(f"there is no journal; set {VARIABLE}, or name a file.")
    chosen = expand_home(str(named))
    try:
        lines = deque(read_lines(chosen), maxlen=last)
    except OSError as error:
        raise UnreadableFile(f"{printable(str(chosen))}: cannot be read ({error.strerror}).") from error
    if as_json:
        for line in lines:
            click.echo(json.dumps(line, ensure_ascii=False).encode("utf-8", errors="replace"))
        return
    print_table("Journal", ["when, UTC", "what", "where", "of"], [_make_row(line) for line in lines])


def _make_row(line: Mapping[str, Any]) -> list[str]:
    files = line.get("files") if isinstance(line.get("files"), list) else [line.get("folder") or ""]
    when = str(line.get("at", ""))[:19].replace("T", " ")
    return [when, line["event"], ", ".join(map(str, files or [])), _describe(line)]


def _describe(line: Mapping[str, Any]) -> str:
    """Describe a line in a few words, by what it has."""
    if isinstance(pieces := line.get("pieces"), dict):
        return ", ".join(f"{count} {state}" for state, count in pieces.items())
    names = ("model", "dataset", "seed", "index", "step", "valid", "best")
    return ", ".join(f"{name} {line[name]}" for name in names if line.get(name) not in (None, ""))
