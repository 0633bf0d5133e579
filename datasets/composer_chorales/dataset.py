"""The Bach chorales in music21's corpus, as a Dataset.

A chorale is four monophonic voices and a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from composer.errors import ComposerError, EmptyDataset, UnreadableFile
from composer.music.keys import Key, estimate_key
from composer.music.parts import make_monophonic
from composer.music.score import KeySignature, Score, Track, compute_bars, concatenate_notes
from composer_notation.musicxml.document import open_document
from composer_notation.musicxml.parts import Part, read_parts
from composer_notation.musicxml.score import make_score

# --- chorales ---------------------------------------------------------------------------------------------------------


NAMES = ("Soprano", "Alto", "Tenor", "Bass")
MOST_CHORALE_BARS = 64
_CHOIR = 52


def make_chorale(score: Score, shown: str) -> Score:
    """Make four monophonic choir voices of `score`, in one key.

    Raises UnreadableFile, naming `shown`, if it is too long, or the choir is silent for a bar.
    """
    tracks = tuple(
        Track(make_monophonic(track.notes, lowest=name == "Bass"), name, _CHOIR)
        for name, track in zip(NAMES, _check_voices(score, shown), strict=True)
    )
    if len(compute_bars(score).signatures) > MOST_CHORALE_BARS:
        raise UnreadableFile(f"{shown}: is longer than {MOST_CHORALE_BARS} bars, so hardly a chorale.")
    if find_longest_silence(tracks) >= score.time_signatures[0].bar_ticks:
        raise UnreadableFile(f"{shown}: the choir is silent for a bar or more, so this is no plain chorale.")
    keys = score.key_signatures
    named = find_key(tracks, keys[0].key.fifths if keys else None)
    return replace(score, tracks=tracks, key_signatures=(KeySignature(0, named),))


def _check_voices(score: Score, shown: str) -> tuple[Track, ...]:
    if len(score.tracks) != len(NAMES) or not all(len(track.notes) for track in score.tracks):
        raise UnreadableFile(f"{shown}: does not have four voices that sing.")
    return score.tracks


def find_longest_silence(tracks: tuple[Track, ...]) -> int:
    """Return the longest silence of all voices before the last note, in ticks."""
    notes = concatenate_notes([track.notes for track in tracks])
    notes = notes[np.argsort(notes["start"], kind="stable")]
    reached = np.maximum.accumulate(np.concatenate(([0], notes["start"] + notes["duration"])))[:-1]
    return int((notes["start"] - reached).max(initial=0))


def find_key(tracks: tuple[Track, ...], fifths: int | None) -> Key:
    """Estimate the key from the notes and the last bass note.

    If the estimate is three or more signs away from the signature, and its parallel key is nearer, return the parallel
    key: a minor piece may end on a major chord.
    """
    notes = concatenate_notes([track.notes for track in tracks])
    key = estimate_key(notes["pitch"], notes["duration"], int(tracks[-1].notes["pitch"][-1]))
    parallel = Key(key.tonic, not key.minor)
    if fifths is None or _count_signs(key, fifths) < 3 or _count_signs(parallel, fifths) >= _count_signs(key, fifths):
        return key
    return parallel


def _count_signs(key: Key, fifths: int) -> int:
    """Return the distance in signs, on the circle of fifths."""
    apart = abs(key.fifths - fifths) % 12
    return min(apart, 12 - apart)


# --- the dataset ------------------------------------------------------------------------------------------------------


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
    tokenizer_options: ClassVar[Mapping[str, Any]] = {"relative": True, "recall": True}
    training_options: ClassVar[Mapping[str, Any]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {
        "tempo": 84.0,
        "most_bars": 40,  # the length of the longest: in the rare 3/4 a model may not find an end
        "samplers": [
            {"name": "temperature", "options": {"temperature": 1.0}},
            {"name": "min-p", "options": {"p": 0.005}},
            {"name": "widest-leap", "options": {"widest_leap": 12, "yields": True}},
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
