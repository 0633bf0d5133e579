"""The melodic lines of a corpus in a suffix array on disk, memory-mapped.

A line is a melody of (interval, ratio of durations), whatever its key and tempo. A track is split into lines by the
number of notes that sound above each note. The first line is the upper contour (the skyline of Uitdenbogerd and Zobel,
Melodic Matching Techniques for Large Music Databases, 1999), the second the contour just below it, and so on: each note
is in one line. A single voice is one line. Drums have no pitch, and are left out.

The index lies in the folder of the corpus, which is named after the content. `text.npy` (N,) holds the symbols of all
lines, each line followed by a number of its own, so that each note has an entry. `suffixes.npy` (N,) is its suffix
array, `ranks.npy` (N,) the inverse. `lines.npz` has the start of each line and the number of its piece. `seal` is a
checksum of these files.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.data.corpus import Corpus
from composer.data.parallel import share_work
from composer.data.splits import SPLITS
from composer.errors import CannotWrite, EmptyDataset, printable
from composer.music.score import Notes, Score
from composer.originality.suffixes import (
    Matches,
    build_suffix_array,
    compute_ranks,
    count_admitted,
    find_longest_matches,
)
from composer.storage.atomic import write_whole_file
from composer.storage.cache import clear_damaged, hash_files, put_folder
from composer.types import Dataset, Tokenizer, Tokens

# --- lines ------------------------------------------------------------------------------------------------------------


LOOKBACK = 128
"""How many notes back to look for one that still sounds: no more pitches can sound at once."""

STEPS_PER_OCTAVE = 12
"""Ratios of durations are rounded to so many steps per doubling: 3:2 is 7, 4:3 is 5."""

SYMBOLS = 2**16
"""All symbols are positive and less than this."""


@dataclass(frozen=True, eq=False)
class Line:
    """One melody of a score, of at least two notes with distinct onsets."""

    track: int  # its number in the score
    rank: int  # its rank among the lines of that track, the highest first
    notes: Notes  # (n,)

    @cached_property
    def symbols(self) -> NDArray[np.int32]:
        """(n - 1,) for each note and the next one: the interval in semitones, and the ratio of their durations.

        A duration is the time to the next note of the line: a rest belongs to the note before it, and articulation does
        not matter. The last note has its own duration.
        """
        starts = self.notes["start"]
        durations = np.maximum(np.diff(starts, append=starts[-1] + self.notes["duration"][-1]), 1)
        ratios = np.rint(STEPS_PER_OCTAVE * np.log2(durations[1:] / durations[:-1])).clip(-127, 127)
        intervals = np.diff(self.notes["pitch"].astype(np.int32))
        return ((intervals + 128) * 256 + ratios + 128).astype(np.int32)


def extract_lines(score: Score, start: int = 0) -> list[Line]:
    """Extract the lines of a score, track by track, the highest first, from the tick `start` on."""
    return [line for track in range(len(score.tracks)) for line in _extract_from_track(score, track, start)]


def _extract_from_track(score: Score, number: int, start: int) -> Iterator[Line]:
    track = score.tracks[number]
    notes = track.notes[track.notes["start"] >= start]
    if track.is_drum or not len(notes):
        return
    notes = notes[np.lexsort((-notes["pitch"], notes["start"]))]
    above = count_sounding_above(notes)
    for place in range(int(above.max()) + 1):
        line = notes[above == place]
        if len(line) > 1:
            yield Line(number, place, line)


def count_sounding_above(notes: Notes) -> NDArray[np.int64]:
    """Count (n,) the higher notes that sound at each onset; notes are sorted by start, the highest first.

    An earlier note counts if it sounds for at least half of the time to the next onset: a mere overlap with the next
    note (legato) is not a second voice.
    """
    starts, pitches = notes["start"], notes["pitch"]
    ends = starts + notes["duration"]
    middles = _compute_midpoints(starts, ends)
    latest = np.maximum.accumulate(ends)
    above = np.zeros(len(notes), dtype=np.int64)
    for back in range(1, min(LOOKBACK, len(notes) - 1) + 1):
        before, here = slice(None, -back), slice(back, None)
        together = starts[before] == starts[here]
        if not (together | (latest[before] >= middles[here])).any():
            break
        held = (ends[before] >= middles[here]) & (pitches[before] > pitches[here])
        above[here] += together | held
    return above


def _compute_midpoints(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute (n,) the tick halfway from each note's onset to the next one, or to the last end."""
    onsets, which = np.unique(starts, return_inverse=True)
    following = np.append(onsets[1:], max(int(ends.max()), int(onsets[-1]) + 1))
    return ((onsets + following + 1) // 2)[which]


# --- the index --------------------------------------------------------------------------------------------------------


FOLDER = "lines-3"
"""Inside the corpus' folder; the number is the version of the format."""

SEAL = "seal"

AT_ONCE = 64
"""Pieces decoded by one call."""


@dataclass(frozen=True, eq=False)
class Location:
    """The musical location of an index entry."""

    name: str  # of the piece
    split: str
    score: Score
    line: Line
    note: int  # its number within the line


@dataclass(frozen=True, eq=False)
class Index:
    """All lines of a corpus, ready to be searched."""

    corpus: Corpus
    tokenizer: Tokenizer

    def _load_array(self, name: str) -> NDArray[Any]:
        return np.asarray(np.load(self.corpus.folder / FOLDER / name, mmap_mode="r"))

    @cached_property
    def text(self) -> NDArray[np.int32]:
        """(N,) the symbols."""
        return self._load_array("text.npy")

    @cached_property
    def suffixes(self) -> NDArray[np.int32]:
        """(N,) the suffix array."""
        return self._load_array("suffixes.npy")

    @cached_property
    def ranks(self) -> NDArray[np.int32]:
        """(N,) the rank of each suffix."""
        return self._load_array("ranks.npy")

    @cached_property
    def _lines(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(L + 1,) the start of each line, and (L,) the number of its piece."""
        with np.load(self.corpus.folder / FOLDER / "lines.npz") as file:
            return file["begins"], file["pieces"]

    def select_split(self, split: str) -> Music:
        """Select the pieces of one split, or of `all`."""
        numbers = np.arange(len(self.corpus.names)) if split == "all" else self.corpus.split(split)
        begins, pieces = self._lines
        admitted = np.repeat(np.isin(pieces, numbers), np.diff(begins))
        return Music(self, count_admitted(admitted[self.suffixes]), split)

    def locate(self, place: int) -> Location:
        """Locate an entry of the text in the music."""
        begins, pieces = self._lines
        line = int(np.searchsorted(begins, place, side="right")) - 1
        piece = int(pieces[line])
        score = self.tokenizer.decode(self.corpus.read_piece(piece))
        number = line - int(np.searchsorted(pieces, piece))
        split = next(split for split in SPLITS if piece in self.corpus.split(split))
        return Location(
            str(self.corpus.names[piece]), split, score, extract_lines(score)[number], place - int(begins[line])
        )


@dataclass(frozen=True, eq=False)
class Music:
    """Some pieces of an index, to compare others with."""

    index: Index
    counts: NDArray[np.int64]  # (N + 1,) how many of the first suffixes belong to these pieces
    split: str

    def find_matches(self, query: NDArray[np.int32]) -> Matches:
        """Find, at each place of a query (symbols, -1 between lines), the longest run from there that is in a piece."""
        index = self.index
        return find_longest_matches(index.text, index.suffixes, index.ranks, self.counts, query)


def build_index(corpus: Corpus, tokenizer: Tokenizer, workers: int = 1) -> Index:
    """Load the index of a corpus from the cache, or build it. Raises EmptyDataset if there is no line, CannotWrite.

    With several `workers`, the pieces of a large corpus are decoded in parallel.
    """
    folder = corpus.folder / FOLDER
    if not _is_whole(folder):
        try:
            clear_damaged(folder, _is_whole)
            _build(corpus, tokenizer, folder, workers)
        except OSError as error:
            raise CannotWrite(f"{printable(str(folder))}: the cache cannot be written ({error.strerror}).") from error
    return Index(corpus, tokenizer)


def has_changed(dataset: Dataset, corpus: Corpus, tokenizer: Tokenizer) -> bool:
    """Tell whether this dataset was indexed here before with different music. Raises CannotWrite.

    An index is named after its content and never out of date; a file named after the dataset records the last one.
    """
    named = [repr(dataset), repr(tokenizer), str(Path.cwd())]  # its paths may be relative to here
    key = hashlib.blake2b("\n".join(named).encode(), digest_size=16).hexdigest()
    note, now = corpus.folder.parent / f"indexed-{key}", corpus.folder.name
    before = note.read_bytes().decode(errors="replace") if note.is_file() else now
    if before != now or not note.is_file():
        with write_whole_file(note) as scratch:
            scratch.write_text(now)
    return before != now


def _build(corpus: Corpus, tokenizer: Tokenizer, folder: Path, workers: int) -> None:
    """Build the folder atomically."""
    with share_work(workers) as each:
        found = [
            line for part in each(partial(_extract_symbols, tokenizer), _read_parts(corpus), long=True) for line in part
        ]
    if not found:
        raise EmptyDataset(f"no piece of {printable(str(corpus.about['name']))} has two notes with a pitch in a row.")
    pieces, symbols = zip(*found, strict=True)
    text = np.concatenate([np.append(line, SYMBOLS + n) for n, line in enumerate(symbols)]).astype(np.int32)
    begins = np.cumsum([0, *(len(line) + 1 for line in symbols)])
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=corpus.folder))
    try:
        np.save(scratch / "text.npy", text)
        np.save(scratch / "suffixes.npy", order := build_suffix_array(text))
        np.save(scratch / "ranks.npy", compute_ranks(order))
        np.savez(scratch / "lines.npz", begins=begins, pieces=np.array(pieces))
        (scratch / SEAL).write_text(_compute_seal(scratch))
        put_folder(scratch, folder, _is_whole)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Tell whether the index is as it was written; a damaged one is rebuilt."""
    try:
        return (folder / SEAL).read_bytes() == _compute_seal(folder).encode()
    except OSError:
        return False


def _compute_seal(folder: Path) -> str:
    return hash_files(folder / name for name in ("text.npy", "suffixes.npy", "ranks.npy", "lines.npz"))


def _read_parts(corpus: Corpus) -> Iterator[list[tuple[int, Tokens]]]:
    """Yield the tokens of all pieces in batches."""
    count = len(corpus.names)
    for begin in range(0, count, AT_ONCE):
        yield [(number, corpus.read_piece(number)) for number in range(begin, min(begin + AT_ONCE, count))]


def _extract_symbols(tokenizer: Tokenizer, pieces: Sequence[tuple[int, Tokens]]) -> list[tuple[int, NDArray[np.int32]]]:
    """Extract the symbols of each line of these pieces, with the number of the piece."""
    return [(number, line.symbols) for number, tokens in pieces for line in extract_lines(tokenizer.decode(tokens))]
