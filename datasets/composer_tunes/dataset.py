"""The tune books in music21's corpus, as a Dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.errors import EmptyDataset, UnreadableFile, printable
from composer.music.score import Score
from composer_notation.abc.tunebook import read_text, split_tunes
from composer_tunes.tune import make_score

_BOOKS = ("ryansMammoth", "oneills1850")
_ESSEN = "essenFolksong"
_READ_LATER = frozenset(
    {
        "oneills1850/0811-0899#1",
        "oneills1850/1781-1800#4",
        "ryansMammoth/BraesOfAuchentyreReel#1",
        "ryansMammoth/PausteenFawnJig#1",
    }
)
"""Tunes that were unreadable when the shipped model was trained; they stay excluded from its corpus."""
_OPEN = (
    "The tunes are in the public domain; the transcriptions, by many contributors, are distributed with music21 by "
    "permission, and may be restricted in commercial use (music21/corpus/license.txt)"
)
_UNCLEAR = (
    "; the legal status of the Essen songs is unclear, and music21 has permission for non-commercial distribution and "
    "use alone (music21/corpus/essenFolksong/license.txt)"
)


@dataclass(frozen=True)
class Tunes:
    """Dance tunes from Ryan's Mammoth Collection and O'Neill's Music of Ireland, from music21's corpus."""

    essen: Annotated[bool, "the Essen folk songs too, for non-commercial use; their licence is unclear"] = False

    tokenizer = "voices"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {
        "names": ("Tune",),
        "program": 40,  # a fiddle
        "steps_per_quarter": 24,  # triplets of 16ths and 32nds both occur
        "relative": True,
        "lowest": 48,
        "highest": 100,
        "time_signatures": ("2/2", "3/2", "2/4", "3/4", "4/4", "6/4", "3/8", "6/8", "9/8", "12/8"),
    }
    training_options: ClassVar[Mapping[str, Any]] = {"dropout": 0.1, "transpose": 0}
    suggested: ClassVar[Mapping[str, Any]] = {"tempo": 112.0}

    @property
    def title(self) -> str:
        """Title, by the books used."""
        return "Irish and American dance tunes" + (" and the Essen folk songs" if self.essen else "")

    @property
    def licence(self) -> str:
        """Licences of the books used."""
        return _OPEN + (_UNCLEAR if self.essen else "")

    @property
    def source(self) -> str:
        """Sources of the books used."""
        books = "William Bradbury Ryan, Mammoth Collection (1883); Francis O'Neill, Music of Ireland: 1850 (1903)"
        essen = "; Helmut Schaffrath, The Essen Folksong Collection"
        return f"The corpus of music21: {books}{essen if self.essen else ''}, in ABC"

    @property
    def citation(self) -> str:
        """Article to cite."""
        return (
            "Michael Scott Cuthbert and Christopher Ariza, music21: A Toolkit for Computer-Aided Musicology and "
            "Symbolic Music Data, ISMIR 2010"
        )

    def list_sources(self) -> Sequence[str]:
        """List files by book and name, sorted. Raises EmptyDataset if music21 has no corpus."""
        books = (*_BOOKS, _ESSEN) if self.essen else _BOOKS
        names = [f"{book}/{path.name}" for book in books for path in (_find_folder() / book).glob("*.abc")]
        if not names:
            raise EmptyDataset("music21 is installed without its corpus of tunes; reinstall it from the index.")
        return sorted(names)

    def fingerprint(self, source: str) -> str:
        """Return the version of music21 and the size of the file."""
        return f"music21 {version('music21')} {(_find_folder() / source).stat().st_size}"

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield the numbered tunes of one file, or their errors."""
        name = source.removesuffix(".abc")
        for number, tune in enumerate(
            split_tunes(read_text(_find_folder() / source), ends_at_empty_line=False), start=1
        ):
            try:
                if f"{name}#{number}" in _READ_LATER:
                    raise ValueError("is no part of what the shipped model was trained on")
                yield f"{name}#{number}", make_score(tune, is_mode_known=not source.startswith(_ESSEN))
            except ValueError as error:
                yield f"{name}#{number}", UnreadableFile(f"{name}.abc: tune {number} {printable(str(error), 160)}.")


@lru_cache(maxsize=1)
def _find_folder() -> Path:
    found = find_spec("music21")
    if found is None or found.origin is None:
        raise EmptyDataset(
            "music21 is not installed, and the pieces come with it; install it with 'pip install music21'."
        )
    return Path(found.origin).parent / "corpus"
