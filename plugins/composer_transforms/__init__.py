"""Transforms of finished pieces: of time, pitches, parts, instruments and expression."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_transforms() -> dict[str, Callable[..., Any]]:
    """Register the transforms."""
    from composer_transforms.expression import Dynamics, Rubato
    from composer_transforms.instruments import Instrument
    from composer_transforms.parts import DropVoice, Octave, Transpose
    from composer_transforms.timing import Humanize, Quantize, ScaleTempo

    return {
        "quantize": Quantize,
        "humanize": Humanize,
        "tempo": ScaleTempo,
        "transpose": Transpose,
        "octave": Octave,
        "drop-voice": DropVoice,
        "instrument": Instrument,
        "dynamics": Dynamics,
        "rubato": Rubato,
    }
