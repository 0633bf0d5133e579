"""A folder of the user's own music files as a Dataset; it knows files, and no format."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer import files
from composer.errors import BadOption, ComposerError, EmptyDataset, printable
from composer.plugins import registry
from composer.score import Score
from composer.types import Reader


@dataclass(frozen=True)
class Folder:
    """Every music file in a folder and the folders in it, of any format that a plugin reads; no hidden ones."""

    path: Annotated[str, "the folder"]
    drums_by_name: Annotated[bool, "take a track whose name speaks of drums for one, on any channel"] = False

    title = "A folder of music files"
    licence = "the user's own files; licence not stated"
    citation = "none; cite whoever made the files"
    tokenizer = "remi"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {}
    training_options: ClassVar[Mapping[str, Any]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {}

    @property
    def source(self) -> str:
        """The folder, as the user named it."""
        return self.path

    def sources(self) -> Sequence[str]:
        """Paths of the files from the folder, sorted. Raises BadOption without a folder, EmptyDataset without files."""
        root, shown = self._root(), printable(self.path)
        if not root.is_dir():
            what = "is a file, not a folder" if root.exists() else "there is no such folder"
            raise BadOption(f"{shown}: {what}; give the folder that your music files are in.")
        suffixes = registry().offers["readers"]
        found = [name for name in _files_in(root) if Path(name).suffix.lower() in suffixes]
        if not found:
            raise EmptyDataset(f"{shown}: there is no music file in it; files can be {', '.join(sorted(suffixes))}.")
        return sorted(found)

    def fingerprint(self, source: str) -> str:
        """A hash of the file's content."""
        try:
            with (self._root() / source).open("rb") as file:
                return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            return f"unreadable: {error.strerror}"

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """The pieces of a file, named by its path in the folder, or why it cannot be read; `book.abc#3` in a book."""
        path = self._root() / source
        try:
            for name, piece in files.pieces_by(_reader(path.suffix.lower(), self.drums_by_name), path):
                yield f"{source}#{name}" if name else source, piece
        except ComposerError as error:
            yield source, error

    def _root(self) -> Path:
        return _expanded(self.path)


@lru_cache(maxsize=16)
def _expanded(path: str) -> Path:
    return Path(path).expanduser()


def _files_in(root: Path) -> Iterator[str]:
    """Paths of all files under `root`, with `/` between names; a folder reached twice, by links, counts once."""
    seen: set[tuple[int, int]] = set()
    for folder, inside, names in os.walk(root, followlinks=True):
        place = Path(folder).stat()
        if (place.st_dev, place.st_ino) in seen:
            inside.clear()
            continue
        seen.add((place.st_dev, place.st_ino))
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(root).as_posix()


@lru_cache(maxsize=64)
def _reader(suffix: str, drums_by_name: bool) -> Reader:
    """What reads files of a suffix, made once; `drums_by_name` goes to a reader that has such an option."""
    options = {option.name for option in registry().offer("readers", suffix).options}
    chosen = {"drums_by_name": drums_by_name} if "drums_by_name" in options else {}
    return files.reader(Path(f"x{suffix}"), **chosen)
