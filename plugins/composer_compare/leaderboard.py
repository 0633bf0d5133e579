"""A leaderboard: how soon a training comes to a likelihood, and how far it comes in an hour.

A row is a run of `composer train --run` that has ended: its command, and its likelihoods on the validation split as the
training went on. The file has a row a line, in JSON.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import click

from composer.errors import BadOption, BadRecipe, CannotWrite, printable
from composer.model import load
from composer.storage.inside import append_lines, expand_home, join_inside
from composer.storage.opening import read_bytes
from composer.training import run_folder

LARGEST = 2**26
"""The most bytes of a leaderboard, or of the metrics of a run."""

HOUR = 3600.0
"""The seconds within which a run does its best."""

_FAULTS = (KeyError, TypeError, ValueError, OverflowError, RecursionError)
"""What plain values raise that are no row."""


@dataclass(frozen=True)
class Row:
    """A run that has ended, one line of a leaderboard."""

    command: str  # that repeats it
    dataset: str
    pieces: int  # of the validation split
    architecture: str
    parameters: int
    seed: int
    machine: str
    curve: tuple[tuple[float, float], ...]  # seconds of training, and nats per note of the validation split
    test: float  # nats per note of the test split, of the best weights
    dataset_options: Mapping[str, Any] = field(default_factory=dict, compare=False)  # none of rows that lack them


@dataclass(frozen=True)
class Reached:
    """A likelihood on the validation split, in nats per note, and the seconds of training until then."""

    nats: float
    seconds: float


def find_time_to(row: Row, target: float) -> Reached | None:
    """Find the first validation with at most `target` nats per note; None if there is none."""
    return next((Reached(nats, seconds) for seconds, nats in row.curve if nats <= target), None)


def find_best(row: Row, limit: float = HOUR) -> Reached | None:
    """Find the best validation within `limit` seconds; None if there is none."""
    within = [(nats, seconds) for seconds, nats in row.curve if seconds <= limit]
    return Reached(*min(within)) if within else None


def get_test_within(row: Row, limit: float = HOUR) -> float | None:
    """Return the nats per note of the test split, if the weights that were tested are the best within `limit`."""
    best = find_best(row, limit)
    return row.test if best is not None and best == find_best(row, math.inf) else None


def rank(rows: Iterable[Row], target: float) -> list[Row]:
    """Sort rows by the time to the target, and those that never come to it by their best in an hour."""

    def make_key(row: Row) -> tuple[float, float]:
        reached, best = find_time_to(row, target), find_best(row)
        return (reached.seconds if reached else math.inf), (best.nats if best else math.inf)

    return sorted(rows, key=make_key)


# --- runs -------------------------------------------------------------------------------------------------------------


def read_run(folder: Path) -> Row:
    """Read the run in a folder. Raises BadRecipe if there is none, and BadOption if it cannot take part."""
    shown = printable(str(folder), 200)
    plain, started = run_folder.reopen_run(folder)
    out = Path(started.folder) / expand_home(plain["out"])
    if not run_folder.has_written(folder, out):
        raise BadOption(
            f"{shown}: its model is not at {printable(str(out), 200)}; put the model back there, or go on with "
            "`composer train --resume` if the run has not ended."
        )
    if started.beginning or has_recipe(started.command):
        raise BadOption(
            f"{shown}: was begun from a {'model' if started.beginning else 'recipe'}, so that its command alone does "
            "not repeat it; name all choices on the command line."
        )
    card = load(out).card
    try:
        if card["training"]["interrupted"] or card["training"]["failure"]:
            raise BadOption(f"{shown}: did not come to its end; go on with `composer train --resume`.")
        return _check_row(
            {
                "command": started.command,
                "dataset": plain["dataset"],
                "pieces": card["dataset"]["split"]["valid"],
                "architecture": plain["architecture"]["name"],
                "parameters": card["parameters"],
                "seed": card["seed"],
                "machine": card["training"]["machine"],
                "curve": _read_curve(folder),
                "test": card["test"]["nats_per_note"],
                "dataset_options": card["dataset"]["options"],
            }
        )
    except _FAULTS as error:
        raise BadOption(f"{shown}: its model or its metrics lack what a leaderboard says of it ({error}).") from error


def has_recipe(command: str) -> bool:
    """Tell whether a command of `composer train` has a recipe as its argument; if it cannot be read, too."""
    try:
        words = shlex.split(command)
    except ValueError:
        return True
    places = zip(["", *words], words, strict=False)
    return any(
        word.endswith(".toml") and word[0] != "-" and before not in ("--run", "--out") for before, word in places
    )


def _read_curve(folder: Path) -> list[list[float]]:
    text = read_bytes(join_inside(folder, run_folder.METRICS), LARGEST, BadRecipe).decode("utf-8", "replace")
    found = [json.loads(line) for line in text.splitlines()]
    return [[round(point["seconds"], 1), round(point["valid"], 5)] for point in found]


def _check_row(plain: Mapping[str, Any]) -> Row:
    """Make a row of plain values. Raises one of `_FAULTS` if they are none."""
    given = {"dataset_options": {}, **plain}
    row = Row(**{one.name: given[one.name] for one in fields(Row) if one.name != "curve"},
              curve=tuple((float(seconds), float(nats)) for seconds, nats in given["curve"]))  # fmt: skip
    words = (row.command, row.dataset, row.architecture, row.machine)
    counts = (row.pieces, row.parameters, row.seed)
    numbers = (row.test, *(value for point in row.curve for value in point))
    if not all(isinstance(word, str) for word in words) or not all(type(count) is int for count in counts):
        raise TypeError("a value of another type")
    if not isinstance(row.dataset_options, Mapping):
        raise TypeError("options that are no mapping")
    if not row.curve or not all(math.isfinite(number) for number in numbers):
        raise ValueError("a number that is not finite")
    return row


# --- the file ---------------------------------------------------------------------------------------------------------


def read_board(path: Path) -> list[Row]:
    """Read the rows of a leaderboard; none if there is no file. Raises BadOption for a line that is no row."""
    if not path.exists():
        return []
    rows = []
    lines = read_bytes(path, LARGEST, BadOption).decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(_check_row(json.loads(line)))
        except _FAULTS:
            raise BadOption(f"{printable(str(path))}: line {number} is no row of a leaderboard.") from None
    return rows


def enter(path: Path, folders: Sequence[Path]) -> list[Row]:
    """Enter runs in a leaderboard, and return all its rows. Nothing is written if one of them cannot take part.

    Raises BadOption for a run that is there already, and for one of other music; and CannotWrite.
    """
    new = [read_run(folder) for folder in folders]
    rows = read_board(path)
    for row, folder in zip(new, folders, strict=True):
        _check_entry(row, rows, printable(str(folder), 200))
        rows.append(row)
    _append(path, new)
    return rows


def _check_entry(row: Row, rows: Iterable[Row], shown: str) -> None:
    """Raise BadOption for a run that is there already, and for one of other music than those of the same dataset."""
    for other in rows:
        if row == other:
            raise BadOption(f"{shown}: is on the leaderboard already.")
        if row.dataset != other.dataset:
            continue
        if differing := _describe_options(row, other):
            raise BadOption(f"{shown}: was trained on other music: {printable(row.dataset)} with {differing}.")
        if row.pieces != other.pieces:
            raise BadOption(
                f"{shown}: was validated on {row.pieces} pieces of {printable(row.dataset)}, and the others on "
                f"{other.pieces}; they cannot be compared."
            )


def _describe_options(row: Row, other: Row) -> str:
    """Describe the first option of the dataset in which two rows differ, of those that both state; "" if none."""
    for name, value in row.dataset_options.items():
        if name in other.dataset_options and value != other.dataset_options[name]:
            said = [printable(str(one.dataset_options[name])) for one in (row, other)]
            return f"{printable(name)} {said[0]}, and the others with {said[1]}"
    return ""


def _append(path: Path, rows: Iterable[Row]) -> None:
    try:
        append_lines(path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))
    except OSError as error:
        raise CannotWrite(f"{printable(str(path))}: cannot be written ({error.strerror}).") from error


# --- what it says -----------------------------------------------------------------------------------------------------

HEADINGS = ("", "architecture", "parameters", "seed", "minutes to {target:g}", "best in an hour", "… minutes", "test")
"""The headings of the table; `target` is in nats per note."""


def show(rows: Sequence[Row], target: float, as_json: bool) -> None:
    """Print a leaderboard: a table for each dataset, with the command of each row."""
    from composer.cli.tables import print_table

    boards = {
        name: rank([row for row in rows if row.dataset == name], target) for name in {row.dataset: 0 for row in rows}
    }
    if as_json:
        click.echo(json.dumps([line for board in boards.values() for line in describe_rows(board, target)], indent=1))
        return
    for name, board in boards.items():
        headings = [heading.format(target=target) for heading in HEADINGS]
        print_table(f"Leaderboard of {name}, nats per note", headings, list_lines(board, target))
        for place, row in enumerate(board, 1):
            click.echo(f"{place}  {printable(row.command, 1_000)}\n   {printable(row.machine, 200)}")


def list_lines(rows: Sequence[Row], target: float) -> list[list[str]]:
    """List the cells of the table below `HEADINGS`, for ranked rows."""
    return [
        [
            str(place),
            row.architecture,
            f"{row.parameters:,}",
            str(row.seed),
            _format(find_time_to(row, target), lambda reached: f"{reached.seconds / 60:.1f}"),
            _format(find_best(row), lambda best: f"{best.nats:.3f}"),
            _format(find_best(row), lambda best: f"{best.seconds / 60:.1f}"),
            _format(get_test_within(row), lambda test: f"{test:.3f}"),
        ]
        for place, row in enumerate(rows, 1)
    ]


def _format(value: Any, form: Any) -> str:
    return "—" if value is None else form(value)


def describe_rows(rows: Sequence[Row], target: float) -> list[dict[str, Any]]:
    """Describe ranked rows as plain values, with what is computed from their curves."""
    found = []
    for row in rows:
        reached, best = find_time_to(row, target), find_best(row)
        found.append(
            {
                **asdict(row),
                "target": target,
                "seconds_to_target": reached and reached.seconds,
                "best_in_an_hour": best and best.nats,
                "test_in_an_hour": get_test_within(row),
            }
        )
    return found
