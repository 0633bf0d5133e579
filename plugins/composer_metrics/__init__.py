"""Measures of music: pitch, rhythm, texture, endings, voice-leading and likeness from bar to bar."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_metrics() -> dict[str, Callable[..., Any]]:
    """Offer them in the order in which a table shows them."""
    from composer_metrics import endings, likeness, pitch, rhythm, texture, voices

    return {
        **pitch.METRICS,
        **rhythm.METRICS,
        **texture.METRICS,
        **endings.METRICS,
        **likeness.METRICS,
        **voices.METRICS,
    }
