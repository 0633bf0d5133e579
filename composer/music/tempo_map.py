"""The tempo map of a piece: ticks to seconds, and back."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from composer.music.score import TICKS_PER_QUARTER, Score

USUAL_TEMPO = 120.0
"""Quarter notes a minute of a piece without a tempo, as in MIDI."""


@dataclass(frozen=True)
class TempoMap:
    """Segments of constant tempo: first tick, its time in seconds, seconds per tick."""

    ticks: tuple[int, ...]
    seconds: tuple[float, ...]
    rates: tuple[float, ...]

    def find_second(self, tick: float) -> float:
        """Convert a tick to seconds from tick 0."""
        index = max(bisect_right(self.ticks, tick) - 1, 0)
        return self.seconds[index] + (tick - self.ticks[index]) * self.rates[index]

    def find_tick(self, second: float) -> float:
        """Convert seconds from tick 0 to a tick."""
        index = max(bisect_right(self.seconds, second) - 1, 0)
        return self.ticks[index] + (second - self.seconds[index]) / self.rates[index]


def make_tempo_map(score: Score) -> TempoMap:
    """Make the tempo map of a score; before its first tempo, the usual one holds."""
    changes = {0: USUAL_TEMPO} | {max(tempo.tick, 0): tempo.bpm for tempo in score.tempos}
    ticks = sorted(changes)
    rates = [60.0 / changes[tick] / TICKS_PER_QUARTER for tick in ticks]
    seconds = [0.0]
    for index in range(1, len(ticks)):
        seconds.append(seconds[-1] + (ticks[index] - ticks[index - 1]) * rates[index - 1])
    return TempoMap(tuple(ticks), tuple(seconds), tuple(rates))
