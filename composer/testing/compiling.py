"""The contract of a compiled grammar: it agrees with the plain one, along random sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from composer.request import Request
from composer.testing.rules import require
from composer.tokens.jit import compile_grammar
from composer.types import Array, MusicalState, Tokenizer, Tokens


def check_compiled(tokenizer: Tokenizer, sequences: Sequence[tuple[Request, Tokens]]) -> None:
    """Check that masks, inputs, musical states and next states agree, in a batch; nothing where it is not compiled."""
    plain, quick = tokenizer.grammar, compile_grammar(tokenizer).grammar
    if plain is quick:
        return
    states = np.concatenate([plain.start(request, 1) for request, _ in sequences])
    for place in range(max(len(tokens) for _, tokens in sequences)):
        going = np.array([place < len(tokens) for _, tokens in sequences])
        sequences = [pair for pair, goes in zip(sequences, going, strict=True) if goes]
        states = states[going]
        tokens = np.array([tokens[place] for _, tokens in sequences])
        _check_same("mask", plain.mask(states), quick.mask(states))
        _check_same("make_inputs", plain.make_inputs(states), quick.make_inputs(states))
        here, there = plain.interpret(states), quick.interpret(states)
        for field in fields(MusicalState):
            _check_same(f"music.{field.name}", getattr(here, field.name), getattr(there, field.name))
        after = plain.advance(states, tokens)
        _check_same("advance", after, quick.advance(states, tokens))
        states = after


def _check_same(what: str, plain: Array, quick: Array) -> None:
    same = plain.shape == quick.shape and plain.dtype == quick.dtype and np.array_equal(plain, quick)
    require(same, f"`{what}` of a grammar treats every row alike, by functions of arrays: the compiled one differs")
