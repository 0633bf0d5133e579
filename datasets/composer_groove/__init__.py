"""The Groove MIDI Dataset: ten drummers, with their loudness and timing."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_datasets() -> Offers:
    """Register the folder of the Groove MIDI Dataset."""
    from composer_groove.dataset import Groove

    return {"groove": Groove}
