"""The passages that held-out real pieces share with training pieces, since real Bach quotes Bach."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from composer.originality.index import FOLDER, Index
from composer.originality.passages import LEAST, Originality, combine, compare
from composer.storage.atomic import write_whole_file

HELD_OUT, TRAINED = "test", "train"

QUANTILES = (0.1, 0.5, 0.9)
"""The quantiles given for the figures of single pieces."""


def measure_held_out(index: Index, least: int = LEAST) -> Mapping[str, Any]:
    """Compute the figures of the test split against the training split, once; they are cached with the index.

    `copied_share` and `novelty` are over all notes and runs together; `of_pieces` has the 10 %, 50 % and 90
    % quantiles of the pieces. Raises CannotWrite.
    """
    path = index.corpus.folder / FOLDER / f"held-out-{least}.json"
    if (kept := _read_cached(path)) is not None:
        return kept
    music = index.select_split(TRAINED)
    pieces = [index.tokenizer.decode(index.corpus.read_piece(int(n))) for n in index.corpus.split(HELD_OUT)]
    found = summarise([compare(piece, music, least=least) for piece in pieces])
    with write_whole_file(path) as scratch:
        scratch.write_text(json.dumps({"figures": found, "digest": _compute_digest(found)}))
    return found


def _read_cached(path: Path) -> Mapping[str, Any] | None:
    """Read the cached figures; None if missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found["figures"] if found["digest"] == _compute_digest(found["figures"]) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _compute_digest(found: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(found, sort_keys=True).encode(), digest_size=16).hexdigest()


def summarise(found: Sequence[Originality]) -> dict[str, Any]:
    """Summarise the shared passages of some pieces, all together and piece by piece, as plain values."""
    whole = combine(found)
    each: dict[str, list[float]] = {
        "copied_share": [one.copied_share for one in found if one.notes],
        "longest_notes": [one.longest.notes for one in found if one.longest],
        "copied_bars": [one.copied_bars for one in found if one.notes],
    }
    spread = {name: np.quantile(values, QUANTILES).round(5).tolist() for name, values in each.items() if values}
    return {"pieces": len(found), **whole.to_json(), "of_pieces": spread}
