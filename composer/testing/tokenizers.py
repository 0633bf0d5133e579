"""The contract of a tokenizer: its vocabulary, encoding and decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from composer.music.score import Score, bars
from composer.request import Request
from composer.testing.replay import check_unrolled
from composer.testing.rules import rebuilt, rule
from composer.testing.sequences import check_legal, draw, last_bar, spoken
from composer.types import Framed, Moving, Tokenizer, Tokens

LONG = Request(most_bars=100_000)


def check_tokenizer(tokenizer: Tokenizer, scores: Sequence[Score]) -> None:
    """Check the vocabulary, equality by fields, and that `scores` come back as far as they are represented."""
    _check_vocabulary(tokenizer)
    again = rebuilt(tokenizer)
    rule(again == tokenizer, "a tokenizer rebuilt from its fields is equal")
    rule(again.vocabulary == tokenizer.vocabulary, "a tokenizer rebuilt from its fields has the same vocabulary")
    _check_meaning(tokenizer)
    for score in scores:
        check_encoding(tokenizer, score)
        check_continued(tokenizer, score)


def _check_vocabulary(tokenizer: Tokenizer) -> None:
    vocabulary = tokenizer.vocabulary
    rule(vocabulary[:2] == ("BOS_None", "EOS_None"), "a vocabulary begins with BOS_None and EOS_None")
    rule(len(set(vocabulary)) == len(vocabulary), "no token is twice in a vocabulary")
    strange = [token for token in vocabulary if not all(token.partition("_"))]
    rule(not strange, f"tokens are Type_Value; these are not: {strange[:3]}")


def _check_meaning(tokenizer: Tokenizer) -> None:
    meaning, size = tokenizer.meaning, (len(tokenizer.vocabulary),)
    for name in ("kind", "pitch", "ticks"):
        rule(getattr(meaning, name).shape == size, f"{name} of the token info has one entry a token")
    kinds = [token.partition("_")[0] for token in tokenizer.vocabulary]
    rule(meaning.kind.tolist() == kinds, "kind of the token info is the Type of each token")
    pairs = [token.partition("_") for token in tokenizer.vocabulary]
    metres = [value for kind, _, value in pairs if kind == "TimeSignature"]
    rule(list(meaning.time_signatures) == metres, "meaning.time_signatures are those that tokens state")
    pitched = [token for token, pitch in zip(tokenizer.vocabulary, meaning.pitch, strict=True) if pitch >= 0]
    wrong = [token for token in pitched if token.startswith("Pitch_") and token != f"Pitch_{_pitch(tokenizer, token)}"]
    rule(not wrong, f"the token info of Pitch_n has the MIDI pitch n; not so for {wrong[:3]}")


def _pitch(tokenizer: Tokenizer, token: str) -> int:
    return int(tokenizer.meaning.pitch[tokenizer.vocabulary.index(token)])


def check_encoding(tokenizer: Tokenizer, score: Score) -> None:
    """Check that one score comes back, its tokens are legal, and its open form is the beginning of a piece."""
    tokens = tokenizer.encode(score)
    strange = tokens[(tokens < 0) | (tokens >= len(tokenizer.vocabulary))]
    rule(not len(strange), f"the tokens of a score are in the vocabulary; not so {strange[:3].tolist()}")
    kept = tokenizer.decode(tokens)
    again = tokenizer.encode(kept)
    rule(
        np.array_equal(again, tokens),
        f"decode, then encode gives the same tokens; {_difference(tokenizer, tokens, again)}",
    )
    rule(tokenizer.decode(again) == kept, "music decoded twice is equal")
    rule(tokens[-1] == 1 and np.count_nonzero(tokens <= 1) == 1, "EOS is the last token, and BOS is not encoded")
    check_legal(tokenizer, tokens, LONG)
    if isinstance(tokenizer, Framed):
        check_frames(tokenizer, tokens)
    if isinstance(tokenizer, Moving):
        check_moved(tokenizer, tokenizer.moved, tokens)
    opened = tokenizer.encode(score, ends=False)
    rule(not np.any(opened <= 1), "with ends=False there is no EOS")
    check_legal(tokenizer, opened, LONG)
    check_unrolled(tokenizer, [tokens, opened])


def check_frames(tokenizer: Framed, tokens: Tokens) -> None:
    """Check that each token is in a frame or in none, and that no frame is empty."""
    frames = tokenizer.frames(tokens)
    rule(frames.shape == tokens.shape, "frames has one entry a token")
    found = frames[frames >= 0]
    rule(found.size and found[0] == 0 and set(np.diff(found)) <= {0, 1}, "frames begin at 0, and each follows the last")
    rule((frames[tokens <= 1] == -1).all(), "EOS belongs to no frame")


def check_moved(tokenizer: Tokenizer, move: Callable[[Tokens, int], Tokens], tokens: Tokens) -> None:
    """Check that a transposed piece is legal, with each pitch moved by the interval, or unchanged."""
    rule(np.array_equal(move(tokens, 0), tokens), "a transposition by 0 semitones changes nothing")
    for semitones in (2, -3):
        moved = move(tokens, semitones)
        if np.array_equal(moved, tokens):
            continue
        check_legal(tokenizer, moved, LONG)
        here, there = (_pitched(tokenizer.decode(piece)) for piece in (tokens, moved))
        higher = [(start, pitch + semitones) for start, pitch in here]
        rule(
            there == higher,
            f"a transposition by {semitones} semitones moves every pitched note by that, and changes nothing else",
        )


def _pitched(score: Score) -> list[tuple[int, int]]:
    notes = [note for track in score.tracks if not track.is_drum for note in track.notes]
    return sorted((int(note["start"]), int(note["pitch"])) for note in notes)


def check_continued(tokenizer: Tokenizer, score: Score, *, more: int = 2, rows: int = 8) -> None:
    """Check that a piece continued from a score keeps it, and has as many whole bars more."""
    kept = tokenizer.decode(tokenizer.encode(score))
    primer = tuple(int(token) for token in tokenizer.encode(kept, ends=False))
    request = Request(bars=more, primer=primer, primer_ticks=kept.end)
    for tokens in draw(tokenizer, request, rows):
        found = tokenizer.decode(tokens)
        rule(_onsets(found, kept.end) == _onsets(kept, kept.end), "nothing is added to a primer, nor taken away")
        whole = len(bars(kept).signatures) + more
        rule(last_bar(tokenizer, tokens) == whole, f"{more} bars after a primer make {whole}")


def _onsets(score: Score, end: int) -> list[tuple[int, int]]:
    starts = [note for track in score.tracks for note in track.notes[track.notes["start"] < end]]
    return sorted((int(note["start"]), int(note["pitch"])) for note in starts)


def _difference(tokenizer: Tokenizer, one: Tokens, other: Tokens) -> str:
    shorter = min(len(one), len(other))
    differ = np.flatnonzero(one[:shorter] != other[:shorter])
    place = int(differ[0]) if len(differ) else shorter
    was, became = (spoken(tokenizer, tokens[place : place + 1]) or "nothing" for tokens in (one, other))
    return f"after {spoken(tokenizer, one[:place], 8)}: {was} became {became}"
