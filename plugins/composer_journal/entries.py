"""What the journal says of a piece, a run and a validation, as plain values."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from composer.io.formats import is_read
from composer.io.outputs import name_sidecar
from composer.types import Piece, RunView


def describe_piece(paths: Sequence[Path], piece: Piece) -> Mapping[str, Any]:
    """Describe a piece; one that was read has neither model nor seed."""
    made, request = piece.provenance, piece.provenance.get("request", {})
    about: dict[str, Any] = {"files": [str(path) for path in paths], "title": piece.title}
    if request:
        about |= {"model": made.get("model"), "model_hash": made.get("model_hash")}
        about |= {"seed": request.get("seed", 0), "index": request.get("index", 0)}
        about |= {"command": _make_command(paths), "provenance": dict(made)}
    return about


def _make_command(paths: Sequence[Path]) -> str | None:
    """Make the command that makes a piece again; None if no file tells how, as sound alone does not."""
    for path in paths:
        if is_read(path) or name_sidecar(path).is_file():
            return shlex.join(["composer", "regenerate", str(path), str(path.with_name(f"{path.stem}-again.mid"))])
    return None


def describe_run(run: RunView) -> Mapping[str, Any]:
    """Describe a run at its start."""
    about = {"dataset": run.corpus.about["name"], "seed": run.seed}
    return about | {"step": run.progress.step, "steps": run.progress.steps} | _describe_folder(run)


def describe_validation(run: RunView) -> Mapping[str, Any]:
    """Describe a validation; likelihoods are in nats per note."""
    now = run.progress
    figures = {"step": now.step, "train": now.train, "valid": now.valid, "best": now.best}
    return figures | _describe_folder(run)


def _describe_folder(run: RunView) -> dict[str, str | None]:
    return {"folder": str(run.folder.absolute()) if run.folder else None}
