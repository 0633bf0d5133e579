"""The contract of a grammar, on sequences drawn at random under several requests; it knows no music beforehand."""

from __future__ import annotations

import numpy as np

from composer.errors import CannotExpress
from composer.keys import parse_key
from composer.request import Request
from composer.testing.replay import check_replays, check_unrolled
from composer.testing.rules import rule
from composer.testing.sequences import draw, last_bar, spoken
from composer.types import Tokenizer, Tokens

REPLAYED = 3
"""So many sequences of each request are looked at step by step."""


def check_grammar(tokenizer: Tokenizer, rows: int = 1000, seed: int = 0) -> None:
    """`rows` random sequences end, decode and keep what was asked; a state says the same alone and in any company."""
    asked, replayed = requests(tokenizer), []
    for number, request in enumerate(asked):
        sequences = draw(tokenizer, request, -(-rows // len(asked)), seed=seed + number)
        for tokens in sequences:
            check_decodes(tokenizer, tokens)
            check_wishes(tokenizer, tokens, request)
        for tokens in sequences[:REPLAYED]:
            _check_bars(tokenizer, tokens, request)
        replayed += [(request, tokens) for tokens in sequences[:REPLAYED]]
    check_replays(tokenizer, replayed)
    check_unrolled(tokenizer, [tokens for _, tokens in replayed])


def requests(tokenizer: Tokenizer) -> list[Request]:
    """Free, for a number of bars, and with every wish that the vocabulary has a token for."""
    free = [Request(most_bars=12), Request(bars=5)]
    wishes = {
        wish: next((token.partition("_")[2] for token in tokenizer.vocabulary if token.startswith(kind)), None)
        for wish, kind in (("time_signature", "TimeSignature_"), ("key", "Key_"))
    }
    return [*free, Request(bars=2, tempo=90, **wishes)]  # type: ignore[arg-type]


def check_decodes(tokenizer: Tokenizer, tokens: Tokens) -> None:
    """A legal sequence decodes, and so does any beginning of it; what it decodes to is encoded and stays as it is."""
    score = tokenizer.decode(tokens)
    tokenizer.decode(tokens[: len(tokens) // 2])
    if not score.note_count:
        return
    try:
        settled = tokenizer.encode(score)
        again = tokenizer.encode(tokenizer.decode(settled))
    except CannotExpress as error:
        raise AssertionError(f"what decodes is encoded again: {error} {spoken(tokenizer, tokens)}") from error
    rule(np.array_equal(settled, again), f"what was decoded and encoded stays as it is: {spoken(tokenizer, tokens)}")


def check_wishes(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Time signature and key are the ones asked for, from beginning to end."""
    score = tokenizer.decode(tokens)
    if request.time_signature is not None:
        metres = {str(signature) for signature in score.time_signatures}
        rule(metres == {request.time_signature}, f"asked for {request.time_signature}, a piece is in {metres}")
    if request.key is not None:
        keys = {signature.key for signature in score.key_signatures}
        rule(keys == {parse_key(request.key)}, f"asked for {request.key}, a piece is in {keys}")


def _check_bars(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """There are as many whole bars as were asked for, and without a wish not too many."""
    whole = last_bar(tokenizer, tokens) - (tokenizer.decode(tokens).upbeat > 0)
    if request.bars is not None:
        rule(whole == request.bars, f"asked for {request.bars} bars, a piece has {whole}")
    rule(whole <= (request.bars or request.most_bars), f"a piece ends within most_bars; it has {whole} bars")
