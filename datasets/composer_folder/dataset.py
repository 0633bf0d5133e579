"""A folder of the user's music files, as a Dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal

from composer.errors import ComposerError, EmptyDataset, printable
from composer.io import formats
from composer.io.folders import check_folder, expand_path, hash_file
from composer.io.outputs import find_music
from composer.music.score import Labels, Score
from composer.plugins.registry import registry
from composer.types import Reader

LARGEST = 2**28
"""Most bytes of a file whose content is hashed."""

_NOT_STATED = "the user's own files; licence not stated"


@dataclass(frozen=True)
class Folder:
    """All music files in a folder and its subfolders, in any format that a plugin reads; hidden ones are skipped."""

    path: Annotated[str, "the folder"]
    drums_by_name: Annotated[bool, "take a track whose name speaks of drums for one, on any channel"] = False
    pedal: Annotated[
        Literal["extend", "ignore"], "let notes sound on while the sustain pedal is down (extend), or not (ignore)"
    ] = "extend"
    labels: Annotated[
        tuple[str, ...], "what the names of subfolders say of their pieces, from the outermost on", "style"
    ] = ()
    licence: Annotated[str, "of the files, which the card of a model states"] = _NOT_STATED

    title = "A folder of music files"
    citation = "none; cite whoever made the files"
    tokenizer = "remi"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {}
    training_options: ClassVar[Mapping[str, Any]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {}

    @property
    def source(self) -> str:
        """The folder, as the user named it."""
        return self.path

    def list_sources(self) -> Sequence[str]:
        """List paths in the folder, sorted. Raises BadOption without a folder, EmptyDataset without files."""
        root = check_folder(self.path, "that your music files are in")
        found = find_music(root)
        if not found:
            known = ", ".join(registry().list_names("readers"))
            raise EmptyDataset(f"{printable(self.path)}: contains no music files; supported are {known}.")
        return found

    def fingerprint(self, source: str) -> str:
        """Return a hash of the file's content; of a very large file, which no reader accepts, size and time."""
        path = expand_path(self.path) / source
        try:
            if (about := path.stat()).st_size > LARGEST:
                return f"{about.st_size} bytes of {about.st_mtime_ns}"
        except OSError:
            return "unreadable"
        return hash_file(path, LARGEST)

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield the pieces of a file by path (`book.abc#3` in a book), or the error."""
        path = expand_path(self.path) / source
        its_reader = _make_reader(path.suffix.lower(), self.drums_by_name, self.pedal)
        try:
            for name, piece in formats.read_pieces(its_reader, path):
                labelled = replace(piece, labels=self._find_labels(source)) if isinstance(piece, Score) else piece
                yield f"{source}#{name}" if name else source, labelled
        except ComposerError as error:
            yield source, error

    def _find_labels(self, source: str) -> Labels:
        """Find the labels of a file by the names of its subfolders."""
        return tuple(zip(self.labels, PurePath(source).parts[:-1], strict=False))


@lru_cache(maxsize=64)
def _make_reader(suffix: str, drums_by_name: bool, pedal: str) -> Reader:
    """Return the cached reader of a suffix, with those options that it has."""
    known = {option.name for option in registry().get_offer("readers", suffix).options}
    options = {"drums_by_name": drums_by_name, "pedal": pedal}
    chosen = {name: value for name, value in options.items() if name in known}
    return formats.make_reader(Path(f"x{suffix}"), **chosen)
