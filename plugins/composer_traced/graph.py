"""A step of a network as calls on values in memory, by following torch's operations with a batch of one row.

Rows do not depend on one another (the contract of an architecture), so what one row takes is what each takes. What
depends on weights alone is computed here, once. Views share the memory of what they view, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from composer.devices import switch_off_onednn, use_one_thread
from composer_traced.loops import Untraceable, write_elementwise
from composer_traced.operations import ELEMENTWISE, OPERATIONS, name_operation

if TYPE_CHECKING:
    import torch
    from torch import nn


RESHAPING = ("t_", "transpose_", "squeeze_", "unsqueeze_", "as_strided_", "detach_")
"""Operations in place that change how an array is seen, and no number in it."""


@dataclass(frozen=True)
class Value:
    """Numbers in memory: of each row in a buffer, or constants of all rows; strides and offsets count numbers."""

    buffer: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    is_constant: bool = False

    @property
    def is_contiguous(self) -> bool:
        """Whether the numbers lie one after the other."""
        step = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != step:
                return False
            step *= size
        return True


@dataclass
class Graph:
    """The calls of a step, as lines of C, and what they work on."""

    lines: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)  # numbers of each row, by buffer
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)  # arrays of all rows, as C gets them
    matrices: set[str] = field(default_factory=set)  # the constants that are packed for products
    inputs: int = 0  # features of a row
    states: tuple[Value, ...] = ()  # buffers that the state before is copied into
    results: tuple[Value, ...] = ()  # logits, and the state after

    def allocate(self, shape: Sequence[int], strides: Sequence[int] | None = None) -> Value:
        """Allocate a buffer for the numbers of a row; they lie one after the other, or as `strides` say."""
        name = f"b{len(self.sizes)}"
        self.sizes[name] = max(int(np.prod(shape, dtype=np.int64)), 1)
        return Value(name, tuple(shape), _stride(shape) if strides is None else tuple(strides), 0)

    def keep(self, array: NDArray[Any]) -> str:
        """Keep an array of constants, and return its name in C."""
        name = f"w{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(array)
        return name


def _stride(shape: Sequence[int]) -> tuple[int, ...]:
    found, step = [], 1
    for size in reversed(shape):
        found.append(step)
        step *= size
    return tuple(reversed(found))


def trace_step(module: nn.Module, columns: int, state: Sequence[torch.Tensor] | None) -> Graph:
    """Trace one step of a row; `state` is an example of the state before it, or None at the beginning of a piece.

    Raises Untraceable for a network with operations that are not known here.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    tracer = _Tracer(columns)

    class Following(TorchDispatchMode):
        def __torch_dispatch__(
            self, target: Any, types: Any, arguments: Sequence[Any] = (), options: Mapping[str, Any] | None = None
        ) -> Any:
            return tracer.call(target, arguments, options or {})

    examples = [torch.zeros(1, 1, columns, dtype=torch.int64), *(part.clone() for part in state or ())]
    with torch.no_grad(), use_one_thread(), switch_off_onednn():
        try:
            tracer.begin(examples)
            with Following():  # type: ignore[no-untyped-call]
                logits, after = module(examples[0], tuple(examples[1:]) or None)
            return tracer.end((logits, *after))
        except Untraceable:
            raise
        except Exception as error:  # a network may do anything
            raise Untraceable(f"it cannot be followed ({type(error).__name__}: {error})") from error


