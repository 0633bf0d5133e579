"""The architectures `lstm`, `gru` and `rnn` on torch's own layers."""

from collections.abc import Callable
from typing import Any

from composer import hookimpl


@hookimpl
def register_architectures() -> dict[str, Callable[..., Any]]:
    """Register `lstm`, `gru` and `rnn`."""
    from composer_recurrent.options import Gru, Lstm, Rnn

    return {"lstm": Lstm, "gru": Gru, "rnn": Rnn}
