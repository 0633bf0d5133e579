"""Loops over the numbers of values, as C. In all of them, `r` is the row, and `count` the number of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from typing_extensions import TypeIs

if TYPE_CHECKING:
    from composer_traced.graph import Graph, Value

Operand: TypeAlias = "Value | float | int | bool"


Write: TypeAlias = Callable[..., None]
"""`write(graph, out, arguments, options)` writes an operation as lines of the graph."""


class Untraceable(ValueError):
    """The reason why a network cannot be traced."""


def write_elementwise(graph: Graph, out: Value, operands: Sequence[Operand], express: Callable[..., str]) -> None:
    """Write `out[i] = express(operand[i], ...)` for each row, with operands broadcast to the shape of `out`."""
    values = [out, *(broadcast(one, out.shape) for one in operands if not is_number(one))]
    sizes, steps = _merge_axes(out.shape, [value.strides for value in values])
    indices = [f"i{axis}" for axis in range(len(sizes))]
    names = [f"x{number}" for number in range(len(values))]
    target, *elements = (f"{name}[{write_index(indices, step)}]" for name, step in zip(names, steps, strict=True))
    # Numbers are read first: GCC 12 makes wrong vectors of an element that is read on a condition.
    read = "".join(f"const float e{number} = {element}; " for number, element in enumerate(elements))
    waiting = iter(f"e{number}" for number in range(len(elements)))
    parts = [write_number(one) if is_number(one) else next(waiting) for one in operands]
    body = f"{{ {read}{target} = {express(*parts)}; }}"
    write_rows(graph, names, values, write_loops(indices, sizes, body))


def write_rows(graph: Graph, names: Sequence[str], values: Sequence[Value], body: str) -> None:
    """Write a loop over rows, in which the names are pointers to the values; the first one is written to."""
    pointers = []
    apart = all(value.buffer != values[0].buffer for value in values[1:])  # not so where it is written in place
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        row = "" if value.is_constant else f" + r * {graph.sizes[value.buffer]}"
        kind = "float" if number == 0 else "const float"
        alone = " restrict" if apart and number == 0 else ""
        pointers.append(f"{kind} *{alone} {name} = {value.buffer}{row} + {value.offset};")
    graph.lines.append(f"for (int64_t r = 0; r < count; r++) {{ {' '.join(pointers)} {body} }}")


def write_loops(indices: Sequence[str], sizes: Sequence[int], body: str) -> str:
    """Write loops around a body."""
    heads = [f"for (int64_t {i} = 0; {i} < {size}; {i}++) " for i, size in zip(indices, sizes, strict=True)]
    return "".join(heads) + body


def write_index(indices: Sequence[str], steps: Sequence[int]) -> str:
    """Write the place of an element."""
    parts = [i if step == 1 else f"{i} * {step}" for i, step in zip(indices, steps, strict=True) if step]
    return " + ".join(parts) or "0"


def is_number(value: object) -> TypeIs[bool | int | float]:
    """Tell whether an operand is a number."""
    return isinstance(value, bool | int | float)


def write_number(value: object) -> str:
    """Write a number as a literal in single precision. Raises Untraceable for anything else."""
    if not isinstance(value, bool | int | float):
        raise Untraceable(f"it has a '{type(value).__name__}' where a number is known")
    number = float(value)
    if number != number:
        return "NAN"
    if abs(number) == float("inf"):
        return "INFINITY" if number > 0 else "-INFINITY"
    return f"({number!r}f)" if "e" in repr(number) or "." in repr(number) else f"({number!r}.0f)"


def broadcast(value: Value, shape: Sequence[int]) -> Value:
    """Return a view of a value in another shape, as torch broadcasts it."""
    from dataclasses import replace

    missing = len(shape) - len(value.shape)
    sizes = (*[1] * missing, *value.shape)
    strides = (*[0] * missing, *value.strides)
    found = tuple(0 if size == 1 else stride for size, stride in zip(sizes, strides, strict=True))
    if missing < 0 or any(a not in (1, b) for a, b in zip(sizes, shape, strict=True)):
        raise Untraceable(f"{value.shape} is not broadcast to {tuple(shape)}")
    return replace(value, shape=tuple(shape), strides=found)


def _merge_axes(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """Merge axes that lie one after the other in all values, so that the inner loop is long; leave out those of 1."""
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        here = [stride[axis] for stride in strides]
        if sizes and all(step[-1] == stride * size for step, stride in zip(steps, here, strict=True)):
            sizes[-1] *= size
            for step, stride in zip(steps, here, strict=True):
                step[-1] = stride
        else:
            sizes.append(size)
            for step, stride in zip(steps, here, strict=True):
                step.append(stride)
    return sizes, steps
