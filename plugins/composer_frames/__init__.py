"""The tokenizer `frames`: which pitches sound in each stretch of time."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_tokenizers() -> dict[str, Callable[..., Any]]:
    """Register `frames`."""
    from composer_frames.tokenizer import Frames

    return {"frames": Frames}
