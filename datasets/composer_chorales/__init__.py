"""The four-part chorales of J. S. Bach, and a model trained on them."""

from pathlib import Path

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register the chorales of music21's corpus."""
    from composer_chorales.dataset import Chorales

    return {"chorales": Chorales}


@hookimpl
def register_models() -> Offers:
    """Register the model trained on them."""
    return {"chorales": locate_model}


def locate_model() -> Path:
    """Return the path of the trained model."""
    return Path(__file__).parent / "chorales.safetensors"
