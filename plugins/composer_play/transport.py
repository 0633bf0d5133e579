"""The position of a piece that plays, pauses and jumps. The time is passed in: no clock is read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from composer.music.tempo_map import TempoMap
from composer_play.roll import Roll

AGAIN = 0.5
"""Seconds into a bar after which the left arrow goes to its beginning, and not to the bar before."""


@dataclass(frozen=True)
class Transport:
    """The piece was at `second` at the time `since`, and has played on from there unless it pauses."""

    second: float = 0.0
    since: float = 0.0
    is_paused: bool = False

    def find_second(self, time: float) -> float:
        """Compute the second of the piece at this time."""
        return self.second if self.is_paused else self.second + time - self.since

    def pause_or_resume(self, time: float) -> Transport:
        """Pause, or play on."""
        return Transport(self.find_second(time), time, not self.is_paused)

    def move_to(self, second: float, time: float) -> Transport:
        """Move to another second, and play on or wait there."""
        return replace(self, second=max(second, 0.0), since=time)


def find_next_bar(roll: Roll, timing: TempoMap, second: float) -> float:
    """Find the second at which the next bar begins, or the piece ends."""
    bar = roll.find_bar(timing.find_tick(second)) + 1
    return timing.find_second(min(int(roll.bars.starts[min(bar, len(roll.bars.starts) - 1)]), roll.length))


def find_previous_bar(roll: Roll, timing: TempoMap, second: float) -> float:
    """Find the second at which this bar began; shortly after that, the beginning of the bar before."""
    bar = roll.find_bar(timing.find_tick(second))
    began = timing.find_second(int(roll.bars.starts[bar]))
    return began if second - began > AGAIN or bar == 0 else timing.find_second(int(roll.bars.starts[bar - 1]))
