"""Labels of the pieces of a corpus, as the conditions of a model."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence

from composer.data.corpus import Corpus
from composer.errors import BadOption, RunWarning, printable, suggest
from composer.tokens.conditions import Conditions, add_conditions, is_name, is_value, split_conditions
from composer.types import Tokenizer

MOST_VALUES = 256
"""The most values of a condition."""

LEAST_PIECES = 3
"""Pieces of the training split that a value needs; a rarer one cannot be learned, and counts as none."""

MOST_SHOWN = 5
"""Unknown values that a warning names."""


def fit_conditions(tokenizer: Tokenizer, names: Sequence[str], corpus: Callable[[], Corpus]) -> Tokenizer:
    """Return the tokenizer with conditions of these names, whose values are those of the training pieces.

    `corpus` builds the music in the tokenizer's own tokens; it is called only if there are names. Raises BadOption for
    a label that no piece has, and for one that has too many values.
    """
    if not names:
        return tokenizer
    found = corpus()
    return add_conditions(tokenizer, tuple((name, _find_values(found, name)) for name in dict.fromkeys(names)))


def check_name(name: str) -> None:
    """Raise BadOption for a name that no condition can have."""
    if not is_name(name):
        raise BadOption(
            f"'{printable(name)}' cannot be a condition: use lower-case letters and dashes, as in my-style."
        )


def count_values(corpus: Corpus, name: str) -> Counter[str]:
    """Count the pieces of the training split by their values of a label; those without it are left out."""
    values = corpus.labels.get(name)
    numbers = corpus.split("train").tolist() if values else []
    return Counter(value for number in numbers if values and (value := values[number]))


def _find_values(corpus: Corpus, name: str) -> tuple[str, ...]:
    """Find the values of a condition, sorted. Raises BadOption for none, and for too many."""
    check_name(name)
    if name not in corpus.labels:
        there = suggest(name, corpus.labels) if corpus.labels else "they have no labels."
        raise BadOption(f"no piece is labelled with '{printable(name)}': {there}")
    counts = count_values(corpus, name)
    found = sorted(value for value, pieces in counts.items() if pieces >= LEAST_PIECES and is_value(value))
    if not found:
        raise BadOption(f"no {name} is that of {LEAST_PIECES} training pieces, which are needed to learn it.")
    if len(found) > MOST_VALUES:
        raise BadOption(f"the label '{name}' has {len(found):,} values; {MOST_VALUES} are the most of a condition.")
    return tuple(found)


def warn_of_labels(tokenizer: Tokenizer, corpus: Corpus) -> None:
    """Warn with RunWarning of labels of pieces for which the tokenizer has no token."""
    for name, values in split_conditions(tokenizer)[1]:
        lost = Counter(value for value in corpus.labels.get(name, ()) if value and value not in values)
        if lost:
            shown = ", ".join(f"{printable(value, 30)} ({pieces:,})" for value, pieces in lost.most_common(MOST_SHOWN))
            more = ", …" if len(lost) > MOST_SHOWN else ""
            text = f"pieces whose {name} the model does not know count as unlabelled: {shown}{more}."
            warnings.warn(text, RunWarning, stacklevel=2)


def describe_conditions(tokenizer: Tokenizer, corpus: Corpus) -> dict[str, dict[str, int]]:
    """Count the training pieces of each value of each condition, for a card."""
    conditions: Conditions = split_conditions(tokenizer)[1]
    return {name: {value: count_values(corpus, name)[value] for value in values} for name, values in conditions}
