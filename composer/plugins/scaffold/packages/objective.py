"""More weight on what is hard to predict: an objective for composer."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Let tokens that are predicted well count for less (the focal loss of Lin et al. 2017)."""

    gamma: Annotated[float, "how much less; 0 for the plain loss"] = 1.0
    unit: ClassVar[str] = "focal nats"  # what the loss is counted in; validation counts plain nats in any case

    def __post_init__(self) -> None:
        """Refuse impossible values; the sentence is shown to the user."""
        if not self.gamma >= 0:
            raise ValueError("gamma must be at least 0")

    def __call__(self, logits: Any, targets: Any) -> Any:
        """Compute the losses (N,) of logits (N, V) and targets (N,), each for itself; torch is imported only here."""
        from torch.nn import functional

        nats = functional.cross_entropy(logits, targets, reduction="none")
        return (1 - (-nats).exp()).clamp_min(1e-6) ** self.gamma * nats


@hookimpl
def register_objectives() -> Offers:
    """Offer it to `composer train --objective my-thing`."""
    return {"my-thing": MyThing}
