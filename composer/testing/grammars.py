"""The contract of a grammar, on random sequences under several requests.

A compiled grammar agrees with the plain one. `Grammar.fix_notes` has the fixed notes in the spans, and never a dead
end.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from time import thread_time

import numpy as np

from composer.errors import BadOption, CannotExpress
from composer.music.keys import parse_key
from composer.music.score import Score, Track, compute_bars, make_labels
from composer.request import Request
from composer.testing.replay import check_drums, check_replays, check_states
from composer.testing.rules import BrokenRule, require
from composer.testing.sequences import count_bars, describe_difference, draw, name_tokens, restrict
from composer.testing.states import check_music
from composer.tokens.conditions import split_conditions
from composer.tokens.jit import compile_grammar
from composer.types import CHORDS, Array, MusicalState, Span, Tokenizer, Tokens

# --- grammars ---------------------------------------------------------------------------------------------------------


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
            check_music(tokenizer, tokens, request)
            check_drums(tokenizer, tokens, request)
        replayed += [(request, tokens) for tokens in sequences[:REPLAYED]]
    check_replays(tokenizer, replayed)
    check_states(tokenizer, [tokens for _, tokens in replayed])
    check_compiled(tokenizer, replayed)


def make_requests(tokenizer: Tokenizer) -> list[Request]:
    """Make requests: free, for a number of bars, and with every condition that the vocabulary has a token for."""
    free = [Request(most_bars=12), Request(bars=5)]
    conditions = {
        condition: next((token.partition("_")[2] for token in tokenizer.vocabulary if token.startswith(kind)), None)
        for condition, kind in (("time_signature", "TimeSignature_"), ("key", "Key_"))
    }
    told = tuple((name, values[-1]) for name, values in split_conditions(tokenizer)[1])
    return [*free, Request(bars=2, tempo=90, conditions=told, **conditions)]  # type: ignore[arg-type]


def check_decodes(tokenizer: Tokenizer, tokens: Tokens) -> None:
    """Check that a legal sequence decodes, whole or cut short, and that its score comes back by the same tokens."""
    score = tokenizer.decode(tokens)
    tokenizer.decode(tokens[: len(tokens) // 2])
    if not score.note_count:
        return
    try:
        settled = tokenizer.encode(score)
        found = tokenizer.decode(settled)
        again = tokenizer.encode(found)
    except CannotExpress as error:
        raise BrokenRule(f"decoded music can be encoded: {error} {name_tokens(tokenizer, tokens)}") from error
    _check_notes(tokenizer, tokens, score, found)
    require(
        np.array_equal(settled, again),
        f"decoded music encodes to the same tokens again: {name_tokens(tokenizer, tokens)}",
    )
    if getattr(tokenizer, "canonical", True):
        _check_canonical(tokenizer, tokens, settled)


def _check_notes(tokenizer: Tokenizer, tokens: Tokens, score: Score, found: Score) -> None:
    """Check that notes come back with their lengths; those that end last may be shorter, since the piece ends there."""
    last = max(end for _, end, *_ in _list_ends(score))
    here, there = (
        sorted((start, min(end, last), *rest) for start, end, *rest in _list_ends(one)) for one in (score, found)
    )
    ends = {(start, *rest) for start, end, *rest in here if end == last}
    off = [note for note in sorted(set(here) ^ set(there)) if (note[0], *note[2:]) not in ends]
    require(
        not off and len(here) == len(there),
        f"a random sequence means notes that encode() can write, with their lengths; not so (start, end, pitch) "
        f"{[note[:3] for note in off[:2]]} of {name_tokens(tokenizer, tokens)}",
    )


def _list_ends(score: Score) -> list[tuple[int, int, int, int, bool]]:
    """List (start, end, pitch, program, whether a drum) of each note."""
    return [
        (
            int(note["start"]),
            int(note["start"]) + int(note["duration"]),
            int(note["pitch"]),
            track.program,
            track.is_drum,
        )
        for track in score.tracks
        for note in track.notes
    ]


def _check_canonical(tokenizer: Tokenizer, tokens: Tokens, settled: Tokens) -> None:
    """Check that a random sequence is what `encode` writes, up to its last note.

    Bar lines are left aside, since bars after the last note are not encoded; so are lengths, which `_check_notes` has.
    """
    info = tokenizer.token_info
    free = info.is_bar | (info.ticks >= 0)
    one, other = (_cut_after_notes(tokenizer, some) for some in (tokens, settled))
    one, other = one[~free[one]], other[~free[other]]
    require(
        np.array_equal(one, other),
        "a random sequence is what encode() writes of its music: nothing in another order, nothing said twice; "
        f"{describe_difference(tokenizer, one, other)}",
    )


def _cut_after_notes(tokenizer: Tokenizer, tokens: Tokens) -> Tokens:
    """Cut a sequence after the token of its last note."""
    info = tokenizer.token_info
    begun = np.flatnonzero((info.pitch[tokens] >= 0) | info.is_drum[tokens])
    return tokens[: int(begun[-1]) + 1 if len(begun) else 0]


def check_conditions(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check that time signature and key are those of the request throughout, and so are its labels."""
    score = tokenizer.decode(tokens)
    if request.time_signature is not None:
        metres = {str(signature) for signature in score.time_signatures}
        require(metres == {request.time_signature}, f"asked for {request.time_signature}, a piece is in {metres}")
    if request.key is not None:
        keys = {signature.key for signature in score.key_signatures}
        require(keys == {parse_key(request.key)}, f"asked for {request.key}, a piece is in {keys}")
    lost = set(make_labels(request.conditions)) - set(score.labels)
    require(not lost, f"a piece has the labels that it is asked for; not so {sorted(lost)}")


