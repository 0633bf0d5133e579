"""Conditions: labels of a piece, which the model is told as tokens before its first one.

`Conditioned` wraps any tokenizer. Its vocabulary is that of the inner tokenizer, and after it, for each condition, a
token for none and one for each value: `Condition_style=`, `Condition_style=funk`. A piece begins with one token of each
condition, in their order, and goes on in tokens of the inner tokenizer. The model sees the value of each condition at
every step, as it sees key and time signature.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_namespace, make_range
from composer.errors import BadOption, printable, suggest
from composer.music.score import Labels, Score, make_labels
from composer.request import Request
from composer.tokens.vocabulary import BOS, EOS
from composer.tokens.whole import make_piece_inputs
from composer.types import (
    Array,
    Column,
    Grammar,
    MusicalState,
    Span,
    SupportsFrames,
    SupportsStates,
    SupportsTranspose,
    TokenInfo,
    Tokenizer,
    Tokens,
)

Conditions: TypeAlias = "tuple[tuple[str, tuple[str, ...]], ...]"
"""The conditions of a model: names, each with its values in the order of their tokens."""

NONE = "none"
"""How a user asks for no label, unless it is a value."""

LONGEST = 60
"""Characters of a name or a value."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def is_name(text: str) -> bool:
    """Tell whether a condition can have this name, which becomes an option."""
    return len(text) <= LONGEST and bool(_NAME.fullmatch(text))


def is_value(text: str) -> bool:
    """Tell whether a condition can have this value: any text that can be printed."""
    return 0 < len(text) <= LONGEST and text.isprintable()


def add_conditions(tokenizer: Tokenizer, conditions: Conditions) -> Tokenizer:
    """Return a tokenizer that writes these conditions before each piece; without any, the tokenizer itself.

    It has the optional methods that the tokenizer has, and no others.
    """
    if not conditions:
        return tokenizer
    kind = isinstance(tokenizer, SupportsFrames), isinstance(tokenizer, SupportsTranspose)
    return _KINDS[kind](tokenizer, conditions)


def split_conditions(tokenizer: Tokenizer) -> tuple[Tokenizer, Conditions]:
    """Return the tokenizer without its conditions, and these."""
    return (tokenizer.inner, tokenizer.conditions) if isinstance(tokenizer, Conditioned) else (tokenizer, ())


def check_wanted(conditions: Conditions, wanted: Iterable[tuple[str, str]]) -> Labels:
    """Return the conditions that a request states, "" for none.

    Raises BadOption, with the nearest match, for an unknown condition or value.
    """
    known, stated = dict(conditions), []
    for name, value in wanted:
        if name not in known:
            some = suggest(name, known) if known else "it was trained without any."
            raise BadOption(f"this model has no condition '{printable(name)}': {some}")
        if value not in known[name] and value not in ("", NONE):
            raise BadOption(f"this model has no {name} '{printable(value)}': {suggest(value, known[name])}")
        stated.append((name, value if value in known[name] else ""))
    return tuple(stated)


def settle(conditions: Conditions, labels: Iterable[tuple[str, str]]) -> Labels:
    """Return the value of every condition among `labels`; "" where there is none, or one that is unknown."""
    stated = dict(labels)
    return tuple((name, value if (value := stated.get(name, "")) in values else "") for name, values in conditions)


