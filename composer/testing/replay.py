"""Replays of sequences through a grammar, step by step: invariants and equalities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.request import Request
from composer.testing.rules import require
from composer.testing.sequences import name_tokens
from composer.tokens.vocabulary import BOS, EOS
from composer.tokens.whole import make_piece_inputs
from composer.types import Array, Grammar, SupportsStates, Tokenizer, Tokens


def check_replays(tokenizer: Tokenizer, replayed: Sequence[tuple[Request, Tokens]]) -> None:
    """Check that masks and inputs agree in a batch, alone and on torch, and that no call changes its argument."""
    grammar = tokenizer.grammar
    rows = _pad([tokens for _, tokens in replayed], 2)
    start = np.concatenate([grammar.start(request, 1) for request, _ in replayed])
    together = list(_step_through(tokenizer, start, rows))
    _check_ended(together, np.array([len(tokens) for _, tokens in replayed]))
    _check_bar_feature(grammar, together)
    for row, (_, tokens) in enumerate(replayed):
        alone = _step_through(tokenizer, start[row : row + 1], rows[row : row + 1, : len(tokens)])
        same = (
            _are_equal(one, [part[row : row + 1] for part in all_]) for one, all_ in zip(alone, together, strict=False)
        )
        require(all(same), "a row is the same in a batch as alone, whatever requests the others began from")
    _check_torch(grammar, start, rows, together)


def check_states(tokenizer: Tokenizer, sequences: Sequence[Tokens]) -> None:
    """Check that the states computed at once, if the grammar does that, are those of single steps."""
    grammar = tokenizer.grammar
    if not isinstance(grammar, SupportsStates):
        return
    states = [grammar.start(Request(), len(sequences))]
    for tokens in _pad(sequences).T:
        states.append(grammar.advance(states[-1], tokens))
    for row, tokens in enumerate(sequences):
        found, expected = (
            _call_unchanged(grammar.compute_states, tokens),
            np.array([state[row] for state in states[: len(tokens)]]),
        )
        require(
            found.shape == expected.shape, f"compute_states() is (T, S), here {expected.shape} and not {found.shape}"
        )
        differ = np.argwhere(found != expected)
        for place, column in differ[:1]:
            where = f"column {column} after {name_tokens(tokenizer, tokens[:place]) or 'nothing'}"
            require(False, f"compute_states() agrees with advance(); not in {where}")
        inputs = make_piece_inputs(grammar, tokens)
        same = np.array_equal(inputs, grammar.make_inputs(expected))
        require(same, "compute_inputs() agrees with make_inputs()")


def check_drums(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check that the musical state has the tick of each drum, where there are `Drum` tokens, up to what moves it."""
    grammar, info = tokenizer.grammar, tokenizer.token_info
    is_drum = info.is_drum
    if not is_drum[tokens].any():
        return
    state, told = grammar.start(request, 1), set()
    for token in tokens:
        if is_drum[token]:
            told.add(int(grammar.interpret(state).tick[0]))
        state = grammar.advance(state, np.array([token]))
    written = {int(tick) for track in tokenizer.decode(tokens).tracks if track.is_drum for tick in track.notes["start"]}
    off = sorted(_find_far(written, told, info.off_grid) | _find_far(told, written, info.off_grid))
    require(not off, f"the music has the tick of every drum; not so {off[:3]} of {name_tokens(tokenizer, tokens)}")


def _find_far(ticks: set[int], others: set[int], most: int) -> set[int]:
    """Find those of `ticks` that are farther than `most` from all others."""
    return {tick for tick in ticks if not any(abs(tick - other) <= most for other in others)}


def _pad(sequences: Sequence[Tokens], more: int = 0) -> NDArray[np.int64]:
    """Pad (B, T) sequences with EOS to the longest and `more`."""
    longest = max(len(tokens) for tokens in sequences) + more
    return np.array([np.pad(tokens, (0, longest - len(tokens)), constant_values=EOS) for tokens in sequences])


