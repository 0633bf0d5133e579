"""Scores as a corpus stores them: tokens, the model's inputs, and counts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.data.splits import hash_melody
from composer.errors import CannotExpress, ComposerError, LeftOutWarning, ReadingWarning, printable
from composer.fitting import check_columns, convert_columns
from composer.io.bounds import OutOfBounds, keep_timer, run_bounded
from composer.io.lint import Remarks
from composer.music.parts import keep_melody
from composer.music.score import MOST_BARS, Labels, Score, TimeSignature
from composer.request import WHOLE
from composer.tokens.whole import make_piece_inputs
from composer.types import Dataset, Grammar, HasUnits, PredefinedSplit, SupportsStates, Tokenizer, Tokens

LONGEST = 50_000
"""A piece of more tokens is refused: it would dominate the training."""

MOST_NOTES = 4 * LONGEST
"""A piece of more notes is not even encoded."""

AT_ONCE = 64
"""Pieces read before they are encoded, since a processor is faster at one task at a time…"""

NOTES_AT_ONCE = 2**20
"""…and their notes, which bound the memory."""


@dataclass(frozen=True)
class Encoded:
    """One piece of a corpus."""

    name: str
    tokens: Tokens
    notes: int
    beats: float
    lowest: int  # MIDI pitch in its tokens, 0 if there is none
    highest: int
    group: int  # pieces of one group stay in one split, unless…
    split: str  # …the dataset has predefined splits; "" if not
    labels: Labels = ()
    units: int = 0  # those of the dataset, if it has any


@dataclass(frozen=True)
class Refused:
    """A piece that a corpus refuses, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Encodings:
    """The result of encoding some sources: each piece is kept or refused; `remarks` are the readers' warnings."""

    sources: int
    kept: tuple[Encoded, ...]
    refused: tuple[Refused, ...]
    remarks: Remarks


def encode_sources(dataset: Dataset, tokenizer: Tokenizer, sources: Sequence[str]) -> Encodings:
    """Encode every piece of these sources, or refuse it. One bad piece does not stop the others."""
    kept: list[Encoded] = []
    refused: list[Refused] = []
    remarks = Remarks()
    own = dataset if isinstance(dataset, HasUnits) else None  # once: checking a protocol is slow
    with keep_timer(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ReadingWarning)
        for found in _read_batches(dataset, tokenizer, sources, caught, remarks):
            for name, score, side in found:
                result = score if isinstance(score, Exception) else _encode(tokenizer, name, score, side, own)
                if isinstance(result, Encoded):
                    kept.append(result)
                else:
                    refused.append(Refused(name, _explain_refusal(name, result)))
    return Encodings(len(sources), tuple(kept), tuple(refused), remarks)


_Found: TypeAlias = "tuple[str, Score | Exception, str]"


def _read_batches(
    dataset: Dataset,
    tokenizer: Tokenizer,
    sources: Sequence[str],
    caught: list[warnings.WarningMessage],
    remarks: Remarks,
) -> Iterator[list[_Found]]:
    """Yield the pieces of the sources with their splits, some at a time. Warnings in `caught` become remarks."""
    found: list[_Found] = []
    notes = 0
    divided = isinstance(dataset, PredefinedSplit)  # once: checking a protocol is slow
    is_line = tokenizer.token_info.has_voices and len(tokenizer.token_info.voices) == 1
    for source in sources:
        side = get_predefined_split(dataset, source) if divided else ""
        for name, read in _read_pieces(dataset, source):
            score = _keep_melody(read, name) if is_line and isinstance(read, Score) else read
            found.append((name, score, side))
            notes += 0 if isinstance(score, Exception) else score.note_count
            if len(found) >= AT_ONCE or notes >= NOTES_AT_ONCE:
                yield found
                found, notes = [], 0
        if caught:
            remarks.note(warning.message for warning in caught)
            caught.clear()
    yield found


def _keep_melody(score: Score, name: str) -> Score:
    """Keep the melody alone, for a model of one line. Warns with LeftOutWarning of other parts, and of chords."""
    kept = keep_melody(score)
    others = sum(len(track.notes) > 0 for track in score.tracks) - len(kept.tracks)
    if others > 0:
        warnings.warn(LeftOutWarning(printable(name), {"parts beside the melody": others}), stacklevel=2)
    return kept


def get_predefined_split(dataset: Dataset, source: str) -> str:
    """Return the split of a source's pieces, where the dataset has predefined splits; otherwise ""."""
    return dataset.split(source) if isinstance(dataset, PredefinedSplit) else ""


def _explain_refusal(name: str, error: Exception) -> str:
    """Write the error in one line, without the path at its beginning if that ends in the name."""
    text = printable(" ".join(str(error).split()), 200)
    before, found, after = text.partition(f"{printable(name)}: ")
    return after if found and (not before or before.endswith(("/", "\\"))) else text