# --- the grammar ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConditionedGrammar:
    """The grammar of a conditioned tokenizer with K conditions.

    After the inner state come K columns with the value that each condition has (0 before its token, 1 for none, then
    the values), and K with the value that the request asks for (0 for any).
    """

    inner: Grammar
    inner_size: int  # of the vocabulary
    conditions: Conditions

    @cached_property
    def firsts(self) -> tuple[int, ...]:
        """The token for none of each condition, which those of its values follow."""
        counts = [1 + len(values) for _, values in self.conditions]
        return tuple(self.inner_size + sum(counts[:place]) for place in range(len(counts)))

    @property
    def size(self) -> int:
        """V, the size of the vocabulary."""
        return self.firsts[-1] + 1 + len(self.conditions[-1][1])

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the inner grammar, and one with the value of each condition."""
        inner = [replace(column, size=self.size) if column.tokens else column for column in self.inner.columns]
        own = [Column(f"condition {name}", 2 + len(values)) for name, values in self.conditions]
        return (replace(inner[0], size=self.size), *inner[1:], *own)

    def start(self, request: Request, rows: int) -> Array:
        """Return states before the first token. Raises BadOption for an unknown condition or value."""
        begun = self.inner.start(request, rows)
        stated = dict(check_wanted(self.conditions, request.conditions))
        own = np.zeros((rows, 2 * len(self.conditions)), dtype=np.int64)
        for place, (name, values) in enumerate(self.conditions, start=len(self.conditions)):
            if name in stated:
                own[:, place] = 1 + ("", *values).index(stated[name])
        return np.concatenate([begun, own], axis=1)

    def _split(self, state: Array) -> tuple[Array, Array, Array, Array]:
        """Split states into the inner ones, the values, those asked for, and (B,) the number of tokens to come."""
        xp, count = get_namespace(state), len(self.conditions)
        inner, values, wanted = state[:, : -2 * count], state[:, -2 * count : -count], state[:, -count:]
        return inner, values, wanted, xp.sum(xp.where(values == 0, 1, 0), axis=1)

    def mask(self, state: Array) -> Array:
        """Return the mask of allowed tokens, (B, V)."""
        inner, _, wanted, left = self._split(state)
        blocks = [self.inner.mask(inner) & (left == 0)[:, None]]
        for place, (_, values) in enumerate(self.conditions):
            number, asked = make_range(1 + len(values), state), wanted[:, place][:, None]
            turn = left == len(self.conditions) - place
            blocks.append(turn[:, None] & ((asked == 0) | (number + 1 == asked)))
        return get_namespace(state).concat(blocks, axis=1)

    def advance(self, state: Array, tokens: Array) -> Array:
        """Return the states after `tokens`."""
        xp = get_namespace(state)
        inner, values, wanted, left = self._split(state)
        begun = left == 0
        # A token of a condition is unknown to the inner grammar, which stays at its start.
        after = self.inner.advance(inner, xp.where(begun, tokens, xp.full_like(tokens, EOS)))
        columns = [xp.where(begun[:, None], after, inner)]
        for place, first in enumerate(self.firsts):
            turn = left == len(self.conditions) - place
            columns.append(xp.where(turn, tokens - first + 1, values[:, place])[:, None])
        return xp.concat([*columns, wanted], axis=1)

    def make_inputs(self, state: Array) -> Array:
        """Compute the features of the model's input, (B, C)."""
        xp = get_namespace(state)
        inner, values, _, left = self._split(state)
        inputs = self.inner.make_inputs(inner)
        told = xp.zeros_like(left)
        for place, first in enumerate(self.firsts):
            told = xp.where(left == len(self.conditions) - place - 1, values[:, place] + first - 1, told)
        last = xp.where(inputs[:, 0] == BOS, told, inputs[:, 0])  # the inner grammar has BOS at its start alone
        return xp.concat([last[:, None], inputs[:, 1:], values], axis=1)

    def interpret(self, state: Array) -> MusicalState:
        """Interpret states in musical terms."""
        return self.inner.interpret(self._split(state)[0])

    def fix_notes(self, score: Score, spans: Sequence[Span]) -> Callable[[Array], Array]:
        """Return masks that keep the notes of `score` in `spans`; conditions are free."""
        masks, own, count = self.inner.fix_notes(score, spans), self.size - self.inner_size, len(self.conditions)

        def mask(state: Array) -> Array:
            xp, inner = get_namespace(state), masks(state[:, : -2 * count])
            free = xp.broadcast_to(state[:, :1] == state[:, :1], (state.shape[0], own))
            return xp.concat([inner, free], axis=1)

        return mask


