"""The chorales at 16ths as a Dataset, and their frames as a Score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from composer.errors import UnreadableFile
from composer.music.score import END, NOTE, TICKS_PER_QUARTER, Notes, Score, Text, TimeSignature, Track
from composer_jsb16.bars import find_bars
from composer_jsb16.separated import SILENT, VOICES, Contents, Frames, parse_frames, read_contents

NAMES = ("Soprano", "Alto", "Tenor", "Bass")
CHOIR = 52
VELOCITY = 80
FRAME = TICKS_PER_QUARTER // 4
"""Ticks of a 16th."""


@dataclass(frozen=True)
class Jsb16:
    """Bach's chorales in four voices at 16ths (`Jsb16thSeparated.json`), with the splits of published figures."""

    file: Annotated[str, "the .json file"]
    bars: Annotated[
        Literal["found", "assumed"],
        "time signature and pickup by the notes (found), or 4/4 from the first 16th (assumed)",
    ] = "found"

    title = "Bach's chorales at 16ths, a standard set"
    licence = "the licence of the set is not stated"
    citation = (
        "Cheng-Zhi Anna Huang, Tim Cooijmans, Adam Roberts, Aaron Courville and Douglas Eck, Counterpoint by "
        "Convolution, ISMIR 2017; splits of Boulanger-Lewandowski et al., ICML 2012"
    )
    tokenizer = "voices"
    tokenizer_options: ClassVar[Mapping[str, Any]] = {
        "relative": True,
        "steps_per_quarter": 4,
        "recall": True,
        "time_signatures": ("3/4", "4/4"),
    }
    training_options: ClassVar[Mapping[str, Any]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {
        "tempo": 84.0,
        "most_bars": 40,  # the length of the longest
        "samplers": [
            {"name": "temperature", "options": {"temperature": 0.95}},
            {"name": "min-p", "options": {"p": 0.025}},
        ],
    }
    unit = "voice and 16th"

    @property
    def source(self) -> str:
        """The file, as the user named it."""
        return self.file

    def list_sources(self) -> Sequence[str]:
        """List sources such as `train/0001`. Raises BadOption without a file, or UnreadableFile."""
        pieces = self._read_contents().pieces
        return [f"{side}/{number:04d}" for side, found in pieces.items() for number in range(1, len(found) + 1)]

    def fingerprint(self, source: str) -> str:
        """Return a hash of the file's content."""
        return self._read_contents().digest

    def split(self, source: str) -> str:
        """Return the split in the file, which published figures use."""
        return source.partition("/")[0]

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield one piece, or its error."""
        side, _, number = source.partition("/")
        try:
            frames = parse_frames(self._read_contents().pieces[side][int(number) - 1])
            yield source, make_score(frames, source, assumed=self.bars == "assumed")
        except UnreadableFile as error:
            yield source, error

    def count_units(self, score: Score) -> int:
        """Count the pitches and silences of a piece: four in each 16th."""
        return VOICES * (score.length // FRAME)

    def _read_contents(self) -> Contents:
        return read_contents(self.file)


def make_score(frames: Frames, title: str = "", *, assumed: bool = False) -> Score:
    """Convert frames to four tracks; equal pitches in a row are one note, since the file does not tell them apart.

    Bars are found by the notes, or `assumed` to be of 4/4 from the first frame on. A marker states the end of a piece
    that ends in silence.
    """
    signature, upbeat = (TimeSignature(0, 4, 4), 0) if assumed else find_bars(frames)
    tracks = tuple(
        Track(_make_notes(frames[:, voice]), name, CHOIR) for voice, name in zip(range(VOICES), NAMES, strict=True)
    )
    falls_silent = (frames[-1] == SILENT).all()
    return Score(
        tracks,
        time_signatures=(signature,),
        upbeat=upbeat * FRAME,
        markers=(Text(len(frames) * FRAME, END),) if falls_silent else (),
        title=title,
    )


def _make_notes(pitches: Frames) -> Notes:
    """Make the notes of one voice from its pitches (frames,)."""
    starts = np.flatnonzero(np.diff(pitches, prepend=SILENT - 1))
    ends = np.append(starts[1:], len(pitches))
    notes = np.zeros(len(starts), dtype=NOTE)
    notes["start"], notes["duration"] = starts * FRAME, (ends - starts) * FRAME
    notes["pitch"], notes["velocity"] = pitches[starts], VELOCITY
    return notes[pitches[starts] != SILENT]