class _Tracer:
    """Follows the operations of a step, with real tensors, and writes what each row takes."""

    def __init__(self, columns: int) -> None:
        self.graph = Graph(inputs=columns)
        self._memory: dict[int, str] = {}  # buffers by the address of their storage in torch
        self._alive: list[Any] = []  # keeps these addresses from being used again

    def begin(self, examples: Sequence[torch.Tensor]) -> None:
        """Give the arguments of the step buffers: the features, then the parts of the state."""
        for number, tensor in enumerate(examples):
            self._begin(tensor, is_input=number == 0)

    def end(self, results: Sequence[torch.Tensor]) -> Graph:
        """Return the graph, with these results."""
        self.graph.results = tuple(self._read(tensor) for tensor in results)
        return self.graph

    def _begin(self, tensor: torch.Tensor, *, is_input: bool) -> None:
        """Give an argument of the step a buffer."""
        import torch

        if not is_input and tensor.dtype != torch.float32:
            raise Untraceable(f"its state is of {tensor.dtype}")
        value = self.graph.allocate(tensor.shape)
        self._remember(tensor, value.buffer)
        if not is_input:
            self.graph.states = (*self.graph.states, value)

    def _remember(self, tensor: torch.Tensor, buffer: str) -> None:
        self._memory[tensor.untyped_storage().data_ptr()] = buffer
        self._alive.append(tensor)

    def _adopt(self, tensor: torch.Tensor) -> None:
        """Give constants a buffer, since the row's numbers are now written among them."""
        import torch

        if isinstance(tensor, torch.nn.Parameter):
            raise Untraceable("it writes into its weights")
        storage = tensor.untyped_storage()
        flat = tensor.as_strided((storage.nbytes() // tensor.itemsize,), (1,), 0).clone()
        value = self._read(flat)
        buffer = self.graph.allocate(value.shape)
        write_elementwise(self.graph, buffer, [value], "{0}".format)
        self._remember(tensor, buffer.buffer)

    def _is_known(self, value: Any) -> bool:
        """Tell whether a value is a tensor of the row, and not one of weights alone."""
        import torch

        return isinstance(value, torch.Tensor) and value.untyped_storage().data_ptr() in self._memory

    def _read(self, value: Any) -> Any:
        """Turn tensors into values in memory, and leave numbers as they are."""
        import torch

        if isinstance(value, list | tuple):
            return [self._read(one) for one in value]
        if not isinstance(value, torch.Tensor):
            return value
        shape, strides = tuple(value.shape), value.stride()
        if self._is_known(value):
            buffer = self._memory[value.untyped_storage().data_ptr()]
            return Value(buffer, shape, strides, int(value.storage_offset()))
        if value.dtype not in (torch.float32, torch.bool, torch.int64) or value.is_complex():
            raise Untraceable(f"it computes in {value.dtype}")
        array = value.detach().to(torch.float32).contiguous().numpy()
        return Value(self.graph.keep(array), shape, _stride(shape), 0, is_constant=True)

    def call(self, target: Callable[..., Any], arguments: Any, options: Any) -> Any:
        """Follow one operation: compute its result, and unless that is a constant or a view, write it in C."""
        import torch

        name = name_operation(target)
        in_place = name.endswith("_") and name not in (*OPERATIONS, *RESHAPING)
        tensors = [one for one in _flatten((arguments, options)) if isinstance(one, torch.Tensor)]
        known = any(map(self._is_known, tensors))
        if in_place and known and not self._is_known(arguments[0]):
            self._adopt(arguments[0])
        made = target(*arguments, **options)
        if not known:
            self._alive.append(made)
            return made
        outputs = [one for one in _flatten(made) if isinstance(one, torch.Tensor)]
        if not outputs:
            raise Untraceable("it looks at a number")
        if in_place:
            into = self._read(arguments[0])
            write = _find(name.removesuffix("_"))
            write(self.graph, into, [self._read(one) for one in arguments], self._read_options(options))
        elif not all(map(self._is_known, outputs)):
            into = [self.graph.allocate(one.shape, one.stride()) for one in outputs]
            for one, value in zip(outputs, into, strict=True):
                whole = one.untyped_storage().nbytes() == one.numel() * one.itemsize
                if not (whole and (one.is_contiguous() or name in ELEMENTWISE)):
                    raise Untraceable(f"'{name}' gives an array out of order")
                self._remember(one, value.buffer)
            _find(name)(
                self.graph,
                into[0] if len(into) == 1 else into,
                [self._read(one) for one in arguments],
                self._read_options(options),
            )
        return made

    def _read_options(self, options: Any) -> dict[str, Any]:
        return {name: self._read(one) for name, one in options.items()}


def _find(name: str) -> Callable[..., None]:
    """Return the function that writes an operation. Raises Untraceable for one that is not known."""
    if name not in OPERATIONS:
        raise Untraceable(f"it has the operation '{name}'")
    return OPERATIONS[name]


def _flatten(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for one in value for leaf in _flatten(one)] if isinstance(value, list | tuple) else [value]
