"""Metrics of music: pitch, rhythm, texture, endings, similarity of bars, phrases, voice-leading and cadences."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_metrics() -> dict[str, Callable[..., Any]]:
    """Register the metrics, in the order of tables."""
    from composer_metrics import cadences, endings, likeness, phrases, pitch, rhythm, texture, voices

    return {
        **pitch.METRICS,
        **rhythm.METRICS,
        **texture.METRICS,
        **endings.METRICS,
        **likeness.METRICS,
        **phrases.METRICS,
        **voices.METRICS,
        **cadences.METRICS,
    }
