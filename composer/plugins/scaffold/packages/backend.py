"""Steps of one row at a time: a backend for composer."""

from dataclasses import dataclass
from typing import ClassVar

from composer import hookimpl
from composer.devices import use_one_thread
from composer.model import Model
from composer.types import Array, Offers, State, Step

COMPOSER_API = 1


@dataclass(frozen=True)
class MyThing:
    """Step each row alone, by torch, so that no row can depend on its neighbours."""

    speed: ClassVar[int] = -1  # chosen only by name
    tolerances: ClassVar[dict[str, float]] = {"float32": 1e-4}  # largest difference of logits from the reference

    def supports(self, model: Model, device: str) -> bool:
        """Tell whether it runs on the device: any model, on the processor."""
        return device == "cpu"

    def make(self, model: Model, device: str, precision: str = "float32") -> Step:
        """Make a step: `(inputs (B, C), state) -> (logits (B, V), state)`."""
        import torch

        module = model.make_module()

        def step(inputs: Array, state: State | None) -> tuple[Array, State]:
            rows = torch.as_tensor(inputs)[:, None].split(1)
            before = [None if state is None else tuple(part[[row]] for part in state) for row in range(len(rows))]
            with torch.inference_mode(), use_one_thread():
                logits, after = zip(*(module(*row) for row in zip(rows, before, strict=True)), strict=True)
            return torch.cat(logits)[:, 0].numpy(), tuple(map(torch.cat, zip(*after, strict=True)))

        return step


@hookimpl
def register_backends() -> Offers:
    """Offer it to `composer generate --backend my-thing`."""
    return {"my-thing": MyThing}
