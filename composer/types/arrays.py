"""Arrays, and the shape letters of all docstrings.

    B  rows: pieces that run side by side        V  tokens in a vocabulary
    T  positions in a sequence of tokens         C  categorical features of a model's input
    S  columns of a grammar's state              H  entries of a bounded history

Arrays are NumPy's, or those of another library: code behind the protocols takes its functions from
`array_api_compat.array_namespace(x)`, so that the same grammar runs on a GPU.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = Any
"""An array of the array API: NumPy's, torch's…"""

Tokens: TypeAlias = NDArray[np.int64]
"""(T,) token ids, which are indices of a vocabulary."""

State: TypeAlias = tuple[Any, ...]
"""A model's recurrent state: batch-first arrays (B, …), so that rows can be gathered."""
