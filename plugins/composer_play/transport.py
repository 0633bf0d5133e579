"""Where a piece is while it plays, pauses and is moved about in; it knows no clock: the time is told it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from composer.music.tempo_map import Timing
from composer_play.roll import Roll

AGAIN = 0.5
"""Seconds into a bar after which `back` goes to its beginning, and not to the bar before."""


@dataclass(frozen=True)
class Transport:
    """At the time `since` of some clock the piece was at `second`, and has gone on since unless it pauses."""

    second: float = 0.0
    since: float = 0.0
    pauses: bool = False

    def now(self, time: float) -> float:
        """The second of the piece at a time."""
        return self.second if self.pauses else self.second + time - self.since

    def toggled(self, time: float) -> Transport:
        """It pauses, or goes on."""
        return Transport(self.now(time), time, not self.pauses)

    def at(self, second: float, time: float) -> Transport:
        """It goes on from another second, or waits there."""
        return replace(self, second=max(second, 0.0), since=time)


def bar_after(roll: Roll, timing: Timing, second: float) -> float:
    """The second at which the next bar begins, or the piece ends."""
    place = roll.bar(timing.tick(second)) + 1
    return timing.second(min(int(roll.bars.starts[min(place, len(roll.bars.starts) - 1)]), roll.length))


def bar_before(roll: Roll, timing: Timing, second: float) -> float:
    """The second at which this bar began, or just after that the one before."""
    place = roll.bar(timing.tick(second))
    began = timing.second(int(roll.bars.starts[place]))
    return began if second - began > AGAIN or place == 0 else timing.second(int(roll.bars.starts[place - 1]))
