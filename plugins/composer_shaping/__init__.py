"""Logits processors: `temperature`, `top-k`, `top-p`, `min-p`, `repetition-penalty`, and two with memory."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_samplers() -> dict[str, Callable[..., Any]]:
    """Register the logits processors."""
    from composer_shaping.links import MinP, RepetitionPenalty, Temperature, TopK, TopP
    from composer_shaping.steering import Mirostat, NotesPerBeat

    return {
        "temperature": Temperature,
        "top-k": TopK,
        "top-p": TopP,
        "min-p": MinP,
        "repetition-penalty": RepetitionPenalty,
        "mirostat": Mirostat,
        "notes-per-beat": NotesPerBeat,
    }
