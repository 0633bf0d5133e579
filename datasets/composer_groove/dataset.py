"""The Groove MIDI Dataset as a Dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.errors import ComposerError
from composer.io import formats
from composer.io.folders import hash_file
from composer.music.score import Score, Tempo, make_labels
from composer.types import Reader
from composer_groove.takes import LARGEST, Take, find_root, list_files, read_takes


@dataclass(frozen=True)
class Groove:
    """Takes of ten drummers with loudness and timing (Groove MIDI Dataset), with its own splits; labels style and kind.

    `style` is the primary style, such as funk or rock, and `kind` is beat or fill.
    """

    folder: Annotated[str, "the folder that has info.csv"]

    title = "Groove MIDI Dataset"
    licence = (
        "Creative Commons Attribution 4.0 International (CC BY 4.0), https://creativecommons.org/licenses/by/4.0/; "
        "attribution: Groove MIDI Dataset, Google LLC, https://magenta.tensorflow.org/datasets/groove"
    )
    source = "The Groove MIDI Dataset, https://magenta.tensorflow.org/datasets/groove"
    citation = (
        "Jon Gillick, Adam Roberts, Jesse Engel, Douglas Eck and David Bamman, Learning to Groove with Inverse "
        "Sequence Transformations, ICML 2019"
    )
    tokenizer = "drums"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {
        "time_signatures": ("3/4", "4/4", "5/4", "5/8", "6/8"),
        "lookback": (1, 2, 4),
        "recall": True,
    }
    training_options: ClassVar[Mapping[str, Any]] = {"dropout": 0.3, "transpose": 0}
    suggested: ClassVar[Mapping[str, Any]] = {"samplers": [{"name": "temperature", "options": {"temperature": 0.93}}]}

    def list_sources(self) -> Sequence[str]:
        """List the MIDI files of the table, sorted. Raises BadOption, UnreadableFile, or EmptyDataset."""
        return list_files(self.folder)

    def split(self, source: str) -> str:
        """Return the split of the table."""
        return read_takes(self.folder)[source].split

    def fingerprint(self, source: str) -> str:
        """Return a hash of the file's content, and of what the table says of it."""
        about = repr(read_takes(self.folder)[source]).encode()
        return hash_file(find_root(self.folder) / source, LARGEST, about)

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield the take, or its error; tempo and time signature are those of the table."""
        take = read_takes(self.folder)[source]
        try:
            for _, piece in formats.read_pieces(_make_reader(), find_root(self.folder) / source):
                yield source, _complete(piece, take) if isinstance(piece, Score) else piece
        except ComposerError as error:
            yield source, error


def _complete(score: Score, take: Take) -> Score:
    """Give a score the tempo, the time signature and the labels of its take."""
    return replace(
        score,
        tempos=(Tempo(0, take.bpm),),
        time_signatures=(take.time_signature,),
        labels=make_labels([("style", take.style), ("kind", take.kind)]),
    )


@lru_cache(maxsize=1)
def _make_reader() -> Reader:
    return formats.make_reader(Path("take.mid"))
