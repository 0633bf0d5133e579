"""The architecture `xlstm`: blocks of scalar memories with a recurrent matrix, and of matrix memories without one.

options.py   its options, equations and arrays
mlstm.py     the matrix memory
slstm.py     the scalar memory
compiled.py  the steps of the scalar memory in compiled C

The blocks, and the recurrence of a matrix in chunks, are those of `composer_linear`.
"""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Register `xlstm`."""
    from composer_xlstm.options import XLstm

    return {"xlstm": XLstm}
