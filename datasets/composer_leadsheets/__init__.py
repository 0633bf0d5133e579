"""Lead sheets of old songs: melodies with chord symbols (OpenEWLD)."""

from pathlib import Path

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register a folder of OpenEWLD's lead sheets."""
    from composer_leadsheets.dataset import OpenEwld

    return {"openewld": OpenEwld}


@hookimpl
def register_models() -> Offers:
    """Register the model trained on them."""
    return {"leadsheets": locate_model}


def locate_model() -> Path:
    """Return the path of the trained model."""
    return Path(__file__).parent / "leadsheets.safetensors"
