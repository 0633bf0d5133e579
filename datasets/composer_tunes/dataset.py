"""The tune books in music21's corpus, as a Dataset.

A tune is a monophonic Score, with sections joined on the beat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar

from composer.errors import EmptyDataset, UnreadableFile, printable
from composer.music.keys import Key, estimate_key
from composer.music.score import KeySignature, Score, Tempo, Text, TimeSignature, Track, make_notes
from composer_notation.abc.fields import parse_key_field
from composer_notation.abc.melody import WrittenMeasure, read_measures
from composer_notation.abc.playing import find_joints, find_order, name_sections
from composer_notation.abc.score import lay_voice, list_notes, read_tempo
from composer_notation.abc.tunebook import Tune, read_text, split_tunes
from composer_notation.bargrid import find_pickup, find_time_signatures, round_to_ticks
from composer_notation.unfolding import VELOCITY, Sounding, make_rows
from composer_tunes.joints import join_sections

# --- tunes ------------------------------------------------------------------------------------------------------------


VIOLIN = 40


def make_score(tune: Tune, *, is_mode_known: bool = True) -> Score:
    """Convert a tune to a Score with one monophonic track and its sections, labelled with its dance, such as "jig".

    With `is_mode_known=False` the key is estimated from the notes, and the `K:` field is ignored. Raises ValueError for
    an unreadable tune, and for bars of a wrong length; its text completes a sentence that begins with the tune's name.
    """
    if len(tune.voices) != 1:
        raise ValueError("does not have one voice")
    written = [_keep_highest(measure) for measure in read_measures(tune, tune.voices[0])]
    if not any(measure.notes for measure in written):
        raise ValueError("has no notes")
    if not all(measure.numerator for measure in written):
        raise ValueError(f"has the metre '{printable(tune.header.get('M', ''), 40)}', which gives no bars")
    order = find_order(written)
    names = name_sections(written, order)
    marked = [_mark(written[index], names.get(place)) for place, index in enumerate(order)]
    played = join_sections(marked, find_joints(written, order))
    signs = find_time_signatures(laid := lay_voice(played))
    check_bars(signs, written)
    track = Track(make_notes(make_rows(list_notes(played))), program=VIOLIN)
    bpm = read_tempo(tune.header) if "=" in tune.header.get("Q", "") else None  # a number alone is far too slow here
    named, _ = parse_key_field(tune.header.get("K", ""))
    key = named.key if is_mode_known and named and named.key else _estimate_key(track)
    title = tune.header.get("T", "")
    tempos = () if bpm is None else (Tempo(0, bpm),)
    labels = (("dance", _read_dance(tune.header.get("R", ""))),)
    markers = tuple(
        Text(round_to_ticks(bar.start), name)
        for bar, measure in zip(laid, played, strict=True)
        for _, name in measure.parts
    )
    keys = (KeySignature(0, key),)
    return Score((track,), tempos, signs, keys, find_pickup(laid), markers, title=title, labels=labels)


def _mark(measure: WrittenMeasure, name: str | None) -> WrittenMeasure:
    """Mark the measure as the first whole one of the section of that name, if it is one."""
    return replace(measure, parts=((Fraction(0), name),) if name else ())


def _read_dance(text: str) -> str:
    """Read the dance in an `R:` field, such as "slip jig", which is spelt in several ways."""
    return {"slipjig": "slip jig"}.get(text.strip().lower(), text.strip().lower())


def check_bars(signs: Sequence[TimeSignature], written: Sequence[WrittenMeasure]) -> None:
    """Raise ValueError for a bar whose length is not that of the time signature, since a note length is wrong."""
    metres = {(measure.numerator, measure.denominator) for measure in written}
    for sign in signs:
        if (sign.numerator, sign.denominator) not in metres:
            raise ValueError(f"has a bar of {sign} where the metre is {written[0].numerator}/{written[0].denominator}")


def _keep_highest(measure: WrittenMeasure) -> WrittenMeasure:
    """Return the measure with the highest note of each chord, at one velocity, each cut at the next onset."""
    highest: dict[Fraction, Sounding] = {}
    for note in sorted(measure.notes, key=lambda note: note.start):
        highest[note.start] = max(note, highest.get(note.start, note), key=lambda n: n.pitch)
    ends = [*highest, measure.length][1:]
    notes = (
        replace(note, length=min(note.length, end - note.start), velocity=VELOCITY)
        for note, end in zip(highest.values(), ends, strict=True)
    )
    return replace(measure, notes=tuple(notes))


def _estimate_key(track: Track) -> Key:
    notes = track.notes
    return estimate_key(notes["pitch"], notes["duration"], int(notes["pitch"][-1]))


# --- the dataset ------------------------------------------------------------------------------------------------------


_AIRS = "airdsAirs"
_BOOKS = (_AIRS, "oneills1850", "ryansMammoth")
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
_KIN = {
    1: {8, 126, 176},
    2: {200},
    3: {13, 22, 26, 27, 28, 94, 112},
    4: {2, 45, 103, 140, 155, 182},
    5: {27, 39, 40, 57, 70, 108, 118},
    6: {10, 14, 136},
}
"""Airs by book that share half of their melody with a tune or a song that is held out; they stay out of training."""
_LEFT_OUT = _READ_LATER | {f"{_AIRS}/book{book}#{number}" for book, numbers in _KIN.items() for number in numbers}
_OPEN = (
    "The tunes are in the public domain; the transcriptions, by many contributors, are distributed with music21 by "
    "permission, and may be restricted in commercial use (music21/corpus/license.txt); the files of the airs name "
    "their transcriber, Jack Campin (www.campin.me.uk, 2009), and state no licence of their own"
)
_UNCLEAR = (
    "; the legal status of the Essen songs is unclear, and music21 has permission for non-commercial distribution and "
    "use alone (music21/corpus/essenFolksong/license.txt)"
)


@dataclass(frozen=True)
class Tunes:
    """Dance tunes of Ryan's Mammoth Collection and O'Neill's Music of Ireland, and Aird's Airs, from music21's corpus.

    The airs are for training alone, so that figures on the held-out tunes stay comparable.
    """

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
        "lookback": (1, 2, 4, 8),
        "recall": True,
        "sections": True,
    }
    training_options: ClassVar[Mapping[str, Any]] = {"dropout": 0.1, "transpose": 0}
    suggested: ClassVar[Mapping[str, Any]] = {
        "tempo": 112.0,
        "samplers": [
            {"name": "temperature", "options": {"temperature": 0.95}},
            {"name": "min-p", "options": {"p": 0.01}},
        ],
    }

    @property
    def title(self) -> str:
        """Title, by the books used."""
        return "Scottish, Irish and American tunes" + (" and the Essen folk songs" if self.essen else "")

    @property
    def licence(self) -> str:
        """Licences of the books used."""
        return _OPEN + (_UNCLEAR if self.essen else "")

    @property
    def source(self) -> str:
        """Sources of the books used."""
        books = (
            "William Bradbury Ryan, Mammoth Collection (1883); Francis O'Neill, Music of Ireland: 1850 (1903); "
            "James Aird, A Selection of Scotch, English, Irish and Foreign Airs (from 1778)"
        )
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

    def split(self, source: str) -> str:
        """Return `train` for the airs; the other books are split by content."""
        return "train" if source.startswith(_AIRS) else ""

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
                if f"{name}#{number}" in _LEFT_OUT:
                    raise ValueError("is left out, so that the held-out tunes stay as they were, and unknown")
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
