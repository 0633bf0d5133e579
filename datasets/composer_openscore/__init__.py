"""OpenScore's songs and string quartets, from a folder of MusicXML files."""

from pathlib import Path

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register a folder of OpenScore."""
    from composer_openscore.dataset import OpenScore

    return {"openscore": OpenScore}


@hookimpl
def register_models() -> Offers:
    """Register the models trained on them."""
    return {"songs": locate_songs, "quartets": locate_quartets}


def locate_songs() -> Path:
    """Return the path of the model of songs."""
    return Path(__file__).parent / "songs.safetensors"


def locate_quartets() -> Path:
    """Return the path of the model of quartets."""
    return Path(__file__).parent / "quartets.safetensors"
