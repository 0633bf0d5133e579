"""Metrics of music: pitch, rhythm, texture, endings, voice-leading and similarity of bars."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_metrics() -> dict[str, Callable[..., Any]]:
    """Register the metrics, in the order of tables."""
    from composer_metrics import endings, likeness, pitch, rhythm, texture, voices

    return {
        **pitch.METRICS,
        **rhythm.METRICS,
        **texture.METRICS,
        **endings.METRICS,
        **likeness.METRICS,
        **voices.METRICS,
    }
