"""The contract of a dataset, on its first sources alone."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from itertools import islice

from composer.data.splits import SPLITS
from composer.music.score import Score
from composer.testing.rules import rebuilt, rule
from composer.types import Dataset, Divided


def check_dataset(dataset: Dataset, sources: int = 2, pieces: int = 5) -> None:
    """Check that a dataset states its origin, and that the first pieces of the first sources are stable."""
    for name in ("title", "licence", "source", "citation"):
        text = getattr(dataset, name)
        rule(isinstance(text, str) and text.strip(), f"a dataset states its {name}")
    rule(rebuilt(dataset) == dataset, "a dataset rebuilt from its fields is equal")
    for name in ("tokenizer_options", "training_options", "suggested"):
        rule(isinstance(getattr(dataset, name, None), Mapping), f"a dataset's {name} are a mapping, empty for none")
    names = list(dataset.sources())
    rule(names, "a dataset has sources")
    rule(len(set(names)) == len(names), "no two sources have the same name")
    rule(names == list(dataset.sources()), "sources come in the same order every time")
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301  (made a line before)
    rule(list(copy.sources()) == names, "a dataset can be pickled, and keeps its sources")
    if isinstance(dataset, Divided):
        sides = [dataset.side(name) for name in names]
        rule(set(sides) <= set(SPLITS), f"a split is one of {', '.join(SPLITS)}")
        rule(set(sides) == set(SPLITS), "a predefined split leaves none of the three empty")
        rule(isinstance(copy, Divided) and sides == [copy.side(name) for name in names], "a source stays in its split")
    read = [_check_source(dataset, copy, name, pieces) for name in names[:sources]]
    everywhere = [name for found in read for name in found]
    rule(len(set(everywhere)) == len(everywhere), "no two pieces have the same name")


def _check_source(dataset: Dataset, copy: Dataset, source: str, pieces: int) -> list[str]:
    mark = dataset.fingerprint(source)
    rule(isinstance(mark, str) and mark == copy.fingerprint(source), "the fingerprint of a source is a text that stays")
    first, second = (list(islice(one.read(source), pieces)) for one in (dataset, copy))
    rule([name for name, _ in first] == [name for name, _ in second], f"the names of pieces stay; not so in {source}")
    for (name, one), (_, other) in zip(first, second, strict=True):
        rule(isinstance(one, Score | Exception), f"a piece is a Score or an error; not so {name}")
        rule(not isinstance(one, Score) or one == other, f"a piece is the same every time; not so {name}")
    return [name for name, _ in first]
