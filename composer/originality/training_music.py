"""The indexed training music of a model, and whether a piece copies it."""

from __future__ import annotations

import warnings

from composer.data.corpus import Report, build
from composer.data.splits import SPLITS
from composer.devices import count_processors
from composer.errors import BadModelFile, BadOption, EmptyDataset, RequestWarning, UnknownName, printable
from composer.model import Model
from composer.music.score import Score
from composer.originality.held_out import TRAINED
from composer.originality.index import Music, build_index
from composer.originality.passages import compare
from composer.types import Tokenizer


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
