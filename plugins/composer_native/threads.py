"""Choose the number of threads of a step by recent speed."""

from __future__ import annotations

import os
from math import inf

from composer.devices import count_processors

PATIENCE = 64, 4096
"""Steps before the slower number is tried again: at first, and at most. Each failure doubles the interval."""

WEIGHT = 0.25
"""Weight of the latest step in the moving average."""


def count_threads() -> int:
    """Return the number of threads: OMP_NUM_THREADS, or the processors that this process may use."""
    value = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if value.isdecimal() and int(value) > 0:
        return int(value)
    return count_processors()


class ThreadTuner:
    """One thread or several, whichever was faster lately: on a busy machine, threads wait for one another."""

    def __init__(self, threads: int) -> None:
        self.seconds = {1: inf, threads: inf}
        self._patience = self._left = PATIENCE[0]

    def choose_threads(self) -> int:
        """Choose the number of threads of the next step."""
        if untried := [threads for threads, seconds in self.seconds.items() if seconds == inf]:
            return untried[0]
        self._left -= 1
        best = min(self.seconds, key=self.seconds.__getitem__)
        return best if self._left > 0 else next((other for other in self.seconds if other != best), best)

    def record(self, threads: int, seconds: float) -> None:
        """Record the time of a step with this number of threads."""
        best = min(self.seconds, key=self.seconds.__getitem__)
        before = self.seconds[threads]
        self.seconds[threads] = seconds if before == inf or threads != best else before + WEIGHT * (seconds - before)
        if threads != best and before != inf:
            won = seconds < self.seconds[best]
            self._patience = PATIENCE[0] if won else min(2 * self._patience, PATIENCE[1])
            self._left = self._patience
