"""A trained model for composer."""

from pathlib import Path

from composer import hookimpl
from composer.types import Offers

COMPOSER_API = 1


def my_thing() -> Path:
    """Return the path of the model; its card, in the file, states its provenance."""
    return Path(__file__).with_name("model.safetensors")


@hookimpl
def register_models() -> Offers:
    """Offer it to `composer generate --model my-thing`."""
    return {"my-thing": my_thing}
