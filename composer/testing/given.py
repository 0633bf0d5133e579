"""The contract of `Grammar.fix_notes`: fixed notes in the spans, and never a dead end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from composer.music.score import Score, Track, compute_bars
from composer.request import Request
from composer.testing.rules import require
from composer.testing.sequences import draw
from composer.types import Array, Span, Tokenizer, Tokens

Onsets = set[tuple[int, int]]


def check_fixed_notes(
    tokenizer: Tokenizer, score: Score, spans: Sequence[Span], rows: int = 50, seed: int = 0
) -> tuple[Score, list[Score]]:
    """Check that random pieces of the length, time signature and key of `score` have its onsets in `spans`.

    Spans refer to the tracks of the decoded `score`. At the start of a span a note of `score` that sounds there may be
    struck again. Returns the decoded `score`, and the pieces.
    """
    kept = tokenizer.decode(tokenizer.encode(score))
    mask, request = tokenizer.grammar.fix_notes(kept, spans), make_request(kept)
    sequences = draw(tokenizer, request, rows, seed=seed, mask=mask)
    check_same_on_torch(tokenizer, request, sequences[0], mask)
    pieces = [tokenizer.decode(tokens) for tokens in sequences]
    for piece in pieces:
        for span in spans:
            for track in range(len(kept.tracks)) if span.track is None else [span.track]:
                check_span(kept.tracks[track], find_counterpart(kept, piece, track), span)
    return kept, pieces


def make_request(score: Score) -> Request:
    """Make a request for as many bars as `score` has, in its time signature (if it has one alone) and key."""
    found = compute_bars(score)
    metres = {str(signature) for signature in found.signatures}
    return Request(
        bars=len(found.signatures) - (score.upbeat > 0),
        time_signature=metres.pop() if len(metres) == 1 else None,
        key=str(score.key_signatures[0].key) if score.key_signatures else None,
    )


def check_same_on_torch(tokenizer: Tokenizer, request: Request, tokens: Tokens, mask: Callable[[Array], Array]) -> None:
    """Check that a state of torch has the mask of NumPy's."""
    import torch

    grammar = tokenizer.grammar
    states = [grammar.start(request, 1)]
    for token in tokens:
        states.append(grammar.advance(states[-1], np.array([token])))
    passed = np.concatenate(states)
    found = mask(torch.asarray(passed))
    require(isinstance(found, torch.Tensor), "a state of torch gives a mask of torch")
    require(np.array_equal(found.numpy(), mask(passed)), "a state of torch gives the same mask as NumPy's")


def find_counterpart(score: Score, other: Score, track: int) -> Track:
    """Find the track of `other` that is `track` of `score`: by instrument, or else by number."""
    wanted = score.tracks[track]
    sounds = [(t.program, t.is_drum) for t in score.tracks]
    if len(set(sounds)) < len(sounds):
        return other.tracks[track]
    same = [t for t in other.tracks if (t.program, t.is_drum) == (wanted.program, wanted.is_drum)]
    return same[0] if same else Track(wanted.notes[:0])


def check_span(given: Track, found: Track, span: Span) -> None:
    """Check that the onsets of `found` in the span are the fixed ones."""
    wanted, struck = collect_onsets(given, span), collect_onsets(found, span)
    missing, added = sorted(wanted - struck), sorted(struck - wanted)
    require(not missing, f"every fixed note is written; not so (tick, pitch) {missing[:3]} of {span}")
    held = given.notes[given.notes["start"] < span.start]
    held = held[held["start"] + held["duration"] > span.start]
    taken_up = {int(pitch): next((onset for onset in added if onset[1] == pitch), None) for pitch in held["pitch"]}
    added = [onset for onset in added if onset not in taken_up.values()]
    require(not added, f"nothing is added to fixed notes; not so (tick, pitch) {added[:3]} of {span}")


def collect_onsets(track: Track, span: Span) -> Onsets:
    """Collect (tick, pitch) of the onsets in the span."""
    notes = track.notes
    inside = notes[(notes["start"] >= span.start) & (notes["start"] < span.end)]
    return {(int(note["start"]), int(note["pitch"])) for note in inside}
