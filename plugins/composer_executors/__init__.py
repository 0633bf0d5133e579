"""The executors `here`, `pool` and `ray`."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_executors() -> dict[str, Callable[..., Any]]:
    """Register the three executors."""
    from composer_executors.cluster import Cluster
    from composer_executors.here import Here
    from composer_executors.pool import Pool

    return {"here": Here, "pool": Pool, "ray": Cluster}
