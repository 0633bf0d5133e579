"""The transforms `quantize`, `humanize`, `tempo`, `transpose`, `octave` and `drop-voice`."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_transforms() -> dict[str, Callable[..., Any]]:
    """Register the six transforms."""
    from composer_transforms.parts import DropVoice, Octave, Transpose
    from composer_transforms.timing import Humanize, Quantize, ScaleTempo

    return {
        "quantize": Quantize,
        "humanize": Humanize,
        "tempo": ScaleTempo,
        "transpose": Transpose,
        "octave": Octave,
        "drop-voice": DropVoice,
    }
