"""Ticks and seconds of a piece by its tempos; it knows no clock."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from composer.music.score import TICKS_PER_QUARTER, Score

USUAL_TEMPO = 120.0
"""Quarter notes a minute where a piece states none, as MIDI has it."""


@dataclass(frozen=True)
class Timing:
    """From each tick on, which is at that second, so many seconds to a tick."""

    ticks: tuple[int, ...]
    seconds: tuple[float, ...]
    rates: tuple[float, ...]

    def second(self, tick: float) -> float:
        """When a tick sounds, in seconds from tick 0."""
        place = max(bisect_right(self.ticks, tick) - 1, 0)
        return self.seconds[place] + (tick - self.ticks[place]) * self.rates[place]

    def tick(self, second: float) -> float:
        """The tick that sounds so many seconds after tick 0."""
        place = max(bisect_right(self.seconds, second) - 1, 0)
        return self.ticks[place] + (second - self.seconds[place]) / self.rates[place]


def timing(score: Score) -> Timing:
    """The tempos of a score as seconds; before the first one, the usual tempo."""
    changes = {0: USUAL_TEMPO} | {max(tempo.tick, 0): tempo.bpm for tempo in score.tempos}
    ticks = sorted(changes)
    rates = [60.0 / changes[tick] / TICKS_PER_QUARTER for tick in ticks]
    seconds = [0.0]
    for place in range(1, len(ticks)):
        seconds.append(seconds[-1] + (ticks[place] - ticks[place - 1]) * rates[place - 1])
    return Timing(tuple(ticks), tuple(seconds), tuple(rates))
