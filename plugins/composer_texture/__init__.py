"""The constraints `polyphony`, `density`, `rhythm` and `no-repeat`."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_samplers() -> dict[str, Callable[..., Any]]:
    """Register the four constraints."""
    from composer_texture.patterns import Density, NoRepeat, Polyphony, Rhythm

    return {"polyphony": Polyphony, "density": Density, "rhythm": Rhythm, "no-repeat": NoRepeat}
