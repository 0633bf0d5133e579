"""The contract of a tokenizer: its vocabulary, encoding and decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from composer.errors import CannotExpress
from composer.music.score import Score, Track, compute_bars
from composer.request import WHOLE, Request
from composer.testing.replay import check_drums, check_states
from composer.testing.rules import BrokenRule, rebuild, require
from composer.testing.sequences import check_legal, count_bars, describe_difference, draw, lengthen
from composer.types import SupportsFrames, SupportsTranspose, Tokenizer, Tokens

LONG_BARS = 150
"""Bars of a long piece: more than a signed byte counts, and more ticks than 16 bits hold."""


def check_tokenizer(tokenizer: Tokenizer, scores: Sequence[Score]) -> None:
    """Check the vocabulary, equality by fields, and that `scores` come back as far as they are represented."""
    _check_vocabulary(tokenizer)
    again = rebuild(tokenizer)
    require(again == tokenizer, "a tokenizer rebuilt from its fields is equal")
    require(again.vocabulary == tokenizer.vocabulary, "a tokenizer rebuilt from its fields has the same vocabulary")
    _check_meaning(tokenizer)
    for score in scores:
        check_encoding(tokenizer, score)
        check_continuation(tokenizer, score)


def check_long_score(tokenizer: Tokenizer, score: Score, bars: int = LONG_BARS) -> None:
    """Check `score`, repeated until it has so many bars, as any other score, and that more bars may follow."""
    long = lengthen(score, bars)
    check_encoding(tokenizer, long)
    check_continuation(tokenizer, long, rows=2)


def _check_vocabulary(tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.vocabulary
    require(vocabulary[:2] == ("BOS_None", "EOS_None"), "a vocabulary begins with BOS_None and EOS_None")
    require(len(set(vocabulary)) == len(vocabulary), "no token is twice in a vocabulary")
    strange = [token for token in vocabulary if not all(token.partition("_"))]
    require(not strange, f"tokens are Type_Value; these are not: {strange[:3]}")


def _check_meaning(tokenizer: Tokenizer) -> None:
    token_info, size = tokenizer.token_info, (len(tokenizer.vocabulary),)
    for name in ("kind", "pitch", "ticks"):
        require(getattr(token_info, name).shape == size, f"{name} of the token info has one entry a token")
    kinds = [token.partition("_")[0] for token in tokenizer.vocabulary]
    require(token_info.kind.tolist() == kinds, "kind of the token info is the Type of each token")
    pairs = [token.partition("_") for token in tokenizer.vocabulary]
    metres = [value for kind, _, value in pairs if kind == "TimeSignature"]
    require(list(token_info.time_signatures) == metres, "meaning.time_signatures are those that tokens state")
    pitched = [token for token, pitch in zip(tokenizer.vocabulary, token_info.pitch, strict=True) if pitch >= 0]
    wrong = [
        token for token in pitched if token.startswith("Pitch_") and token != f"Pitch_{_find_pitch(tokenizer, token)}"
    ]
    require(not wrong, f"the token info of Pitch_n has the MIDI pitch n; not so for {wrong[:3]}")


def _find_pitch(tokenizer: Tokenizer, token: str) -> int:
    return int(tokenizer.token_info.pitch[tokenizer.vocabulary.index(token)])


def check_encoding(tokenizer: Tokenizer, score: Score) -> None:
    """Check that one score comes back, its tokens are legal, and its open form is the beginning of a piece."""
    tokens = tokenizer.encode(score)
    strange = tokens[(tokens < 0) | (tokens >= len(tokenizer.vocabulary))]
    require(not len(strange), f"the tokens of a score are in the vocabulary; not so {strange[:3].tolist()}")
    kept = tokenizer.decode(tokens)
    try:
        again = tokenizer.encode(kept)
    except CannotExpress as error:
        raise BrokenRule(f"decoded music can be encoded; {error}") from error
    require(
        np.array_equal(again, tokens),
        f"decode, then encode gives the same tokens; {describe_difference(tokenizer, tokens, again)}",
    )
    require(tokenizer.decode(again) == kept, "music decoded twice is equal")
    require(tokens[-1] == 1 and np.count_nonzero(tokens <= 1) == 1, "EOS is the last token, and BOS is not encoded")
    check_legal(tokenizer, tokens, WHOLE)
    check_drums(tokenizer, tokens, WHOLE)
    if isinstance(tokenizer, SupportsFrames):
        check_frames(tokenizer, tokens)
    if isinstance(tokenizer, SupportsTranspose):
        check_transposed(tokenizer, tokenizer.transpose, tokens)
    opened = tokenizer.encode(score, ends=False)
    require(not np.any(opened <= 1), "with ends=False there is no EOS")
    check_legal(tokenizer, opened, WHOLE)
    check_states(tokenizer, [tokens, opened])


def check_frames(tokenizer: SupportsFrames, tokens: Tokens) -> None:
    """Check that each token is in a frame or in none, and that no frame is empty."""
    frames = tokenizer.assign_frames(tokens)
    require(frames.shape == tokens.shape, "frames has one entry a token")
    found = frames[frames >= 0]
    require(
        found.size and found[0] == 0 and set(np.diff(found)) <= {0, 1}, "frames begin at 0, and each follows the last"
    )
    require((frames[tokens <= 1] == -1).all(), "EOS belongs to no frame")


def check_transposed(tokenizer: Tokenizer, move: Callable[[Tokens, int], Tokens], tokens: Tokens) -> None:
    """Check that a transposed piece is legal, with each pitch moved by the interval, or unchanged."""
    require(np.array_equal(move(tokens, 0), tokens), "a transposition by 0 semitones changes nothing")
    for semitones in (2, -3):
        moved = move(tokens, semitones)
        if np.array_equal(moved, tokens):
            continue
        check_legal(tokenizer, moved, WHOLE)
        known, found = tokenizer.decode(tokens), tokenizer.decode(moved)
        require(_list_drums(found) == _list_drums(known), "a transposition leaves drums as they are")
        here, there = _list_pitched(known), _list_pitched(found)
        higher = [(start, pitch + semitones) for start, pitch in here]
        require(
            there == higher,
            f"a transposition by {semitones} semitones moves every pitched note by that, and changes nothing else",
        )


def _list_pitched(score: Score) -> list[tuple[int, int]]:
    return _list_notes([track for track in score.tracks if not track.is_drum])


def _list_drums(score: Score) -> list[tuple[int, int]]:
    return _list_notes([track for track in score.tracks if track.is_drum])


def _list_notes(tracks: Sequence[Track]) -> list[tuple[int, int]]:
    return sorted((int(note["start"]), int(note["pitch"])) for track in tracks for note in track.notes)


def check_continuation(tokenizer: Tokenizer, score: Score, *, more: int = 2, rows: int = 8) -> None:
    """Check that a piece continued from a score keeps it, and has as many whole bars more."""
    kept = tokenizer.decode(tokenizer.encode(score))
    primer = tuple(int(token) for token in tokenizer.encode(kept, ends=False))
    request = Request(bars=more, primer=primer, primer_ticks=kept.end)
    for tokens in draw(tokenizer, request, rows):
        found = tokenizer.decode(tokens)
        require(
            _list_onsets(found, kept.end) == _list_onsets(kept, kept.end),
            "nothing is added to a primer, nor taken away",
        )
        whole = len(compute_bars(kept).signatures) + more
        require(count_bars(tokenizer, tokens) == whole, f"{more} bars after a primer make {whole}")


def _list_onsets(score: Score, end: int) -> list[tuple[int, int]]:
    starts = [note for track in score.tracks for note in track.notes[track.notes["start"] < end]]
    return sorted((int(note["start"]), int(note["pitch"])) for note in starts)
