"""The Bach chorales in music21's corpus, as a Dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from composer.errors import ComposerError, EmptyDataset, UnreadableFile
from composer.music.score import Score
from composer_chorales.voices import NAMES, make_chorale
from composer_notation.musicxml.document import open_document
from composer_notation.musicxml.parts import Part, read_parts
from composer_notation.musicxml.score import make_score

_PIECE = re.compile(r"^bwv[0-9.]+(-[0-9a-z]+)?\.(mxl|xml)$")
_WITH_INSTRUMENTS = re.compile(r"-(inst|sc|\d)\.")
_PRELUDE = "bwv846.mxl"


@dataclass(frozen=True)
class Chorales:
    """Chorales harmonised by J. S. Bach: soprano, alto, tenor and bass, from the corpus that music21 brings."""

    title = "Four-part chorales by J. S. Bach"
    licence = (
        "The music is in the public domain; the encodings are distributed with music21 by permission of their "
        "encoders, and may be restricted in commercial use (music21/corpus/license.txt)"
    )
    source = "The corpus of music21, composer 'bach'; most chorales encoded by Margaret Greentree"
    citation = (
        "Michael Scott Cuthbert and Christopher Ariza, music21: A Toolkit for Computer-Aided Musicology and Symbolic "
        "Music Data, ISMIR 2010"
    )
    tokenizer = "voices"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {"relative": True}
    training_options: ClassVar[Mapping[str, Any]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {
        "tempo": 84.0,
        "most_bars": 40,  # the length of the longest: in the rare 3/4 a model may not find an end
        "samplers": [
            {"name": "temperature", "options": {"temperature": 0.95}},
            {"name": "min-p", "options": {"p": 0.025}},
        ],
    }

    def list_sources(self) -> Sequence[str]:
        """List file names in the corpus, sorted. Raises EmptyDataset if music21 has no corpus."""
        names = sorted(path.name for path in _find_folder().glob("bwv*") if _PIECE.match(path.name))
        if not names:
            raise EmptyDataset("music21 is installed without its corpus of Bach chorales; reinstall it from the index.")
        return [name for name in names if name != _PRELUDE and not _is_duplicate(name, names)]

    def fingerprint(self, source: str) -> str:
        """Return the version of music21 and the size of the file."""
        return f"music21 {version('music21')} {(_find_folder() / source).stat().st_size}"

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield the one chorale of a file, or its error."""
        name = source.rpartition(".")[0]
        try:
            yield name, _read(_find_folder() / source, name)
        except ComposerError as error:
            yield name, error


def _is_duplicate(name: str, names: Sequence[str]) -> bool:
    """Tell whether a chorale with instruments is also in the corpus with only its four voices."""
    return any(_WITH_INSTRUMENTS.sub(alone, name) in names for alone in (".", "-s.") if _WITH_INSTRUMENTS.search(name))


@lru_cache(maxsize=1)
def _find_folder() -> Path:
    found = find_spec("music21")
    if found is None or found.origin is None:
        raise EmptyDataset(
            "music21 is not installed, and the pieces come with it; install it with 'pip install music21'."
        )
    return Path(found.origin).parent / "corpus" / "bach"


def _read(path: Path, name: str) -> Score:
    choir = _select_voices(read_parts(open_document(path)), path.name)
    score = replace(make_score(choir, repeats=False), title=f"BWV {name.removeprefix('bwv')}")
    return make_chorale(score, path.name)


def _select_voices(parts: Sequence[Part], shown: str) -> list[Part]:
    """Return the parts of the four voices in order. Raises UnreadableFile if one is missing or duplicated."""
    found = [[part for part in parts if part.name.split()[:1] == [name]] for name in NAMES]
    if any(len(same) != 1 for same in found):
        raise UnreadableFile(f"{shown}: is not for one soprano, alto, tenor and bass.")
    return [same[0] for same in found]
