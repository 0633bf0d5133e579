"""A folder of OpenScore as a Dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Annotated, Any, ClassVar

from composer.data.splits import SHARES
from composer.errors import ComposerError, EmptyDataset, printable
from composer.io import formats
from composer.io.folders import check_folder, expand_path, hash_file
from composer.io.outputs import find_music
from composer.music.parts import make_monophonic
from composer.music.score import Score, make_labels
from composer_notation.musicxml.movements import MovementsReader

SUFFIXES = (".mxl", ".musicxml", ".xml")
LARGEST = 2**26
"""Most bytes of a file."""

NO_SET = "_"
"""The folder of songs that belong to no set."""

BASS = ("violoncello", "cello", "contrabass", "bass", "fagott", "bassoon")
"""Beginnings of the names of parts whose line is the lowest one."""


@dataclass(frozen=True)
class OpenScore:
    """Scores in MusicXML by composer and set, as OpenScore has them: a movement is a piece, a part is a track.

    Repeats are played once. Movements and songs of one set are in one split, a tenth of the sets in each that is held
    out. The label `composer` is the name of the outer folder.
    """

    folder: Annotated[str, "the folder that has a folder for each composer"]
    lines: Annotated[bool, "keep a single line of each part: of notes struck together the outer one"] = False

    title = "OpenScore"
    licence = "CC0 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/"
    source = "OpenScore Lieder Corpus and OpenScore String Quartet Corpus, https://openscore.cc"
    citation = (
        "Mark R. H. Gotham and Peter Jonas, The OpenScore Lieder Corpus, Music Encoding Conference 2021; Mark Gotham, "
        "Maureen Redbond, Bruno Bower and Peter Jonas, The OpenScore String Quartet Corpus, DLfM 2023"
    )
    tokenizer = "remi"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {"velocities": 0, "drums": False, "recall": True}
    training_options: ClassVar[Mapping[str, Any]] = {}

    @property
    def suggested(self) -> Mapping[str, Any]:
        """A request that suits single lines, as of quartets, or else songs."""
        if not self.lines:
            return {"most_bars": 96, "samplers": _make_chain(0.94)}
        return {"tempo": 108.0, "most_bars": 200, "samplers": _make_chain(0.92)}

    def list_sources(self) -> Sequence[str]:
        """List the MusicXML files, sorted. Raises BadOption without a folder, EmptyDataset without files."""
        root = check_folder(self.folder, "that has a folder for each composer")
        found = [name for name in find_music(root) if name.lower().endswith(SUFFIXES)]
        if not found:
            raise EmptyDataset(f"{printable(self.folder)}: contains no MusicXML files ({', '.join(SUFFIXES)}).")
        return found

    def split(self, source: str) -> str:
        """Return the split of a file, by a hash of its set: of its song or work, if it belongs to none."""
        folders = PurePath(source).parts[:-1]
        own = folders if NO_SET in folders[1:2] else folders[:2]
        digest = hashlib.blake2b("/".join(own or (source,)).encode(), digest_size=8).digest()
        point = int.from_bytes(digest, "little") / 2**64
        return "test" if point < SHARES["test"] else "valid" if point < SHARES["test"] + SHARES["valid"] else "train"

    def fingerprint(self, source: str) -> str:
        """Return a hash of the file's content."""
        return hash_file(expand_path(self.folder) / source, LARGEST)

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield the movements by path and number (`score.mxl#2`), or the error."""
        try:
            for name, piece in formats.read_pieces(MovementsReader(), expand_path(self.folder) / source):
                yield f"{source}#{name}" if name else source, self._complete(piece, source)
        except ComposerError as error:
            yield source, error

    def _complete(self, piece: Score | Exception, source: str) -> Score | Exception:
        if isinstance(piece, Exception):
            return piece
        composer = [("composer", name.replace("_", " ")) for name in PurePath(source).parts[:-1][:1]]
        return replace(_keep_lines(piece) if self.lines else piece, labels=make_labels(composer))


def _make_chain(temperature: float) -> list[dict[str, Any]]:
    return [{"name": "temperature", "options": {"temperature": temperature}}]


def _keep_lines(score: Score) -> Score:
    """Keep the highest note at each onset of a part, of a bass the lowest."""
    tracks = [
        replace(track, notes=make_monophonic(track.notes, lowest=track.name.casefold().startswith(BASS)))
        for track in score.tracks
    ]
    return replace(score, tracks=tuple(tracks))
