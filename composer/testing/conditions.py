"""The contract of conditions: any tokenizer can be told the labels of a piece, and datasets label pieces well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from composer.data.encoding import compute_inputs
from composer.data.labels import check_name
from composer.errors import BadOption
from composer.music.score import Score, make_labels
from composer.request import Request
from composer.testing.grammars import check_grammar
from composer.testing.rules import require
from composer.testing.sequences import draw, name_tokens
from composer.testing.tokenizers import check_encoding
from composer.tokens.conditions import LONGEST, Conditioned, Conditions, add_conditions, is_value, settle
from composer.types import Tokenizer

CONDITIONS: Conditions = (("mood", ("calm", "wild")), ("style", ("a_b=c", "funk")))
"""Conditions with which a tokenizer is checked."""


def check_conditioned(tokenizer: Tokenizer, scores: Sequence[Score], rows: int = 60) -> None:
    """Check a tokenizer with conditions, and these scores with labels, as any other tokenizer.

    Labels come back, every value can be asked for, and a piece whose label is forgotten is that without the label.
    """
    told = add_conditions(tokenizer, CONDITIONS)
    for number, score in enumerate(scores):
        _check_labels(told, replace(score, labels=_choose_labels(number)))
    _check_values(told)
    check_grammar(told, rows)


def _choose_labels(number: int) -> tuple[tuple[str, str], ...]:
    """Choose the labels of a score by its number: a value of each condition, or none."""
    pairs = ((name, ("", *values)[(number + 2 * place) % 3]) for place, (name, values) in enumerate(CONDITIONS))
    return make_labels(pairs)


def _check_labels(told: Tokenizer, score: Score) -> None:
    tokens = told.encode(score)
    require(told.decode(tokens).labels == score.labels, f"labels come back; not so {score.labels}")
    check_encoding(told, score)
    if isinstance(told, Conditioned):
        _check_forgetting(told, score)


def _check_forgetting(told: Conditioned, score: Score) -> None:
    """Check that forgetting gives the tokens and inputs of the same score without its labels."""
    tokens, plain = told.encode(score), told.encode(replace(score, labels=()))
    known, expected = compute_inputs(told, [tokens, plain])
    inputs, forgotten = told.forget(known, tokens, np.ones(len(CONDITIONS), dtype=bool))
    same = np.array_equal(forgotten, plain) and np.array_equal(inputs, expected)
    require(same, f"a piece whose labels are forgotten is that without labels; {name_tokens(told, plain, 8)}")


def _check_values(told: Tokenizer) -> None:
    """Check that a piece has what is asked for, for each value of each condition."""
    for name, values in CONDITIONS:
        for value in values:
            asked = settle(CONDITIONS, ((name, value),))
            for tokens in draw(told, Request(bars=1, conditions=asked), 2):
                found = told.decode(tokens).labels
                require(found == ((name, value),), f"a condition that is asked for is met; {value} became {found}")


def check_labels(score: Score) -> None:
    """Check that the labels of a piece of a dataset can be conditions."""
    for name, value in score.labels:
        try:
            check_name(name)
        except BadOption as error:
            require(False, f"a label has a name that can be an option; {error}")
        require(is_value(value), f"a label has at most {LONGEST} characters, which can be printed; {value[:LONGEST]}")
