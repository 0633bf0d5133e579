"""The contract of a dataset, on its first sources alone."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from itertools import islice

from composer.data.splits import SPLITS
from composer.music.score import Score
from composer.testing.rules import rebuild, require
from composer.types import Dataset, PredefinedSplit


def check_dataset(dataset: Dataset, sources: int = 2, pieces: int = 5) -> None:
    """Check that a dataset states its origin, and that the first pieces of the first sources are stable."""
    for name in ("title", "licence", "source", "citation"):
        text = getattr(dataset, name)
        require(isinstance(text, str) and text.strip(), f"a dataset states its {name}")
    require(rebuild(dataset) == dataset, "a dataset rebuilt from its fields is equal")
    for name in ("tokenizer_options", "training_options", "suggested"):
        require(isinstance(getattr(dataset, name, None), Mapping), f"a dataset's {name} are a mapping, empty for none")
    names = list(dataset.list_sources())
    require(names, "a dataset has sources")
    require(len(set(names)) == len(names), "no two sources have the same name")
    require(names == list(dataset.list_sources()), "sources come in the same order every time")
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301  (made a line before)
    require(list(copy.list_sources()) == names, "a dataset can be pickled, and keeps its sources")
    if isinstance(dataset, PredefinedSplit):
        sides = [dataset.split(name) for name in names]
        require(set(sides) <= set(SPLITS), f"a split is one of {', '.join(SPLITS)}")
        require(set(sides) == set(SPLITS), "a predefined split leaves none of the three empty")
        require(
            isinstance(copy, PredefinedSplit) and sides == [copy.split(name) for name in names],
            "a source stays in its split",
        )
    read = [_check_source(dataset, copy, name, pieces) for name in names[:sources]]
    everywhere = [name for found in read for name in found]
    require(len(set(everywhere)) == len(everywhere), "no two pieces have the same name")


def _check_source(dataset: Dataset, copy: Dataset, source: str, pieces: int) -> list[str]:
    mark = dataset.fingerprint(source)
    require(
        isinstance(mark, str) and mark == copy.fingerprint(source), "the fingerprint of a source is a text that stays"
    )
    first, second = (list(islice(one.read(source), pieces)) for one in (dataset, copy))
    require(
        [name for name, _ in first] == [name for name, _ in second], f"the names of pieces stay; not so in {source}"
    )
    for (name, one), (_, other) in zip(first, second, strict=True):
        require(isinstance(one, Score | Exception), f"a piece is a Score or an error; not so {name}")
        require(not isinstance(one, Score) or one == other, f"a piece is the same every time; not so {name}")
    return [name for name, _ in first]
