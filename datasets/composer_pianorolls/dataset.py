"""A file of piano rolls as a Dataset, and a roll as a Score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from composer.errors import UnreadableFile
from composer.music.score import END, NOTE, TICKS_PER_QUARTER, Score, Text, Track
from composer_pianorolls.matfile import LOWEST, Contents, Roll, parse_roll, read_contents

VELOCITY = 80
"""Velocity of all notes, since rolls have none."""


@dataclass(frozen=True)
class PianoRolls:
    """Piano rolls in a MATLAB file (JSB Chorales, Nottingham, MuseData, Piano-midi.de), with its own splits."""

    file: Annotated[str, "the .mat file"]
    frames_per_quarter: Annotated[int, "frames of a roll to a quarter note: 1 in JSB Chorales, else 2"] = 1

    title = "Piano rolls of a standard polyphonic set"
    licence = "the licence of the sets is not stated"
    citation = (
        "Nicolas Boulanger-Lewandowski, Yoshua Bengio and Pascal Vincent, Modeling Temporal Dependencies in "
        "High-Dimensional Sequences: Application to Polyphonic Music Generation and Transcription, ICML 2012"
    )
    tokenizer = "frames"
    training_options: ClassVar[Mapping[str, Any]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        """Refuse frames that are not a whole number of ticks."""
        if self.frames_per_quarter < 1 or TICKS_PER_QUARTER % self.frames_per_quarter:
            raise ValueError(f"frames_per_quarter must divide {TICKS_PER_QUARTER}; {self.frames_per_quarter} does not")

    @property
    def source(self) -> str:
        """The file, as the user named it."""
        return self.file

    @property
    def tokenizer_options(self) -> Mapping[str, Any]:
        """The frame length, and `in_c`, since the rolls are in C major or minor."""
        return {"frames_per_quarter": self.frames_per_quarter, "in_c": True}

    def list_sources(self) -> Sequence[str]:
        """List sources such as `train/0001`. Raises UnreadableFile, or BadOption without a file."""
        rolls = self._read_contents().rolls
        return [f"{side}/{number:04d}" for side, found in rolls.items() for number in range(1, len(found) + 1)]

    def fingerprint(self, source: str) -> str:
        """Return a hash of the file's content."""
        return self._read_contents().digest

    def split(self, source: str) -> str:
        """Return the split in the file, which published figures use."""
        return source.partition("/")[0]

    def read(self, source: str) -> Iterator[tuple[str, Score | Exception]]:
        """Yield one roll, or its error."""
        side, _, number = source.partition("/")
        try:
            roll = parse_roll(self._read_contents().rolls[side][int(number) - 1])
            yield source, make_score(roll, TICKS_PER_QUARTER // self.frames_per_quarter, source)
        except UnreadableFile as error:
            yield source, error

    def _read_contents(self) -> Contents:
        return read_contents(self.file)


def make_score(roll: Roll, ticks: int, title: str = "") -> Score:
    """Convert a roll (frames, pitches) to notes of `ticks` a frame; consecutive frames are one note.

    Published figures score every frame, also silent ones. A Score ends with its last note, so a marker states the end
    of a roll that ends in silence.
    """
    silence = np.zeros((1, roll.shape[1]), dtype=np.int8)
    changes = np.diff(np.concatenate([silence, roll, silence]), axis=0)
    pitches, starts = np.nonzero(changes.T == 1)
    _, ends = np.nonzero(changes.T == -1)  # in the same order: on and off alternate in each column
    notes = np.zeros(len(pitches), dtype=NOTE)
    notes["start"], notes["duration"] = starts * ticks, (ends - starts) * ticks
    notes["pitch"], notes["velocity"] = pitches + LOWEST, VELOCITY
    notes.sort(order=["start", "pitch"])
    last = len(roll) * ticks
    falls_silent = last > (notes["start"] + notes["duration"]).max(initial=0)
    return Score((Track(notes),), markers=(Text(last, END),) if falls_silent else (), title=title)
