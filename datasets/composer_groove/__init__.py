"""The Groove MIDI Dataset: ten drummers, with their loudness and timing."""

from pathlib import Path

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register the folder of the Groove MIDI Dataset."""
    from composer_groove.dataset import Groove

    return {"groove": Groove}


@hookimpl
def register_models() -> Offers:
    """Register the model trained on them."""
    return {"drums": locate_model}


def locate_model() -> Path:
    """Return the path of the trained model."""
    return Path(__file__).parent / "drums.safetensors"
