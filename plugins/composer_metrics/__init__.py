"""Metrics of music: pitch, rhythm, texture, endings, likeness of bars, phrases, voice-leading, cadences and drums."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_metrics() -> dict[str, Callable[..., Any]]:
    """Register the metrics, in the order of tables."""
    from composer_metrics import cadences, drums, endings, likeness, phrases, pitch, rhythm, texture, voices

    return {
        **pitch.METRICS,
        **rhythm.METRICS,
        **texture.METRICS,
        **endings.METRICS,
        **likeness.METRICS,
        **phrases.METRICS,
        **voices.METRICS,
        **cadences.METRICS,
        **drums.METRICS,
    }
