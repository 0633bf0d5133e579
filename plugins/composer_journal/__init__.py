"""A journal: a line of JSON for each piece that is written, each training run and its validations, and each batch.

    export COMPOSER_JOURNAL=~/journal.jsonl
    composer generate first.mid
    composer journal

Without the variable nothing is written. `composer journal` shows the last lines. Each line has `event` and `at`, the
time; then

    piece       files (the paths), title, and of a model's piece model, model_hash, seed, index, command (that makes it
                again), provenance (whole)
    run         dataset, seed, step (above 0 where it is resumed), steps, folder
    validation  step, train and valid (nats per note), best, folder
    batch       folder, pieces (by state)

A line is written in one piece, at the end of the file, so that several processes may share a journal. The provenance of
a line, saved as JSON, is all that `composer regenerate` needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer import hookimpl

if TYPE_CHECKING:  # imported for each piece, so nothing is loaded before it is known that there is a journal
    from composer.types import Offers, Piece, RunView

COMPOSER_API = 1

VARIABLE = "COMPOSER_JOURNAL"
"""The environment variable with the path of the journal."""


@hookimpl
def piece_written(paths: tuple[Path, ...], piece: Piece) -> None:
    """Add a line about a piece."""
    if VARIABLE in os.environ:
        from composer_journal.entries import describe_piece

        _add("piece", describe_piece(paths, piece))


@hookimpl
def run_started(run: RunView) -> None:
    """Add a line about a run that begins, or is resumed."""
    if VARIABLE in os.environ:
        from composer_journal.entries import describe_run

        _add("run", describe_run(run))


@hookimpl
def validated(run: RunView) -> None:
    """Add a line with the figures of a validation."""
    if VARIABLE in os.environ:
        from composer_journal.entries import describe_validation

        _add("validation", describe_validation(run))


@hookimpl
def batch_finished(folder: Path, counts: Mapping[str, int]) -> None:
    """Add a line about a batch."""
    _add("batch", {"folder": str(folder), "pieces": dict(counts)})


@hookimpl
def register_commands() -> Offers:
    """Register `composer journal`."""
    from composer_journal.command import journal

    return {"journal": journal}


def _add(event: str, values: Mapping[str, Any]) -> None:
    """Add a line to the journal, if there is to be one. Raises CannotWrite."""
    if name := os.environ.get(VARIABLE):
        from composer_journal.file import add_line

        add_line(name, event, values)