def _check_bars(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check the number of whole bars, against the request or its limit."""
    whole = count_bars(tokenizer, tokens) - (tokenizer.decode(tokens).upbeat > 0)
    if request.bars is not None:
        require(whole == request.bars, f"asked for {request.bars} bars, a piece has {whole}")
    require(whole <= (request.bars or request.most_bars), f"a piece ends within most_bars; it has {whole} bars")


# --- compiled grammars ------------------------------------------------------------------------------------------------


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


# --- fixed notes ------------------------------------------------------------------------------------------------------


Onsets = set[tuple[int, int]]

ALWAYS = 2**40
"""The end of a span that lasts as long as any piece."""

SPANS = 6
"""Choices of spans."""

ENDS = [2**power for power in (22, 26, 30, 34, 40)]
"""Ends of a span, each but a few times as costly as the one before where the cost grows with the end."""

MORE_MEMORY, MORE_SECONDS = 2**18, 1.0
"""Bytes and seconds that a later end may cost, which are for the noise of measuring."""


def check_infilling(tokenizer: Tokenizer, scores: Sequence[Score], rows: int = 2) -> None:
    """Check `fix_notes` with several choices of spans, by turns, of `scores`; it may refuse some, but not all."""
    fix = getattr(tokenizer.grammar, "fix_notes", None)
    require(callable(fix), "a grammar has fix_notes(), by which parts of a piece are kept and others written anew")
    fixed = 0
    for number in range(max(len(scores), SPANS) if scores else 0):
        score = scores[number % len(scores)]
        with suppress(BadOption, CannotExpress):
            kept = tokenizer.decode(tokenizer.encode(score))
            if not number:
                _check_cost(tokenizer, kept)
                _check_unfixed(tokenizer, kept)
            check_fixed_notes(tokenizer, score, _list_spans(kept)[number % SPANS], rows)
            fixed += 1
    require(fixed or not scores, "fix_notes() keeps some spans of a piece at least; it refuses all")


def _list_spans(score: Score) -> list[list[Span]]:
    """List SPANS choices of spans to fix: a bar, all but a bar, one track, everything, and from inside a bar on."""
    starts = compute_bars(score).starts.tolist()
    first, second = starts[1], starts[min(2, len(starts) - 1)]
    track = len(score.tracks) - 1
    return [
        [Span(0, first)],
        [Span(0, starts[0]), Span(second, ALWAYS)],
        [Span(0, ALWAYS, track)],
        [Span(first, ALWAYS), Span(0, first // 2, track)],
        [Span(0, ALWAYS)],
        [Span(first // 2, ALWAYS)],
    ]


def _check_unfixed(tokenizer: Tokenizer, score: Score) -> None:
    """Check that the mask of no spans, or of one beyond the piece, leaves all tokens allowed."""
    grammar = tokenizer.grammar
    mask, state = grammar.fix_notes(score, []), grammar.start(Request(), 1)
    for token in tokenizer.encode(score):
        same = np.array_equal(grammar.mask(state), restrict(grammar.mask(state), mask(state)))
        require(same, "outside of its spans fix_notes() allows everything; not so without any span")
        state = grammar.advance(state, np.array([token]))


def _check_cost(tokenizer: Tokenizer, score: Score) -> None:
    """Check that fixing notes up to a far end takes no more than up to the score's own end."""
    least, _ = _measure_cost(tokenizer, score, score.end)
    for end in ENDS:
        memory, seconds = _measure_cost(tokenizer, score, end)
        require(
            memory <= least + MORE_MEMORY and seconds <= MORE_SECONDS,
            "fix_notes() takes no more time and memory for a span that ends late; "
            f"up to tick {end} it took {memory:,} bytes and {seconds:.1f} s, up to tick {score.end} {least:,} bytes",
        )


def _measure_cost(tokenizer: Tokenizer, score: Score, end: int) -> tuple[int, float]:
    """Measure the most bytes held at once, and the seconds, to fix all notes up to `end`; 0 if that is refused."""
    grammar = tokenizer.grammar
    tracing, began = tracemalloc.is_tracing(), thread_time()
    if not tracing:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        with suppress(BadOption, CannotExpress):
            grammar.fix_notes(score, [Span(0, end)])(grammar.start(Request(), 1))
        return tracemalloc.get_traced_memory()[1] - before, thread_time() - began
    finally:
        if not tracing:
            tracemalloc.stop()


def check_fixed_notes(
    tokenizer: Tokenizer, score: Score, spans: Sequence[Span], rows: int = 50, seed: int = 0
) -> tuple[Score, list[Score]]:
    """Check that random pieces of the length, time signature and key of `score` have its onsets in `spans`.

    Spans refer to the tracks of the decoded `score`. At the start of a span a note of `score` that sounds there may be
    struck again. Chord symbols of a tokenizer that writes them stay, too. Returns the decoded `score`, and the pieces.
    """
    kept = tokenizer.decode(tokenizer.encode(score))
    mask, request = tokenizer.grammar.fix_notes(kept, spans), make_request(kept)
    sequences = draw(tokenizer, request, rows, seed=seed, mask=mask)
    check_same_on_torch(tokenizer, request, sequences[0], mask)
    pieces = [tokenizer.decode(tokens) for tokens in sequences]
    for piece in pieces:
        for span in spans:
            tracks = range(len(kept.tracks)) if span.track is None else [span.track] if span.track != CHORDS else []
            for track in tracks:
                check_span(kept.tracks[track], find_counterpart(kept, piece, track), span)
            if tokenizer.token_info.has_chords and span.track in (None, CHORDS):
                check_symbols(kept, piece, span)
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


def check_symbols(given: Score, found: Score, span: Span) -> None:
    """Check that the chord symbols of `found` in the span are the fixed ones; that in force may be stated again."""
    wanted, written = (
        {(one.tick, one.text) for one in score.chords if span.start <= one.tick < span.end} for score in (given, found)
    )
    in_force = [one.text for one in given.chords if one.tick < span.start][-1:]
    again = [one for one in sorted(written - wanted) if one[1] in in_force][:1]
    differ = sorted(wanted ^ written - set(again))
    require(not differ, f"fixed chord symbols are written, and no others; not so {differ[:3]} of {span}")


def collect_onsets(track: Track, span: Span) -> Onsets:
    """Collect (tick, pitch) of the onsets in the span."""
    notes = track.notes
    inside = notes[(notes["start"] >= span.start) & (notes["start"] < span.end)]
    return {(int(note["start"]), int(note["pitch"])) for note in inside}
