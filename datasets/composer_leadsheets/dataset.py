"""A folder of OpenEWLD's lead sheets, as a Dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.errors import ComposerError, EmptyDataset, UnreadableFile, printable
from composer.io import formats
from composer.io.folders import check_folder, expand_path, hash_file
from composer.io.outputs import find_music
from composer.music.chords import Chord, estimate_key, find_class
from composer.music.keys import Key, get_signature_key
from composer.music.score import ChordSymbol, KeySignature, Score
from composer.types import Reader

LARGEST = 2**24
"""Most bytes of a file."""

SUFFIXES = (".mxl", ".musicxml", ".xml")


@dataclass(frozen=True)
class OpenEwld:
    """Lead sheets of old songs, with repeats played: a melody and chord symbols (OpenEWLD), split by content.

    The files call each key major. Some are minor by their chords and their last note. Symbols that repeat the one
    before are left out.
    """

    folder: Annotated[str, "the folder with the MusicXML files, read with its subfolders"]

    title = "OpenEWLD: lead sheets of old songs"
    licence = (
        "songs that are in the public domain, first performed by 1930 or by authors who had died by then; the sheets "
        "were typed for Wikifonia and chosen for OpenEWLD, which holds public domain scores only"
    )
    source = "OpenEWLD, https://framagit.org/sapo/OpenEWLD"
    citation = (
        "Federico Simonetta, Filippo Carnovalini, Nicola Orio and Antonio Roda, Symbolic Music Similarity through a "
        "Graph-Based Representation, Audio Mostly 2018"
    )
    tokenizer = "leadsheet"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {
        "time_signatures": ("2/2", "3/2", "1/4", "2/4", "3/4", "4/4", "5/4", "6/4", "3/8", "6/8", "9/8", "12/8"),
        "lookback": (1, 2, 4, 8),
        "recall": True,
        "sections": True,
    }
    training_options: ClassVar[Mapping[str, Any]] = {"dropout": 0.4, "transpose": 0}
    suggested: ClassVar[Mapping[str, Any]] = {"tempo": 120.0, "most_bars": 80}

    def list_sources(self) -> Sequence[str]:
        """List the MusicXML files, sorted. Raises BadOption without a folder, EmptyDataset without files."""
        root = check_folder(self.folder, "with the lead sheets")
        found = [path for path in find_music(root) if path.lower().endswith(SUFFIXES)]
        if not found:
            raise EmptyDataset(f"{printable(self.folder)}: contains no MusicXML files.")
        return found

    def fingerprint(self, source: str) -> str:
        """Return a hash of the file's content."""
        return hash_file(expand_path(self.folder) / source, LARGEST)

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield the sheet, or its error."""
        path = expand_path(self.folder) / source
        try:
            for _, piece in formats.read_pieces(_make_reader(path.suffix.lower()), path):
                yield source, make_sheet(piece) if isinstance(piece, Score) else piece
        except ComposerError as error:
            yield source, error


def make_sheet(score: Score) -> Score:
    """Return a lead sheet with its key and without repeated symbols. Raises UnreadableFile without chord symbols."""
    if not any(symbol.chord for symbol in score.chords):
        raise UnreadableFile("has no chord symbols.")
    kept: list[ChordSymbol] = []
    for symbol in score.chords:
        if not kept or (symbol.chord or symbol.text) != (kept[-1].chord or kept[-1].text):
            kept.append(symbol)
    return replace(score, chords=tuple(kept), key_signatures=(KeySignature(0, _find_key(score)),))


def _find_key(score: Score) -> Key:
    """Find the key: of the two keys of the first signature minor where two signs of three speak for it.

    These are the chords altogether, the last tonic chord, and the last note. Without a signature, the chords tell.
    """
    chords = tuple(symbol.chord for symbol in score.chords if symbol.chord and symbol.chord.root)
    if not score.key_signatures:
        return estimate_key((chords,)) or Key(0)
    fifths = score.key_signatures[0].key.fifths
    major, minor = (get_signature_key(fifths, minor=mode) for mode in (False, True))
    tonics = {frozenset({key.tonic, (key.tonic + 4 - key.minor) % 12}): key for key in (major, minor)}
    ends = (key for chord in reversed(chords) for third, key in tonics.items() if _is_tonic(chord, key, third))
    last = max(
        (tuple(track.notes[["start", "pitch"]][-1]) for track in score.tracks if len(track.notes)), default=(0, -1)
    )
    signs = [estimate_key((chords,), (major, minor)) == minor, next(ends, major) == minor, last[1] % 12 == minor.tonic]
    return minor if sum(signs) > 1 else major


def _is_tonic(chord: Chord, key: Key, third: frozenset[int]) -> bool:
    return find_class(chord.root) == key.tonic and third <= chord.tones


@lru_cache(maxsize=4)
def _make_reader(suffix: str) -> Reader:
    return formats.make_reader(Path(f"sheet{suffix}"))
