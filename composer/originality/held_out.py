"""The passages that held-out real pieces share with training pieces, since real Bach quotes Bach.

The training music of a model is indexed, and says whether a piece copies it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from composer.data.corpus import Report, build
from composer.data.splits import SPLITS
from composer.devices import count_processors
from composer.errors import BadModelFile, BadOption, EmptyDataset, RequestWarning, UnknownName, printable
from composer.model import Model
from composer.music.score import Score
from composer.originality.index import FOLDER, Index, Music, build_index
from composer.originality.passages import LEAST, Originality, combine, compare
from composer.storage.atomic import write_whole_file
from composer.types import Tokenizer

# --- held-out pieces --------------------------------------------------------------------------------------------------


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


# --- the training music of a model ------------------------------------------------------------------------------------


def index_training_music(model: Model, tokenizer: Tokenizer, report: Report | None = None) -> Music:
    """Index the training split of a model's music, unless it is in the cache.

    Raises BadModelFile if its card does not name the music, or the music is missing. Warns with RequestWarning if the
    number of pieces has changed.
    """
    from composer.data.datasets import make_training_dataset

    try:
        dataset, about = make_training_dataset(model), model.card["dataset"]
        workers = count_processors()
        corpus = build(dataset, tokenizer, name=about["name"], workers=workers, report=report)
        index = build_index(corpus, tokenizer, workers)
    except (BadOption, EmptyDataset, UnknownName) as error:
        raise BadModelFile(f"the training music of this model is missing: {error}") from error
    now = {side: len(corpus.split(side)) for side in SPLITS}
    if about.get("split", now) != now:
        text = f"the music of '{printable(str(about['name']))}' has changed since this model was trained."
        warnings.warn(text, RequestWarning, stacklevel=2)
    return index.select_split(TRAINED)


def describe_copy(score: Score, music: Music, most: int, start: int = 0) -> str:
    """Describe the passage from the tick `start` on that is longer than `most` bars; empty if there is none."""
    found = compare(score, music, start=start)
    return f"{found.copied_bars:.1f} bars copied" if found.copied_bars > most else ""
