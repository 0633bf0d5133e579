"""Byte pair encoding within notes: pairs of tokens that become one, learnt by MidiTok; it knows no grammar.

A note with its program, velocity and length may become one token, and so may a part of it. A token never says two notes
nor a move and a note, so that what is told of it (where it is, which pitch it strikes) is true of all that it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.types import Tokens
from composer_miditok.scheme import Scheme
from composer_miditok.tables import joined, ours, theirs, vocabulary

Ints = NDArray[np.int64]

MOVES = ("Bar", "TimeSignature", "Position", "TimeShift")

LEAST = 2
"""A pair is joined if it is met so often."""


def learn(scheme: Scheme, count: int, pieces: Iterable[Tokens]) -> tuple[str, ...]:
    """At most so many merges, the most frequent pair first: `Pitch_60 Duration_1.0.8`, each of which joins two tokens."""
    import json
    from copy import deepcopy

    library = deepcopy(scheme.library)  # training changes it
    letter = dict(library._vocab_base_id_to_byte.items())
    names = vocabulary(scheme)
    letters = [letter[library.vocab[theirs(name)]] if i > 1 else "" for i, name in enumerate(names)]
    words = ["".join(letters[token] for token in word) for tokens in pieces for word in split(names, tokens)]
    words = [word for word in words if len(word) > 1]
    if not words:
        return ()
    library.train(len(library.vocab) + count, model="BPE", iterator=words, min_frequency=LEAST)
    name_of = {library._vocab_base_id_to_byte[i]: ours(name) for name, i in library.vocab.items()}
    pairs = json.loads(library._model.to_str())["model"]["merges"]
    return tuple(" ".join(joined([name_of[byte] for byte in side]) for side in pair) for pair in pairs)


def split(names: Sequence[str], tokens: Tokens) -> list[Tokens]:
    """The tokens of notes, note by note, and each of the others alone."""
    kinds = _word_kinds(tuple(names))[tokens]
    begins = np.flatnonzero(kinds > 0)
    return [tokens[begin:end] for begin, end in pairwise([*begins.tolist(), len(tokens)])]


@lru_cache(maxsize=16)
def _word_kinds(names: tuple[str, ...]) -> Ints:
    """(V,) 1 for tokens that a note begins with and for those that are no part of one, 0 for the rest of a note."""
    kinds = [name.partition("_")[0] for name in names]
    first = ("Program",) if "Program" in kinds else ("Pitch", "NoteOn", "NoteOff")
    return np.array([kind in (*first, *MOVES, "BOS", "EOS") for kind in kinds], dtype=np.int64)


def learnt(merges: Sequence[str]) -> tuple[str, ...]:
    """The tokens that merges make. Raises ValueError for a text that is no merge."""
    if any(merge.count(" ") != 1 for merge in merges):
        raise ValueError("merges are pairs of tokens with a space between")
    return tuple(dict.fromkeys(joined(merge.split(" ")) for merge in merges))


def apply(names: tuple[str, ...], merges: tuple[str, ...], base: int, tokens: Tokens) -> Tokens:
    """Tokens of the first `base` names, joined wherever merges say so."""
    if not merges:
        return tokens
    model = _model(names, merges)
    words = ["".join(map(_letter, word.tolist())) for word in split(names[:base], tokens)]
    return np.array(model.encode(words, is_pretokenized=True).ids, dtype=np.int64)


@lru_cache(maxsize=8)
def _model(names: tuple[str, ...], merges: tuple[str, ...]) -> Any:
    """The encoder of the library that MidiTok learns with."""
    from tokenizers import Tokenizer, models

    place = {name: i for i, name in enumerate(names)}
    spelled = {name: "".join(_letter(place[part]) for part in split_name(name)) for name in names}
    pairs = [tuple(spelled[name] for name in merge.split(" ")) for merge in merges]
    return Tokenizer(models.BPE(vocab={spelled[name]: i for i, name in enumerate(names)}, merges=pairs))


def split_name(name: str) -> list[str]:
    """The names of the tokens that a learnt one joins."""
    kinds, _, values = name.partition("_")
    return [f"{kind}_{value}" for kind, value in zip(kinds.split("+"), values.split("+"), strict=True)]


def _letter(token: int) -> str:
    return chr(0x4E00 + token)
