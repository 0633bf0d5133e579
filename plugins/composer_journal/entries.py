"""What the journal says of a piece, a run and a validation, as plain values."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from composer.types import Piece, RunView


def describe_piece(paths: Sequence[Path], piece: Piece) -> Mapping[str, Any]:
    """Describe a piece; one that was read has neither model nor seed."""
    made, request = piece.provenance, piece.provenance.get("request", {})
    about: dict[str, Any] = {"files": [str(path) for path in paths], "title": piece.title}
    if request:
        about |= {"model": made.get("model"), "model_hash": made.get("model_hash")}
        about |= {"seed": request.get("seed", 0), "index": request.get("index", 0)}
        about |= {"command": make_command(paths[0]), "provenance": dict(made)}
    return about


def make_command(path: Path) -> str:
    """Make the command that makes the piece in a file again, beside it."""
    return shlex.join(["composer", "regenerate", str(path), str(path.with_name(f"{path.stem}-again.mid"))])


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
