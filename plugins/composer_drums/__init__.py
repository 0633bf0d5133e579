"""The tokenizer `drums`: what a drummer plays, with loudness and timing."""

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_tokenizers() -> Offers:
    """Register `drums`."""
    from composer_drums.tokenizer import Drums

    return {"drums": Drums}
