"""The architectures `attention` and `hierarchical`: recurrent layers with a second, longer memory between them."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Register `attention` and `hierarchical`."""
    from composer_remembering.options import Attention, Hierarchical

    return {"attention": Attention, "hierarchical": Hierarchical}
