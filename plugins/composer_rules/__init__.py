"""The rules `within`, `ends-on-tonic`, `lasts` and `leaps`."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_rules() -> dict[str, Callable[..., Any]]:
    """Register the four rules."""
    from composer_rules.judging import EndsOnTonic, Lasts, Leaps, Within

    return {"within": Within, "ends-on-tonic": EndsOnTonic, "lasts": Lasts, "leaps": Leaps}
