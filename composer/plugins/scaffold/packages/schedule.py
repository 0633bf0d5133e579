"""Half the rate again and again: a schedule for composer."""

from dataclasses import dataclass
from typing import Annotated

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Halve the learning rate several times on the way, after a short rise."""

    halvings: Annotated[int, "how often, evenly spread"] = 4
    warmup: Annotated[float, "share of all steps in which the rate rises"] = 0.03

    def __post_init__(self) -> None:
        """Refuse impossible values; the sentence is shown to the user."""
        if self.halvings < 0 or not 0 <= self.warmup <= 1:
            raise ValueError("halvings must be at least 0, and warmup from 0 to 1")

    def compute_rate(self, step: int, steps: int, highest: float) -> float:
        """Compute the rate of a step, from 0 to `highest`."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return highest * (step + 1) / rising
        return highest * 0.5 ** (min(step, steps) * (self.halvings + 1) // (steps + 1))


@hookimpl
def register_schedules() -> Offers:
    """Offer it to `composer train --schedule my-thing`."""
    return {"my-thing": MyThing}
