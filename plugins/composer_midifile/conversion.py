"""Conversion of events and ticks of a file to those of a Score.

Every list is sorted, in the ticks of a Score. Of two tempos or signatures at one tick, the later one in the file
counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.music.keys import get_signature_key
from composer.music.score import TICKS_PER_QUARTER, KeySignature, Tempo, Text, TimeSignature
from composer_midifile import conductor

SLOWEST, FASTEST = 5.0, 1000.0
"""Limits of tempos, in quarter notes a minute."""

DENOMINATORS = (1, 2, 4, 8, 16, 32, 64)

TimedEvent: TypeAlias = tuple[int, bytes]
"""The tick of an event in the file, and its content."""


@dataclass
class Conversion:
    """Ticks to a quarter note of a file, and remarks on its contents."""

    division: int
    remarks: Counter[str] = field(default_factory=Counter)
    moved: int = 0  # notes that begin or end between the ticks of a Score
    left_out: Counter[str] = field(default_factory=Counter)  # contents without a counterpart in a Score, by kind

    def add_remark(self, text: str, times: int = 1) -> None:
        """Count `times` occurrences of a remark."""
        if times > 0:
            self.remarks[text] += times

    def scale_ticks(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Scale onsets and ends of notes (2, notes) to the nearest ticks of a Score."""
        if TICKS_PER_QUARTER % self.division == 0:
            return ticks * (TICKS_PER_QUARTER // self.division)
        half = self.division // 2
        found, rest = np.divmod(ticks * TICKS_PER_QUARTER + half, self.division)
        between = rest != half
        self.moved += int(np.count_nonzero(between[0] | between[1]))
        return found

    def convert_tempos(self, found: Iterable[TimedEvent]) -> tuple[Tempo, ...]:
        """Convert tempo changes, clamped to `SLOWEST` and `FASTEST`."""
        result, wild, none = {}, 0, 0
        for time, content in found:
            tick, micros = self._scale_tick(time), int.from_bytes(content, "big")
            if micros <= 0:
                none += 1
                continue
            bpm = round_tempo(micros)
            wild += not SLOWEST <= bpm <= FASTEST
            result[tick] = Tempo(tick, min(max(bpm, SLOWEST), FASTEST))
        self.add_remark("a tempo without a speed was skipped", none)
        self.add_remark(f"a tempo outside {SLOWEST:g} to {FASTEST:g} beats a minute was set to the nearest", wild)
        return tuple(sorted(result.values()))

    def convert_time_signatures(self, found: Iterable[TimedEvent]) -> tuple[TimeSignature, ...]:
        """Convert time signatures. If the first one comes later, 4/4 precedes it, the default of the format."""
        result, bad = {}, 0
        for time, content in found:
            tick, (top, power) = self._scale_tick(time), content[:2]
            if 1 <= top <= 64 and power < len(DENOMINATORS):
                result[tick] = TimeSignature(tick, top, DENOMINATORS[power])
            else:
                bad += 1
        self.add_remark("a time signature that no music has was skipped", bad)
        if result and 0 not in result:
            result[0] = TimeSignature(0, 4, 4)
        return tuple(sorted(result.values()))

    def align_to_bar_lines(self, signatures: tuple[TimeSignature, ...]) -> tuple[TimeSignature, ...]:
        """Align signatures that stand a tick or two of the file beside a bar line."""
        reach = max(conductor.BESIDE, conductor.BESIDE * TICKS_PER_QUARTER // self.division)
        found, moved = conductor.align_signatures(signatures, reach)
        self.add_remark("a time signature a tick or two beside a bar line was moved to it", moved)
        return found

    def convert_key_signatures(self, found: Iterable[TimedEvent]) -> tuple[KeySignature, ...]:
        """Convert key signatures of up to seven sharps or flats."""
        result, bad = {}, 0
        for time, content in found:
            tick, fifths, mode = self._scale_tick(time), int.from_bytes(content[:1], "big", signed=True), content[1]
            if -7 <= fifths <= 7 and mode in (0, 1):
                result[tick] = KeySignature(tick, get_signature_key(fifths, bool(mode)))
            else:
                bad += 1
        self.add_remark("a key signature that does not exist was skipped", bad)
        return tuple(sorted(result.values()))

    def convert_markers(self, found: Iterable[TimedEvent]) -> tuple[Text, ...]:
        """Convert markers, sorted by time."""
        texts = [Text(self._scale_tick(time), content.decode()) for time, content in found]
        return tuple(sorted(texts, key=lambda text: text.tick))

    def _scale_tick(self, tick: int) -> int:
        return (tick * TICKS_PER_QUARTER + self.division // 2) // self.division


@lru_cache(maxsize=4096)
def round_tempo(micros: int) -> float:
    """Return the roundest tempo that is stored as `micros` microseconds to a quarter note."""
    exact = 60_000_000 / micros
    for places in range(6):
        rounded = round(exact, places)
        if rounded and round(60_000_000 / rounded) == micros:
            return rounded
    return exact
