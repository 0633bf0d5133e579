"""Adam that looks ahead: an optimiser for composer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Adam with the momentum of Nesterov (Dozat 2016)."""

    weight_decay: Annotated[float, "share of a weight, times the learning rate, that it loses at each step"] = 0.01

    def __post_init__(self) -> None:
        """Refuse impossible values; the sentence is shown to the user."""
        if not self.weight_decay >= 0:
            raise ValueError("weight_decay must be at least 0")

    def build(self, parameters: Sequence[Any], learning_rate: float) -> Any:
        """Build an optimiser of torch, or a subclass; `lr` is set before each step. Torch is imported only here."""
        from torch import optim

        decay = self.weight_decay
        return optim.NAdam(parameters, lr=learning_rate, weight_decay=decay, decoupled_weight_decay=True)


@hookimpl
def register_optimisers() -> Offers:
    """Offer it to `composer train --optimiser my-thing`."""
    return {"my-thing": MyThing}
