"""Byte pair encoding within notes, by the library `tokenizers`.

A note with its program, velocity and duration may become one token, and so may a part of it. No token has two notes, or
a move and a note. So each token has one onset and one pitch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.types import Tokens
from composer_miditok.tables import TIME_SIGNATURE, join_tokens, split_token

Ints = NDArray[np.int64]

MOVES = ("Bar", TIME_SIGNATURE, "Position", "TimeShift")

LEAST = 2
"""Fewest occurrences of a pair that is merged."""


def learn(names: tuple[str, ...], count: int, pieces: Iterable[Tokens]) -> tuple[str, ...]:
    """Learn at most `count` merges, the most frequent first: `Pitch_60 Duration_1.0.8` merges two tokens."""
    from tokenizers import Tokenizer, models, trainers

    letters = [_make_letter(token) for token in range(len(names))]
    words = ("".join(letters[token] for token in word) for tokens in pieces for word in split(names, tokens))
    trainer = trainers.BpeTrainer(
        vocab_size=len(names) + count, initial_alphabet=letters, min_frequency=LEAST, show_progress=False
    )
    model = Tokenizer(models.BPE())
    model.train_from_iterator(words, trainer)
    pairs = json.loads(model.to_str())["model"]["merges"]
    of = dict(zip(letters, names, strict=True))
    return tuple(" ".join(join_tokens([of[letter] for letter in side]) for side in pair) for pair in pairs)


def split(names: Sequence[str], tokens: Tokens) -> list[Tokens]:
    """Split tokens into notes; any other token is alone."""
    kinds = _mark_words(tuple(names))[tokens]
    begins = np.flatnonzero(kinds > 0)
    return [tokens[begin:end] for begin, end in pairwise([*begins.tolist(), len(tokens)])]


@lru_cache(maxsize=16)
def _mark_words(names: tuple[str, ...]) -> Ints:
    """Return (V,) 1 for the first token of a note and for tokens outside notes, 0 for the rest of a note."""
    kinds = [name.partition("_")[0] for name in names]
    first = ("Program",) if "Program" in kinds else ("Pitch", "NoteOn", "NoteOff")
    return np.array([kind in (*first, *MOVES, "BOS", "EOS") for kind in kinds], dtype=np.int64)


def list_merged(merges: Sequence[str]) -> tuple[str, ...]:
    """Return the merged tokens. Raises ValueError for an invalid merge."""
    if any(merge.count(" ") != 1 for merge in merges):
        raise ValueError("merges are pairs of tokens with a space between")
    return tuple(dict.fromkeys(join_tokens(merge.split(" ")) for merge in merges))


def apply(names: tuple[str, ...], merges: tuple[str, ...], base: int, tokens: Tokens) -> Tokens:
    """Merge tokens of the first `base` names."""
    if not merges:
        return tokens
    model = _build_encoder(names, merges)
    words = ["".join(map(_make_letter, word.tolist())) for word in split(names[:base], tokens)]
    return np.array(model.encode(words, is_pretokenized=True).ids, dtype=np.int64)


@lru_cache(maxsize=8)
def _build_encoder(names: tuple[str, ...], merges: tuple[str, ...]) -> Any:
    """Build the encoder of these merges."""
    from tokenizers import Tokenizer, models

    ids = {name: i for i, name in enumerate(names)}
    spelled = {name: "".join(_make_letter(ids[part]) for part in split_name(name)) for name in names}
    pairs = [(spelled[left], spelled[right]) for left, right in (merge.split(" ") for merge in merges)]
    return Tokenizer(models.BPE(vocab={spelled[name]: i for i, name in enumerate(names)}, merges=pairs))


def split_name(name: str) -> list[str]:
    """Return the names of the tokens that a merged one stands for."""
    return ["_".join(pair) for pair in split_token(name)]


def _make_letter(token: int) -> str:
    return chr(0x4E00 + token)
