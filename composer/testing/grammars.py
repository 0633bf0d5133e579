"""The contract of a grammar, on random sequences under several requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from composer.errors import CannotExpress
from composer.music.keys import parse_key
from composer.music.notes import compute_pitches, make_recent_notes
from composer.music.score import Score, compute_bars
from composer.request import Request
from composer.sampling.batch_state import begin, build_context
from composer.testing.compiling import check_compiled
from composer.testing.replay import check_replays, check_states
from composer.testing.rules import BrokenRule, require
from composer.testing.sequences import count_bars, draw, name_tokens
from composer.types import Tokenizer, Tokens

REPLAYED = 3
"""Sequences of each request that are checked step by step."""


def check_grammar(tokenizer: Tokenizer, rows: int = 1000, seed: int = 0) -> None:
    """Check that random sequences end, decode and meet their request, and that rows are independent of the batch."""
    asked, replayed = make_requests(tokenizer), []
    for number, request in enumerate(asked):
        sequences = draw(tokenizer, request, -(-rows // len(asked)), seed=seed + number)
        for tokens in sorted(sequences, key=len):  # to report the shortest that breaks a rule
            check_decodes(tokenizer, tokens)
            check_conditions(tokenizer, tokens, request)
        for tokens in sequences[:REPLAYED]:
            _check_bars(tokenizer, tokens, request)
            _check_music(tokenizer, tokens, request)
        replayed += [(request, tokens) for tokens in sequences[:REPLAYED]]
    check_replays(tokenizer, replayed)
    check_states(tokenizer, [tokens for _, tokens in replayed])
    check_compiled(tokenizer, replayed)


def make_requests(tokenizer: Tokenizer) -> list[Request]:
    """Make requests: free, for a number of bars, and with every condition that the vocabulary has a token for."""
    free = [Request(most_bars=12), Request(bars=5)]
    wishes = {
        wish: next((token.partition("_")[2] for token in tokenizer.vocabulary if token.startswith(kind)), None)
        for wish, kind in (("time_signature", "TimeSignature_"), ("key", "Key_"))
    }
    return [*free, Request(bars=2, tempo=90, **wishes)]  # type: ignore[arg-type]


def check_decodes(tokenizer: Tokenizer, tokens: Tokens) -> None:
    """Check that a legal sequence decodes, whole or cut short, and that its score encodes to a fixed point."""
    score = tokenizer.decode(tokens)
    tokenizer.decode(tokens[: len(tokens) // 2])
    if not score.note_count:
        return
    try:
        settled = tokenizer.encode(score)
        again = tokenizer.encode(tokenizer.decode(settled))
    except CannotExpress as error:
        raise BrokenRule(f"decoded music can be encoded: {error} {name_tokens(tokenizer, tokens)}") from error
    require(
        np.array_equal(settled, again),
        f"decoded music encodes to the same tokens again: {name_tokens(tokenizer, tokens)}",
    )


def check_conditions(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check that time signature and key are those of the request throughout."""
    score = tokenizer.decode(tokens)
    if request.time_signature is not None:
        metres = {str(signature) for signature in score.time_signatures}
        require(metres == {request.time_signature}, f"asked for {request.time_signature}, a piece is in {metres}")
    if request.key is not None:
        keys = {signature.key for signature in score.key_signatures}
        require(keys == {parse_key(request.key)}, f"asked for {request.key}, a piece is in {keys}")


def _check_music(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check that the musical states along a piece agree with its score: onsets, key and end."""
    score = tokenizer.decode(tokens)
    rows = replace(begin(tokenizer, [], [request]), recent_notes=make_recent_notes(1, len(tokens)))
    for token in tokens:
        context = build_context(tokenizer, rows)
        music = context.music
        require(np.all((music.others >= 0) & (music.bars_left >= 0)), "counts are at least 0")
        told = compute_pitches(context.token_info, music)[0, token]
        rows = rows.advance(tokenizer, np.array([token]), music)
        if told >= 0:
            require(0 <= music.position[0] < music.bar_ticks[0], "the position of a note is within its bar")
            require(
                music.beat[0] == music.position[0] // music.beat_ticks[0], "the beat of a note is that of its position"
            )
            begun = int(music.tick[0] - music.position[0])
            require(
                begun in _find_origins(score, begun), f"a bar begins at tick {begun}: {name_tokens(tokenizer, tokens)}"
            )
    if score.key_signatures:
        require(music.key[0] == score.key_signatures[0].key.index, "the musical state has the key of the score")
    require(music.bars_left[0] == 1 or request.bars is None, "after the requested number of bars, one bar is left")
    recent_notes = rows.recent_notes
    told_notes = {
        (int(tick), int(pitch)) for tick, pitch in zip(recent_notes.tick[0], recent_notes.pitch[0], strict=True)
    }
    written = [track.notes for track in score.tracks if not track.is_drum]
    notes = {(int(note["start"]), int(note["pitch"])) for part in written for note in part}
    off = sorted(notes ^ (told_notes - {(-1, -1)}))
    require(
        not off,
        f"the music has the (tick, pitch) of every note; not so {off[:3]} of {name_tokens(tokenizer, tokens)}",
    )


def _find_origins(score: Score, tick: int) -> list[int]:
    """List the ticks near `tick` at which bars begin; a pickup counts as if it were whole."""
    return [int(nominal) for nominal in compute_bars(score, max(tick, 0) + 1).nominal[-1:]]


def _check_bars(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check the number of whole bars, against the request or its limit."""
    whole = count_bars(tokenizer, tokens) - (tokenizer.decode(tokens).upbeat > 0)
    if request.bars is not None:
        require(whole == request.bars, f"asked for {request.bars} bars, a piece has {whole}")
    require(whole <= (request.bars or request.most_bars), f"a piece ends within most_bars; it has {whole} bars")
