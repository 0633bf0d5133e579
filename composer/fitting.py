"""Whether weights fit a network, found before memory is taken for it; it knows no file and no architecture.

What the header of a stranger's model asks for is first built without memory (torch's device `meta`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

SPARE = 16
"""Parameters that a network may make beyond four for each array of weights, as those that it gives up at once."""


class Misfit(Exception):
    """The network and the weights are not of one model; the text says why."""


def check(build: Callable[[], nn.Module], weights: Mapping[str, NDArray[Any]]) -> None:
    """Raise Misfit if the parameters that `build` makes are not those of `weights`, in names and shapes.

    A network that cannot be built without memory is only held to their number.
    """
    import torch
    from torch.nn.modules.module import register_module_parameter_registration_hook as on_parameter

    most, made = 4 * len(weights) + SPARE, 0

    def count(*_: Any) -> None:
        nonlocal made
        made += 1
        if made > most:
            raise Misfit(f"it has more parameters than the {len(weights)} that there are")

    hook = on_parameter(count)
    try:
        with torch.device("meta"):
            shapes = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    except Misfit:
        raise
    except (
        Exception
    ):  # somebody's network needs numbers while it is built; what is wrong with it, its building will tell
        return
    finally:
        hook.remove()
    if others := sorted(shapes.keys() ^ weights.keys()):
        raise Misfit(f"'{others[0]}' is not in both")
    if wrong := sorted(name for name, shape in shapes.items() if shape != weights[name].shape):
        raise Misfit(f"'{wrong[0]}' is {weights[wrong[0]].shape}, and should be {shapes[wrong[0]]}")
