"""Loops of torch that stay on a device: one turn in place, again and again, as a CUDA graph where there is CUDA.

A graph is recorded from the same operations that a processor runs one by one. Unlike a compiler, it fuses no products
and sums, so that the numbers are the same bits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from composer.arrays import Kept, keep_constants
from composer.devices import run_alike
from composer.types import Repeat, Turn

READS = {
    *(Tensor.numpy, Tensor.__array__, Tensor.__dlpack__, Tensor.tolist, Tensor.item, Tensor.equal, torch.equal),
    *(Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__, Tensor.allclose, torch.allclose),
    *(Tensor.nonzero, torch.nonzero, torch.argwhere, Tensor.argwhere, torch.masked_select, Tensor.masked_select),
    *(torch.unique, Tensor.unique, torch.unique_consecutive, Tensor.unique_consecutive),
}
"""Functions that wait for a number. What is not among them, and waits, is found when a graph is recorded."""

MAKERS = {torch.asarray, torch.tensor, torch.as_tensor, torch.scalar_tensor}
"""Functions that copy numbers of Python."""

MOST_LOOPS = 8
"""Loops of different shapes that are kept."""

WARM_UP = 3
"""Turns before one is recorded, in which libraries allocate what they need."""


def make_loop(turn: Turn, carried: Sequence[Tensor], given: Sequence[Tensor]) -> Repeat | None:
    """Make the loop of a turn; None if the turn looks at a number. `given` (B, …) are those of one step."""
    try:
        with run_alike(), _RefuseReads():
            turn(carried, given)
    except Exception:  # a plugin's function may fail in any way where it is refused a number
        return None
    return _Loops(turn)


class _FillScalars(TorchFunctionMode):
    """Inside, numbers of Python are filled in on the device; torch would copy some there, and wait."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.where and len(args) == 3:
            dtype = torch.result_type(*args[1:])
            args = (args[0], *(_fill(part, dtype, args[0].device) for part in args[1:]))
        elif function in MAKERS and isinstance(args[0], bool | int | float):
            return _fill(args[0], **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _fill(value: Any, dtype: torch.dtype | None = None, device: Any = None, **_: Any) -> Any:
    """Make an array of no axes of a number on the device; leave an array."""
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=dtype, device=device)


class _RefuseReads(TorchFunctionMode):
    """Inside, functions fail by which numbers of a tensor, or the shape of a result, come to the host."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in READS or (function is Tensor.__getitem__ and _selects(args[1])):
            raise RuntimeError(f"{function.__name__} waits for the device")
        return function(*args, **(kwargs or {}))


def _selects(index: Any) -> bool:
    """Tell whether an index has masks, which give results of an unknown shape."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, Tensor) and part.dtype == torch.bool for part in parts)


class _Loops:
    """The loops of one turn, by the shapes of their arrays."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._kept: OrderedDict[tuple[torch.Size, ...], _Loop] = OrderedDict()

    def __call__(self, carried: Sequence[Tensor], given: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        shapes = tuple(part.shape for part in (*carried, *given))
        with run_alike(), torch.cuda.device_of(carried[0]):
            loop = self._kept.pop(shapes, None) or _Loop(self._turn, carried, given)
            self._kept[shapes] = loop  # the last one used is the last to go
            if len(self._kept) > MOST_LOOPS:
                self._kept.popitem(last=False)
            return loop.run(carried, given)


class _Loop:
    """A turn on arrays that stay in their place, with a step's number on the device."""

    def __init__(self, turn: Turn, carried: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        self._turn = turn
        self._constants: Kept = {}
        self._carried, self._given = [part.clone() for part in carried], [part.clone() for part in given]
        self._step = torch.zeros(1, dtype=torch.int64, device=carried[0].device)
        with keep_constants(self._constants), _FillScalars():
            _, made = self._take()
            self._made = [part.new_zeros((len(given[0]), *part.shape)) for part in made]
            self._advance = _record(self._turn_in_place) if self._step.is_cuda else self._turn_in_place

    def run(self, carried: Sequence[Tensor], given: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Take all steps. Results are copies, since the next run changes what is in place."""
        for ours, theirs in zip((*self._carried, *self._given), (*carried, *given), strict=True):
            ours.copy_(theirs)
        self._step.zero_()
        with keep_constants(self._constants), _FillScalars():
            for _ in range(len(self._given[0])):
                self._advance()
        return [part.clone() for part in self._carried], [part.clone() for part in self._made]

    def _take(self) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        return self._turn(self._carried, [part.index_select(0, self._step)[0] for part in self._given])

    def _turn_in_place(self) -> None:
        after, made = self._take()
        ours = {part.untyped_storage().data_ptr() for part in self._carried}
        after = [part.clone() if part.untyped_storage().data_ptr() in ours else part for part in after]
        for place, part in zip((*self._carried, *self._made), (*after, *made), strict=True):
            if place.dim() == part.dim():
                place.copy_(part)
            else:
                place.index_copy_(0, self._step, part[None])
        self._step.add_(1)


def _record(turn: Callable[[], None]) -> Callable[[], None]:
    """Record a turn as a CUDA graph; one that cannot be recorded is run as it is."""
    before, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    before.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(before):
        for _ in range(WARM_UP):
            turn()
    torch.cuda.current_stream().wait_stream(before)
    try:
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph):
            turn()
    except RuntimeError:  # its module looks at a number
        torch.cuda.synchronize()
        return turn
    return graph.replay
