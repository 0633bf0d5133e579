"""The constraints `scale`, `chords` and `ending`, and the transform `comp`, which plays chord symbols."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_samplers() -> dict[str, Callable[..., Any]]:
    """Register the three constraints."""
    from composer_harmony.chords import Chords
    from composer_harmony.ending import Ending
    from composer_harmony.scale import Scale

    return {"scale": Scale, "chords": Chords, "ending": Ending}


@hookimpl
def register_transforms() -> dict[str, Callable[..., Any]]:
    """Register the accompaniment."""
    from composer_harmony.comp import Comp

    return {"comp": Comp}
