"""How many threads a step is shared among: what there is, and what was fastest lately; it knows no step."""

from __future__ import annotations

import os
from math import inf

from composer.devices import processors

PATIENCE = 64, 4096
"""Steps after which the slower way is tried again, at first and at most: each time it is still slower doubles them."""

WEIGHT = 0.25
"""Of the latest step in what a step takes."""


def available() -> int:
    """Threads that may run: what OMP_NUM_THREADS says, or the processors that this process may use."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if said.isdecimal() and int(said) > 0:
        return int(said)
    return processors()


class Pace:
    """One thread or several, whichever was faster lately: threads that wait for one another lose on a busy machine."""

    def __init__(self, threads: int) -> None:
        self.seconds = {1: inf, threads: inf}
        self._patience = self._left = PATIENCE[0]

    def threads(self) -> int:
        """How many threads the next step is to have."""
        if untried := [threads for threads, seconds in self.seconds.items() if seconds == inf]:
            return untried[0]
        self._left -= 1
        best = min(self.seconds, key=self.seconds.__getitem__)
        return best if self._left > 0 else next((other for other in self.seconds if other != best), best)

    def took(self, threads: int, seconds: float) -> None:
        """What a step with so many threads took."""
        best = min(self.seconds, key=self.seconds.__getitem__)
        before = self.seconds[threads]
        self.seconds[threads] = seconds if before == inf or threads != best else before + WEIGHT * (seconds - before)
        if threads != best and before != inf:
            won = seconds < self.seconds[best]
            self._patience = PATIENCE[0] if won else min(2 * self._patience, PATIENCE[1])
            self._left = self._patience
