"""The operations of torch that are known, each as C: `write(graph, out, arguments, options)`.

`out` is a value, or a list of them for operations with several results; arguments are values, numbers, or lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composer_traced import elementwise, indexing, reductions
from composer_traced.loops import Write

OPERATIONS: Mapping[str, Write] = {**elementwise.OPERATIONS, **indexing.OPERATIONS, **reductions.OPERATIONS}
"""What each operation is in C, by the name of ATen."""

ELEMENTWISE = frozenset(elementwise.OPERATIONS)
"""Operations whose results may lie in memory as their arguments do."""


def name_operation(target: Any) -> str:
    """Return the name of an operation without its overload, such as `add`."""
    packet = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet))
