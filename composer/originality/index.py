"""The lines of a corpus in a suffix array on disk, memory-mapped; it knows no piece but those of the corpus.

It lies in the corpus' folder, and so goes by the corpus' content: `text.npy` (N,) holds the symbols of all lines, each
line's followed by a number of its own, so that there is an entry a note; `suffixes.npy` (N,) the suffix array of that,
`ranks.npy` (N,) the reverse of it; and `lines.npz` where each line begins, and of which piece it is. `seal` tells
whether they are still what was written.
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
from composer.data.parallel import shared
from composer.data.splits import SPLITS
from composer.errors import CannotWrite, EmptyDataset, printable
from composer.music.score import Score
from composer.originality.lines import SYMBOLS, Line, lines
from composer.originality.suffixes import Matches, counted, longest_matches, ranks_of, suffix_array
from composer.storage.atomic import whole_file
from composer.storage.cache import clear, digest_of, put
from composer.types import Dataset, Tokenizer, Tokens

FOLDER = "lines-3"
"""In the corpus' folder; the number changes with what is written there."""

SEAL = "seal"

AT_ONCE = 64
"""Pieces that are decoded by one call."""


@dataclass(frozen=True, eq=False)
class Found:
    """Where a place of the index is in music."""

    name: str  # of the piece
    split: str
    score: Score
    line: Line
    note: int  # place among the notes of the line


@dataclass(frozen=True, eq=False)
class Index:
    """All lines of a corpus, ready to be searched."""

    corpus: Corpus
    tokenizer: Tokenizer

    def _array(self, name: str) -> NDArray[Any]:
        return np.asarray(np.load(self.corpus.folder / FOLDER / name, mmap_mode="r"))

    @cached_property
    def text(self) -> NDArray[np.int32]:
        """(N,) the symbols."""
        return self._array("text.npy")

    @cached_property
    def suffixes(self) -> NDArray[np.int32]:
        """(N,) the suffix array."""
        return self._array("suffixes.npy")

    @cached_property
    def ranks(self) -> NDArray[np.int32]:
        """(N,) where in the suffix array each place is."""
        return self._array("ranks.npy")

    @cached_property
    def _lines(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(L + 1,) where each line begins, and (L,) of which piece it is."""
        with np.load(self.corpus.folder / FOLDER / "lines.npz") as file:
            return file["begins"], file["pieces"]

    def against(self, split: str) -> Music:
        """The pieces of one split, or of `all`."""
        numbers = np.arange(len(self.corpus.names)) if split == "all" else self.corpus.split(split)
        begins, pieces = self._lines
        admitted = np.repeat(np.isin(pieces, numbers), np.diff(begins))
        return Music(self, counted(admitted[self.suffixes]), split)

    def find(self, place: int) -> Found:
        """What stands at a place of the text."""
        begins, pieces = self._lines
        line = int(np.searchsorted(begins, place, side="right")) - 1
        piece = int(pieces[line])
        score = self.tokenizer.decode(self.corpus.piece(piece))
        number = line - int(np.searchsorted(pieces, piece))
        split = next(split for split in SPLITS if piece in self.corpus.split(split))
        return Found(str(self.corpus.names[piece]), split, score, lines(score)[number], place - int(begins[line]))


@dataclass(frozen=True, eq=False)
class Music:
    """Some pieces of an index, which others are held against."""

    index: Index
    counts: NDArray[np.int64]  # (N + 1,) how many of the first suffixes are of these pieces
    split: str

    def matches(self, query: NDArray[np.int32]) -> Matches:
        """For each place of a query, symbols with -1 between lines, the longest run from there that is in a piece."""
        index = self.index
        return longest_matches(index.text, index.suffixes, index.ranks, self.counts, query)


def indexed(corpus: Corpus, tokenizer: Tokenizer, workers: int = 1) -> Index:
    """The index of a corpus, from the cache or built now. Raises EmptyDataset if there is no line in it, CannotWrite.

    With more `workers` the pieces of a large corpus are decoded by several processes.
    """
    folder = corpus.folder / FOLDER
    if not _is_whole(folder):
        try:
            clear(folder, _is_whole)
            _build(corpus, tokenizer, folder, workers)
        except OSError as error:
            raise CannotWrite(f"{printable(str(folder))}: the cache cannot be written ({error.strerror}).") from error
    return Index(corpus, tokenizer)


def has_changed(dataset: Dataset, corpus: Corpus, tokenizer: Tokenizer) -> bool:
    """Whether this dataset was indexed before, here, with other music in it. Raises CannotWrite.

    An index goes by what is in it and is never out of date; a note by the dataset's name tells of the last one.
    """
    named = [repr(dataset), repr(tokenizer), str(Path.cwd())]  # paths in it may be from here
    key = hashlib.blake2b("\n".join(named).encode(), digest_size=16).hexdigest()
    note, now = corpus.folder.parent / f"indexed-{key}", corpus.folder.name
    before = note.read_bytes().decode(errors="replace") if note.is_file() else now
    if before != now or not note.is_file():
        with whole_file(note) as scratch:
            scratch.write_text(now)
    return before != now


def _build(corpus: Corpus, tokenizer: Tokenizer, folder: Path, workers: int) -> None:
    """A folder that appears whole or not at all."""
    with shared(workers) as each:
        found = [line for part in each(partial(_symbols, tokenizer), _parts(corpus), long=True) for line in part]
    if not found:
        raise EmptyDataset(f"no piece of {printable(str(corpus.about['name']))} has two notes with a pitch in a row.")
    pieces, symbols = zip(*found, strict=True)
    text = np.concatenate([np.append(line, SYMBOLS + n) for n, line in enumerate(symbols)]).astype(np.int32)
    begins = np.cumsum([0, *(len(line) + 1 for line in symbols)])
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=corpus.folder))
    try:
        np.save(scratch / "text.npy", text)
        np.save(scratch / "suffixes.npy", order := suffix_array(text))
        np.save(scratch / "ranks.npy", ranks_of(order))
        np.savez(scratch / "lines.npz", begins=begins, pieces=np.array(pieces))
        (scratch / SEAL).write_text(_seal(scratch))
        put(scratch, folder, _is_whole)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_whole(folder: Path) -> bool:
    """Whether there is an index as it was written: what a disk has spoilt is built anew."""
    try:
        return (folder / SEAL).read_bytes() == _seal(folder).encode()
    except OSError:
        return False


def _seal(folder: Path) -> str:
    return digest_of(folder / name for name in ("text.npy", "suffixes.npy", "ranks.npy", "lines.npz"))


def _parts(corpus: Corpus) -> Iterator[list[tuple[int, Tokens]]]:
    """The tokens of all pieces, some at a time."""
    count = len(corpus.names)
    for begin in range(0, count, AT_ONCE):
        yield [(number, corpus.piece(number)) for number in range(begin, min(begin + AT_ONCE, count))]


def _symbols(tokenizer: Tokenizer, pieces: Sequence[tuple[int, Tokens]]) -> list[tuple[int, NDArray[np.int32]]]:
    """The symbols of each line of these pieces, with the piece's number."""
    return [(number, line.symbols) for number, tokens in pieces for line in lines(tokenizer.decode(tokens))]