def _read_pieces(dataset: Dataset, source: str) -> Iterator[tuple[str, Score | Exception]]:
    try:
        yield from dataset.read(source)
    except Exception as error:  # third-party parsers raise anything, and one bad file must not stop the others
        text = str(error) if isinstance(error, ComposerError) else f"cannot be read ({type(error).__name__}: {error})"
        yield source, ComposerError(text)


def _encode(tokenizer: Tokenizer, name: str, score: Score, side: str, own: HasUnits | None) -> Encoded | Exception:
    """Encode a piece, or return the reason against it; `own` counts the units of its dataset."""
    if (notes := score.note_count) > MOST_NOTES:
        return CannotExpress(f"has {notes:,} notes; at most {MOST_NOTES:,} are taken.")
    try:
        tokens, beats = run_bounded(tokenizer.encode, score), count_beats(score)
    except ComposerError as error:
        return error
    except OutOfBounds as error:
        return CannotExpress(f"{error} to be written as tokens.")
    if len(tokens) > LONGEST:
        return ComposerError(f"is {len(tokens)} tokens long; at most {LONGEST} are taken.")
    unknown = tokens[(tokens < 0) | (tokens >= len(tokenizer.vocabulary))]
    if len(unknown):
        return ComposerError(f"becomes token {unknown[0]}, and the vocabulary has {len(tokenizer.vocabulary)}.")
    pitch = tokenizer.token_info.pitch[tokens]
    highest = int(pitch.max(initial=-1))
    reach = (int(pitch.view(np.uint64).min()), highest) if highest >= 0 else (0, 0)  # -1 is the largest there
    units = own.count_units(score) if own else 0
    return Encoded(
        name, tokens.astype(np.uint16), notes, beats, *reach, hash_melody(score), side, score.labels, units=units
    )


def count_beats(score: Score) -> float:
    """Count the beats of a score by its time signatures. Raises CannotExpress for more than `MOST_BARS` bars."""
    metres = score.time_signatures or (TimeSignature(0, 4, 4),)
    end = score.end
    ends = [min(metre.tick, end) for metre in metres[1:]] + [end]
    lasts = [max(until - start, 0) for start, until in zip([0, *ends], ends, strict=False)]
    if sum(ticks // metre.bar_ticks for ticks, metre in zip(lasts, metres, strict=True)) > MOST_BARS:
        raise CannotExpress(f"the piece has more than {MOST_BARS} bars.")
    return sum(ticks / metre.beat_ticks for ticks, metre in zip(lasts, metres, strict=True))


def add_inputs(tokenizer: Tokenizer, pieces: Sequence[Encoded]) -> list[tuple[Encoded, NDArray[np.uint16]]]:
    """Pair pieces with their model inputs (T, C)."""
    return list(zip(pieces, compute_inputs(tokenizer, [piece.tokens for piece in pieces]), strict=True))


def compute_inputs(tokenizer: Tokenizer, sequences: Sequence[Tokens]) -> list[NDArray[np.uint16]]:
    """Compute the model inputs (T, C) for each token of each sequence.

    Raises BadModelFile for features that are not from 0 to one less than their sizes.
    """
    grammar = tokenizer.grammar
    if not isinstance(grammar, SupportsStates):
        return _step_together(grammar, sequences)
    return [_narrow(grammar, make_piece_inputs(grammar, np.asarray(s, dtype=np.int64))) for s in sequences]


def _narrow(grammar: Grammar, inputs: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Convert features (T, C) to 16 bits. Raises BadModelFile for others than the grammar's columns tell."""
    columns = grammar.columns
    checked = convert_columns(inputs, len(columns))
    check_columns(checked, np.array([column.size for column in columns]), [column.name for column in columns])
    return checked.astype(np.uint16)


def _step_together(grammar: Grammar, sequences: Sequence[Tokens]) -> list[NDArray[np.uint16]]:
    """Compute the same by any grammar: token by token, over all sequences at once, the longest first."""
    if not sequences:
        return []
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    tokens = np.concatenate([sequences[i] for i in order]).astype(np.int64)
    lengths = np.array([len(sequences[i]) for i in order])
    begins = np.cumsum(lengths) - lengths
    running = np.searchsorted(-lengths, -np.arange(lengths[0]))  # how many are longer than t, for each t
    state = grammar.start(WHOLE, len(sequences))
    steps = []
    for t, rows in enumerate(running):
        state = state[:rows]
        steps.append(_narrow(grammar, grammar.make_inputs(state)))
        state = grammar.advance(state, tokens[begins[:rows] + t])
    inputs, first_rows = np.concatenate(steps), np.cumsum(running) - running
    result = [inputs[:0]] * len(sequences)
    for row, i in enumerate(order):
        result[i] = inputs[first_rows[: lengths[row]] + row]
    return result
