"""The tokenizer `remi`: music of any number of parts as bars, positions and notes."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_tokenizers() -> dict[str, Callable[..., Any]]:
    """Register `remi`."""
    from composer_remi.tokenizer import Remi

    return {"remi": Remi}
