"""The architecture `convlstm`: recurrence in time, convolution over pitch.

options.py      its options, equations and arrays
axis.py         where tokens lie on the axis of pitches
convolution.py  convolutions over pitch, of sequences and of single steps
layers.py       the recurrent layers
network.py      the network around them
"""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Register `convlstm`."""
    from composer_convlstm.options import ConvLstm

    return {"convlstm": ConvLstm}
