"""The position of a piece that plays, pauses and jumps. The time is passed in: no clock is read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from composer.music.tempo_map import Timing
from composer_play.roll import Roll

AGAIN = 0.5
"""Seconds into a bar after which the left arrow goes to its beginning, and not to the bar before."""


@dataclass(frozen=True)
class Transport:
    """The piece was at `second` at the time `since`, and has played on from there unless it pauses."""

    second: float = 0.0
    since: float = 0.0
    pauses: bool = False

    def now(self, time: float) -> float:
        """Compute the second of the piece at this time."""
        return self.second if self.pauses else self.second + time - self.since

    def toggled(self, time: float) -> Transport:
        """Pause, or play on."""
        return Transport(self.now(time), time, not self.pauses)

    def at(self, second: float, time: float) -> Transport:
        """Move to another second, and play on or wait there."""
        return replace(self, second=max(second, 0.0), since=time)


def bar_after(roll: Roll, timing: Timing, second: float) -> float:
    """Find the second at which the next bar begins, or the piece ends."""
    bar = roll.bar(timing.tick(second)) + 1
    return timing.second(min(int(roll.bars.starts[min(bar, len(roll.bars.starts) - 1)]), roll.length))


def bar_before(roll: Roll, timing: Timing, second: float) -> float:
    """Find the second at which this bar began; shortly after that, the beginning of the bar before."""
    bar = roll.bar(timing.tick(second))
    began = timing.second(int(roll.bars.starts[bar]))
    return began if second - began > AGAIN or bar == 0 else timing.second(int(roll.bars.starts[bar - 1]))
