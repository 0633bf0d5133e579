"""The logits processors `temperature`, `top-k`, `top-p`, `min-p` and `repetition-penalty`."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_samplers() -> dict[str, Callable[..., Any]]:
    """Register the five logits processors."""
    from composer_shaping.links import MinP, RepetitionPenalty, Temperature, TopK, TopP

    return {
        "temperature": Temperature,
        "top-k": TopK,
        "top-p": TopP,
        "min-p": MinP,
        "repetition-penalty": RepetitionPenalty,
    }
