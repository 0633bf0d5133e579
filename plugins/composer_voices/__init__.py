"""The tokenizer `voices`: music in a fixed small number of parts."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_tokenizers() -> dict[str, Callable[..., Any]]:
    """Register `voices`."""
    from composer_voices.tokenizer import Voices

    return {"voices": Voices}
