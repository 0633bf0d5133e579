"""What contracts are checked on, without a model: random sequences of a grammar, and small scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from composer.music.keys import parse_key
from composer.music.score import (
    TICKS_PER_QUARTER,
    KeySignature,
    Score,
    Tempo,
    TimeSignature,
    Track,
    compute_bars,
    make_notes,
)
from composer.request import WHOLE, Request
from composer.testing.rules import BrokenRule, require
from composer.tokens.vocabulary import EOS
from composer.types import Array, Grammar, HasSamples, Tokenizer, Tokens

# --- random sequences -------------------------------------------------------------------------------------------------


Choice = NDArray[np.int64]


def draw(
    tokenizer: Tokenizer,
    request: Request,
    rows: int,
    *,
    seed: int = 0,
    mask: Callable[[Array], Array] | None = None,
    most: int = 20_000,
) -> list[Tokens]:
    """Draw `rows` whole sequences, primer and EOS included. Each allowed kind of token is equally likely.

    `mask` allows less, as that of `Grammar.fix_notes`. A state without a token, or a sequence beyond `most` tokens,
    breaks a rule.
    """
    grammar, choose = tokenizer.grammar, make_chooser(tokenizer, np.random.default_rng(seed))
    state, alive = grammar.start(request, rows), np.arange(rows)
    found: list[list[int]] = [[] for _ in range(rows)]
    for token in request.primer:
        state = grammar.advance(state, np.full(rows, token))
        for written in found:
            written.append(token)
    for _ in range(most):
        allowed = grammar.mask(state)
        if mask is not None:
            allowed = restrict(allowed, mask(state))
        check_not_empty(tokenizer, allowed, [found[row] for row in alive])
        tokens = choose(allowed)
        for row, token in zip(alive, tokens, strict=True):
            found[row].append(int(token))
        going = tokens != EOS
        state, alive = grammar.advance(state, tokens)[going], alive[going]
        if not len(alive):
            return [np.array(row, dtype=np.int64) for row in found]
    raise BrokenRule(f"a sequence drawn at random comes to an end: one of {most} tokens did not")


def restrict(allowed: Array, mask: Array) -> Array:
    """Intersect masks (B, V) of a grammar with those of its `fix_notes`, which are of the same shape."""
    require(
        mask.shape == allowed.shape,
        "fix_notes() gives masks (B, V) of the whole vocabulary, as mask() does; "
        f"they are {mask.shape} and {allowed.shape}",
    )
    return allowed & mask


def make_chooser(tokenizer: Tokenizer, random: np.random.Generator) -> Callable[[NDArray[np.bool_]], Choice]:
    """Make a function from masks (B, V) to random tokens (B,), fair between kinds of tokens."""
    kinds, kind_of = np.unique(tokenizer.token_info.kind, return_inverse=True)
    members = (kind_of[:, None] == np.arange(len(kinds))).astype(np.float32)

    def choose(allowed: NDArray[np.bool_]) -> Choice:
        of_kind = (allowed.astype(np.float32) @ members)[:, kind_of]
        # The least of exponential variables falls to each in proportion to its rate.
        waits = random.standard_exponential(allowed.shape, dtype=np.float32) * of_kind
        found: Choice = np.where(allowed, waits, np.inf).argmin(axis=1)
        return found

    return choose


def check_not_empty(tokenizer: Tokenizer, allowed: NDArray[np.bool_], sequences: list[list[int]]) -> None:
    """Check that every reachable state allows a token; the message shows the way to one that does not."""
    stuck = np.flatnonzero(~allowed.any(axis=1))
    if len(stuck):
        require(
            False,
            f"every reachable state allows a token; none may come after {name_tokens(tokenizer, sequences[stuck[0]])}",
        )


def name_tokens(tokenizer: Tokenizer, tokens: list[int] | Tokens, last: int = 24) -> str:
    """Name the last tokens of a sequence, for a message."""
    names = [tokenizer.vocabulary[token] for token in tokens[-last:]]
    return " ".join(["…", *names] if len(tokens) > last else names)


def describe_difference(tokenizer: Tokenizer, one: Tokens, other: Tokens) -> str:
    """Describe the first place where two sequences differ."""
    shorter = min(len(one), len(other))
    differ = np.flatnonzero(one[:shorter] != other[:shorter])
    place = int(differ[0]) if len(differ) else shorter
    was, became = (name_tokens(tokenizer, tokens[place : place + 1]) or "nothing" for tokens in (one, other))
    return f"after {name_tokens(tokenizer, one[:place], 8)}: {was} became {became}"


def count_bars(tokenizer: Tokenizer, tokens: Tokens) -> int:
    """Count the bars that a sequence has begun, a pickup included."""
    grammar = tokenizer.grammar
    state = grammar.start(WHOLE, 1)
    for token in tokens:
        state = grammar.advance(state, np.array([token]))
    return int(grammar.interpret(state).bar[0]) + 1


def check_legal(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check that every token of a sequence is allowed at its position."""
    grammar: Grammar = tokenizer.grammar
    state = grammar.start(request, 1)
    for place, token in enumerate(tokens):
        if not grammar.mask(state)[0, token]:
            raise BrokenRule(
                f"the grammar allows encoded tokens; {tokenizer.vocabulary[token]} is not after "
                f"{name_tokens(tokenizer, tokens[:place])}"
            )
        state = grammar.advance(state, np.array([token]))


