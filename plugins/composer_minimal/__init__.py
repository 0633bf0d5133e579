"""The architectures `mingru` and `minlstm`, in the network of `composer_recurrent`."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Register `mingru` and `minlstm`."""
    from composer_minimal.options import MinGru, MinLstm

    return {"mingru": MinGru, "minlstm": MinLstm}