@dataclass(frozen=True)
class ConditionedStates(ConditionedGrammar):
    """The same around a grammar that computes all states of a piece at once."""

    def compute_states(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the states before each token of a piece, (T, S), equal to those of `advance`."""
        count = len(self.conditions)
        begun = self.inner.start(Request(), min(count, len(tokens)))
        whole = self.inner.compute_states(tokens[count:]) if len(tokens) > count else begun[:0]  # type: ignore[attr-defined]
        own = np.zeros((len(tokens), 2 * count), dtype=np.int64)
        for place, first in enumerate(self.firsts):
            own[place + 1 :, place] = tokens[place] - first + 1
        return np.concatenate([np.concatenate([begun, whole]), own], axis=1)

    def compute_inputs(self, tokens: Tokens) -> NDArray[np.int64]:
        """Compute the model's inputs before each token of a piece, (T, C), equal to those of `make_inputs`."""
        count = len(self.conditions)
        begun = self.make_inputs(self.compute_states(tokens[:count]))
        if len(tokens) <= count:
            return begun
        inner = make_piece_inputs(self.inner, tokens[count:])
        inner[0, 0] = tokens[count - 1]  # the inner grammar has BOS at its start
        values = [tokens[place] - first + 1 for place, first in enumerate(self.firsts)]
        told = np.tile(np.array(values, dtype=np.int64), (len(inner), 1))
        return np.concatenate([begun, np.concatenate([inner, told], axis=1)])


# --- the tokenizer ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conditioned:
    """A tokenizer with conditions, each with its values; an unknown value counts as none."""

    inner: Tokenizer
    conditions: Conditions

    @property
    def canonical(self) -> bool:
        """Whether a piece has one sequence, as of the inner tokenizer."""
        return bool(getattr(self.inner, "canonical", True))

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The inner vocabulary, and the tokens of each condition."""
        own = (f"Condition_{name}={value}" for name, values in self.conditions for value in ("", *values))
        return (*self.inner.vocabulary, *own)

    @cached_property
    def token_info(self) -> TokenInfo:
        """The meaning of each token."""
        info = self.inner.token_info
        own = len(self.vocabulary) - len(info.kind)
        none = np.full(own, -1, dtype=np.int64)
        return replace(
            info,
            kind=np.concatenate([info.kind, np.full(own, "Condition")]),
            pitch=np.concatenate([info.pitch, none]),
            ticks=np.concatenate([info.ticks, none]),
            position=np.concatenate([info.position, none]),
            key=np.concatenate([info.key, none]),
        )

    @cached_property
    def grammar(self) -> Grammar:
        """The grammar: conditions, and then the inner one."""
        inner, size = self.inner.grammar, len(self.inner.vocabulary)
        kind = ConditionedStates if isinstance(inner, SupportsStates) else ConditionedGrammar
        return kind(inner, size, self.conditions)

    @property
    def samples(self) -> Mapping[str, Score]:
        """The small scores that the inner tokenizer brings for its checks."""
        found: Mapping[str, Score] = getattr(self.inner, "samples", {})
        return found

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: place for place, token in enumerate(self.vocabulary)}

    def encode(self, score: Score, *, ends: bool = True) -> Tokens:
        """Encode the labels of a score, and then the score."""
        told = [self._ids[f"Condition_{name}={value}"] for name, value in settle(self.conditions, score.labels)]
        inner = self.inner.encode(score, ends=ends)
        return np.concatenate([np.array(told, dtype=inner.dtype), inner])

    def decode(self, tokens: Tokens) -> Score:
        """Decode tokens to a score with its labels."""
        is_own = tokens >= len(self.inner.vocabulary)
        pairs = (self.vocabulary[token].partition("_")[2].partition("=") for token in tokens[is_own].tolist())
        return replace(self.inner.decode(tokens[~is_own]), labels=make_labels((n, value) for n, _, value in pairs))

    def forget(
        self, inputs: NDArray[np.integer], tokens: NDArray[np.integer], forgotten: NDArray[np.bool_]
    ) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Copy model `inputs` (T, C) and `tokens` (T,) of a piece without its labels where `forgotten` (K,) is true."""
        inputs, tokens, count = inputs.copy(), tokens.copy(), len(self.conditions)
        for place in np.flatnonzero(forgotten).tolist():
            none = self._ids[f"Condition_{self.conditions[place][0]}="]
            tokens[place] = none
            inputs[place + 1 : place + 2, 0] = none
            inputs[place + 1 :, inputs.shape[1] - count + place] = 1
        return inputs, tokens


class _Transposes(Conditioned):
    def transpose(self, tokens: Tokens, semitones: int) -> Tokens:
        """Transpose a piece as the inner tokenizer does."""
        told, inner = np.split(tokens, [len(self.conditions)])
        return np.concatenate([told, self.inner.transpose(inner, semitones)])  # type: ignore[attr-defined]


class _Frames(Conditioned):
    def assign_frames(self, tokens: Tokens) -> NDArray[np.int64]:
        """Assign a frame to each token of a piece; -1 for none."""
        count = len(self.conditions)
        inner = self.inner.assign_frames(tokens[count:])  # type: ignore[attr-defined]
        return np.concatenate([np.full(len(tokens[:count]), -1), inner])


class _FramesAndTransposes(_Frames, _Transposes):
    pass


_KINDS = {
    (False, False): Conditioned,
    (False, True): _Transposes,
    (True, False): _Frames,
    (True, True): _FramesAndTransposes,
}
"""The class of a tokenizer, by whether the inner one writes frames, and transposes pieces itself."""
