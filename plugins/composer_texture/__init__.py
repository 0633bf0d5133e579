"""The constraints `polyphony`, `density`, `rhythm` and `no-repeat`."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_samplers() -> dict[str, Callable[..., Any]]:
    """Register the four constraints."""
    from composer_texture.amounts import Density, Polyphony
    from composer_texture.patterns import NoRepeat, Rhythm

    return {"polyphony": Polyphony, "density": Density, "rhythm": Rhythm, "no-repeat": NoRepeat}
