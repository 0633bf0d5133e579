"""The architectures `mingru` and `minlstm`, in the surroundings that `composer_recurrent` gives to torch's layers."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Offer `mingru` and `minlstm`."""
    from composer_minimal.options import MinGru, MinLstm

    return {"mingru": MinGru, "minlstm": MinLstm}
