"""Folk tunes of the British Isles and America, and a model trained on them."""

from pathlib import Path

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register the tune books of music21's corpus."""
    from composer_tunes.dataset import Tunes

    return {"tunes": Tunes}


@hookimpl
def register_models() -> Offers:
    """Register the model trained on them."""
    return {"tunes": locate_model}


def locate_model() -> Path:
    """Return the path of the trained model."""
    return Path(__file__).parent / "tunes.safetensors"
