"""The callbacks `samples`, `originality` and `tensorboard`."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_callbacks() -> Offers:
    """Register the three callbacks."""
    from composer_callbacks.samples import Originality, Samples
    from composer_callbacks.tensorboard import TensorBoard

    return {"samples": Samples, "originality": Originality, "tensorboard": TensorBoard}
