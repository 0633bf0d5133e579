"""What a MIDI parser found, turned into the parts of a Score; it knows no bytes.

Every list comes sorted, in the ticks of a Score. Of two tempos or signatures at one tick, the later one in the file
counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.keys import key_of_signature
from composer.score import TICKS_PER_QUARTER, KeySignature, Tempo, Text, TimeSignature, Track
from composer_midifile.notes import notes_of_parts

SLOWEST, FASTEST = 5.0, 1000.0
"""Tempos outside these, in quarter notes a minute, are set to them."""

_DRUM_NAME = re.compile(r"drum|percussion|\bkit\b", re.IGNORECASE)
DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)


@dataclass
class Conversion:
    """A file's ticks to a quarter note, and what is to be said of what was found in it."""

    division: int
    remarks: Counter[str] = field(default_factory=Counter)
    moved: int = 0  # notes that begin or end between the ticks of a Score

    def remark(self, text: str, times: int = 1) -> None:
        """Take note that something happened so many times."""
        if times > 0:
            self.remarks[text] += times

    def tracks(self, found: Iterable[Any], drums_by_name: bool) -> tuple[Track, ...]:
        """The parser's tracks that have notes; in each, notes are sorted, and none lies over another of its pitch."""
        used = [(track, track.notes.numpy()) for track in found if len(track.notes)]
        if not used:
            return ()
        part = np.repeat(np.arange(len(used)), [len(notes["time"]) for _, notes in used])
        time, duration = _joined(used, "time", "duration").astype(np.int64)
        pitch, velocity = _joined(used, "pitch", "velocity")
        self.remark("a note of no length was given the shortest one", int(np.count_nonzero(duration <= 0)))
        start, end = self._scaled(np.array((time, time + duration)))
        notes = notes_of_parts(part, start, end, pitch, velocity, self.remarks)
        return tuple(
            Track(its, track.name, track.program, track.is_drum or (drums_by_name and _names_drums(track.name)))
            for (track, _), its in zip(used, notes, strict=True)
        )

    def tempos(self, found: Any) -> tuple[Tempo, ...]:
        """Tempo changes; those that no metronome has are set to the next that one has."""
        result, wild, none = {}, 0, 0
        for tempo in found:
            tick, micros = self._tick(tempo.time), tempo.mspq
            if micros <= 0:
                none += 1
                continue
            bpm = beats_per_minute(micros)
            wild += not SLOWEST <= bpm <= FASTEST
            result[tick] = Tempo(tick, min(max(bpm, SLOWEST), FASTEST))
        self.remark("a tempo without a speed was skipped", none)
        self.remark(f"a tempo outside {SLOWEST:g} to {FASTEST:g} beats a minute was set to the nearest", wild)
        return tuple(sorted(result.values()))

    def time_signatures(self, found: Any) -> tuple[TimeSignature, ...]:
        """Time signatures; if the first one comes later, 4/4 stands before it, as the format has it."""
        result, bad = {}, 0
        for signature in found:
            tick, top, bottom = self._tick(signature.time), signature.numerator, signature.denominator
            if 1 <= top <= 64 and bottom in DENOMINATORS:
                result[tick] = TimeSignature(tick, top, bottom)
            else:
                bad += 1
        self.remark("a time signature that no music has was skipped", bad)
        if result and 0 not in result:
            result[0] = TimeSignature(0, 4, 4)
        return tuple(sorted(result.values()))

    def key_signatures(self, found: Any) -> tuple[KeySignature, ...]:
        """Key signatures of up to seven sharps or flats."""
        result, bad = {}, 0
        for signature in found:
            tick, fifths, mode = self._tick(signature.time), signature.key, signature.tonality
            if -7 <= fifths <= 7 and mode in (0, 1):
                result[tick] = KeySignature(tick, key_of_signature(fifths, bool(mode)))
            else:
                bad += 1
        self.remark("a key signature that does not exist was skipped", bad)
        return tuple(sorted(result.values()))

    def markers(self, found: Iterable[Any]) -> tuple[Text, ...]:
        """Markers with a text."""
        texts = [Text(self._tick(marker.time), marker.text) for marker in found if marker.text]
        return tuple(sorted(texts, key=lambda text: text.tick))

    def _tick(self, tick: int) -> int:
        return (tick * TICKS_PER_QUARTER + self.division // 2) // self.division

    def _scaled(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        if TICKS_PER_QUARTER % self.division == 0:
            return ticks * (TICKS_PER_QUARTER // self.division)
        self.moved += int(np.count_nonzero(np.any(ticks * TICKS_PER_QUARTER % self.division, axis=0)))
        return (ticks * TICKS_PER_QUARTER + self.division // 2) // self.division


def _joined(used: Sequence[tuple[Any, Mapping[str, NDArray[Any]]]], *names: str) -> NDArray[Any]:
    """(names, notes) these columns of the notes of all tracks; in one call, since the calls take the time."""
    return np.concatenate([notes[name] for name in names for _, notes in used]).reshape(len(names), -1)


def _names_drums(name: str) -> bool:
    return _DRUM_NAME.search(name) is not None


@lru_cache(maxsize=4096)
def beats_per_minute(micros: int) -> float:
    """The roundest tempo that a file would hold as so many microseconds to a quarter note."""
    exact = 60_000_000 / micros
    for places in range(6):
        rounded = round(exact, places)
        if rounded and round(60_000_000 / rounded) == micros:
            return rounded
    return exact