# --- small scores -----------------------------------------------------------------------------------------------------


Line = Sequence[tuple[int, float]]


def make_part(notes: Line, *, name: str = "", program: int = 0) -> Track:
    """Make a track of successive (pitch, quarters); a pitch of 0 is a rest."""
    rows, tick = [], 0
    for pitch, quarters in notes:
        ticks = int(quarters * TICKS_PER_QUARTER)
        if pitch:
            rows.append((tick, ticks, pitch, 80))
        tick += ticks
    return Track(make_notes(rows), name, program)


def list_samples(thing: object) -> dict[str, Score]:
    """List the small scores that a thing brings for its checks, by name: its attribute `samples`, if it has one."""
    samples = thing.samples if isinstance(thing, HasSamples) else {}
    good = isinstance(samples, Mapping) and all(isinstance(score, Score) for score in samples.values())
    require(good, "`samples` are scores, each at its name")
    return dict(samples)


def lengthen(score: Score, bars: int) -> Score:
    """Repeat a score without an upbeat until it has at least so many bars."""
    found = compute_bars(score)
    length, count = int(found.starts[-1]), len(found.signatures)
    return replace(score, tracks=tuple(_repeat(track, length, -(-bars // count)) for track in score.tracks))


def _repeat(track: Track, length: int, times: int) -> Track:
    notes = np.tile(track.notes, times)
    notes["start"] += np.repeat(np.arange(times) * length, len(track.notes))
    return replace(track, notes=notes)


def _make_score(
    *parts: Track, metre: tuple[int, int] = (4, 4), key: str = "C", bpm: float = 120, upbeat: int = 0
) -> Score:
    return Score(
        parts,
        tempos=(Tempo(0, bpm),),
        time_signatures=(TimeSignature(0, *metre),),
        key_signatures=(KeySignature(0, parse_key(key)),),
        upbeat=upbeat,
    )


def make_drums(bars: int = 2) -> Track:
    """Make a beat of that many bars of 4/4: bass drum and snare by turns, with the hi-hat in quavers."""
    quarter, bass, snare, hat = TICKS_PER_QUARTER, 36, 38, 42
    beat = [(number * quarter, quarter // 2, snare if number % 2 else bass, 100) for number in range(4 * bars)]
    hats = [(number * quarter // 2, quarter // 2, hat, 70) for number in range(8 * bars)]
    return Track(make_notes([*beat, *hats]), "Drums", is_drum=True)


TUNE = [(67, 1.0), (64, 1.0), (65, 0.5), (62, 0.5), (60, 1.0), (0, 1.0), (64, 1.0), (67, 1.0), (72, 1.0)]

SAMPLES: Mapping[str, Score] = {
    "one note": _make_score(make_part([(60, 4)])),
    "a tune with a rest": _make_score(make_part(TUNE, name="Flute", program=73), bpm=90),
    "3/4 in D minor": _make_score(make_part([(62, 1), (65, 1), (69, 1), (74, 3)]), metre=(3, 4), key="Dm", bpm=150),
    "an upbeat": _make_score(make_part([(67, 1), (72, 2), (71, 1), (72, 4)]), upbeat=TICKS_PER_QUARTER),
    "two parts": _make_score(
        make_part([(72, 2), (71, 2)], name="Violin", program=40), make_part([(48, 4)], name="Cello", program=42)
    ),
    "four parts": _make_score(*(make_part([(pitch, 2), (pitch, 2)], program=52) for pitch in (72, 67, 64, 48))),
    "a tune with drums": _make_score(make_part(TUNE), make_drums()),
    "drums alone": _make_score(make_drums()),
}
"""Scores of one to four single-line parts, with drums or without, a few bars long."""
