"""Folk tunes of the British Isles and America, and a model trained on them."""

from pathlib import Path

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Offer the tune books of music21's corpus."""
    from composer_tunes.dataset import Tunes

    return {"tunes": Tunes}


@hookimpl
def register_models() -> Offers:
    """Offer the model trained on them."""
    return {"tunes": model_path}


def model_path() -> Path:
    """Where the trained model lies."""
    return Path(__file__).parent / "tunes.safetensors"
