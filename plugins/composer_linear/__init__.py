"""The architectures `rg-lru`, `gated-deltanet` and `mamba2`: recurrences that are linear in their state.

options.py      their options, equations and arrays
stack.py        residual blocks, one above the other, in the network of `composer_recurrent`
pieces.py       what several blocks have: matrices, a norm, a short convolution, a gated network
convolution.py  the short convolution in one pass
gating.py       products of activated gates and values in one pass
scan.py         a recurrence of single numbers, in time
memory.py       a recurrence of matrices, step by step and in chunks
compiled.py     the same in compiled C
rglru.py        the mixer of `rg-lru`
deltanet.py     that of `gated-deltanet`
mamba.py        that of `mamba2`
"""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Register `rg-lru`, `gated-deltanet` and `mamba2`."""
    from composer_linear.options import GatedDeltaNet, Mamba2, RgLru

    return {"rg-lru": RgLru, "gated-deltanet": GatedDeltaNet, "mamba2": Mamba2}