def _step_through(tokenizer: Tokenizer, state: Array, rows: NDArray[np.int64]) -> Iterator[list[Array]]:
    """Yield state, mask and inputs before each token of `rows` (B, T)."""
    grammar, last = tokenizer.grammar, np.full(len(rows), BOS)
    for tokens in rows.T:
        allowed, inputs = _call_unchanged(grammar.mask, state), _call_unchanged(grammar.make_inputs, state)
        _check_shapes(tokenizer, state, allowed, inputs)
        require(np.array_equal(inputs[:, 0], last), "the first column of inputs is the last token, BOS at the start")
        yield [state, allowed, inputs]
        after, last = _call_unchanged(partial(_advance, grammar, tokens), state), tokens
        require(
            after.shape == state.shape,
            f"a grammar's state has one size, (B, S), however long the piece; {state.shape} became {after.shape}",
        )
        state = after


def _advance(grammar: Grammar, tokens: Array, state: Array) -> Array:
    return grammar.advance(state, tokens)


def _call_unchanged(function: Callable[[Array], Array], state: Array) -> Array:
    before = state.copy()
    result = function(state)
    require(np.array_equal(before, state), "the argument of a grammar's function is unchanged")
    return result


def _check_shapes(tokenizer: Tokenizer, state: Array, allowed: Array, inputs: Array) -> None:
    grammar, rows = tokenizer.grammar, len(state)
    size = len(tokenizer.vocabulary)
    types = {"states": state.dtype, "inputs": inputs.dtype}
    small = [f"{name} are {kind}" for name, kind in types.items() if kind != np.int64]
    require(not small, f"states and inputs are int64; here {', '.join(small)}")
    require(allowed.shape == (rows, size) and allowed.dtype == bool, "allowed() is a mask (B, V) of booleans")
    sizes = np.array([column.size for column in grammar.columns])
    require(inputs.shape == (rows, len(sizes)), "inputs() has one column for each of `columns`")
    beyond = np.flatnonzero(((inputs < 0) | (inputs >= sizes)).any(axis=0))
    require(not len(beyond), f"inputs are 0..size-1; not so in {[grammar.columns[i].name for i in beyond]}")
    wrong = [column.name for column in grammar.columns if column.tokens and column.size != size]
    require(not wrong, f"a column of tokens is as large as the vocabulary; not so {wrong}")
    music = grammar.interpret(state)
    shapes = {field.name: getattr(music, field.name).shape[:1] for field in fields(music)}
    require(
        set(shapes.values()) == {(rows,)} and music.sounding.ndim == 2,
        f"facts are (B,), sounding (B, voices): {shapes}",
    )


def _check_ended(together: list[list[Array]], lengths: NDArray[np.int64]) -> None:
    """Check that only EOS follows EOS, and that the state stays as it is."""
    last_state, last_mask, _ = together[-1]
    require(np.all(last_mask.sum(axis=1) == 1) and np.all(last_mask[:, EOS]), "after EOS comes EOS alone")
    after = np.stack([together[length][0][row] for row, length in enumerate(lengths)])
    require(np.array_equal(after, last_state), "after EOS a row stays as it is")


def _check_bar_feature(grammar: Grammar, together: list[list[Array]]) -> None:
    """Check that a feature named `bar` changes where a bar begins, and nowhere else, since networks may count by it."""
    names = [column.name for column in grammar.columns]
    if "bar" not in names:
        return
    begun = np.diff([grammar.interpret(state).bar for state, *_ in together], axis=0)
    changed = np.diff([inputs[:, names.index("bar")] for *_, inputs in together], axis=0) != 0
    require(
        np.all((changed == (begun != 0)) | (begun > 1)),  # it counts modulo some number, and a move may skip bars
        "a feature named 'bar' changes after the token that begins a bar, and nowhere else",
    )


def _are_equal(one: list[Any], other: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _check_torch(grammar: Grammar, start: Array, rows: NDArray[np.int64], together: list[list[Array]]) -> None:
    import torch

    state = torch.asarray(start)
    for tokens, expected in zip(rows.T, together, strict=True):
        found = [state, grammar.mask(state), grammar.make_inputs(state)]
        require(
            all(isinstance(part, torch.Tensor) for part in found), "a state of torch gives masks and inputs of torch"
        )
        require(_are_equal([part.numpy() for part in found], expected), "a state of torch gives the arrays of NumPy's")
        state = grammar.advance(state, torch.asarray(tokens))
