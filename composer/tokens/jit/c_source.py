"""Write C source: a traced function becomes a loop over rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from composer.tokens.jit.tracing import Shape, Traced, Untraceable

PRELUDE = """\
#include <stdint.h>

/* Integer division as in Python and NumPy: rounded down, and 0 for a divisor of 0. */
static inline int64_t floor_div(int64_t a, int64_t b)
{
    if (b == 0) return 0;
    if (b == -1) return -a; /* INT64_MIN / -1 would trap */
    int64_t q = a / b;
    return q - ((a % b != 0) & ((a < 0) != (b < 0)));
}
static inline int64_t floor_mod(int64_t a, int64_t b) { return b == 0 ? 0 : a - floor_div(a, b) * b; }
static inline int64_t max2(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t min2(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t absolute(int64_t a) { return a < 0 ? -a : a; }
/* An index of an array; negative ones count from the end. One beyond it is noted in `beyond`, and never followed. */
static inline int64_t check_index(int64_t index, int64_t length, int *beyond)
{
    int64_t from_start = index < 0 ? index + length : index;
    *beyond |= (from_start < 0) | (from_start >= length);
    return min2(max2(from_start, 0), length - 1);
}
"""

LONGEST, LARGEST = 4 * 2**20, 2**20
"""Most characters of a source, and most bytes of a function's variables, which are on the stack."""

_INFIX = ("+", "-", "*", "==", "!=", "<", "<=", ">", ">=", "&", "|")
_CALLS = {"//": "floor_div", "%": "floor_mod", "max": "max2", "min": "min2", "abs": "absolute"}
_INLINE = (*_INFIX, *_CALLS, "!", "~", "where", "index", "broadcast", "constant", "argument")
_LOOKUPS = ("take", "along")  # stored, so that each index is checked, chosen by `where` or not, as in NumPy
_REDUCTIONS = {
    "sum": ("0", "{0} + {1}"),
    "any": ("0", "{0} | ({1} != 0)"),
    "all": ("1", "{0} & ({1} != 0)"),
    "greatest": ("INT64_MIN", "max2({0}, {1})"),
    "least": ("INT64_MAX", "min2({0}, {1})"),
}


@dataclass(frozen=True)
class Function:
    """A traced function; arguments and results are (rows, …) arrays."""

    arguments: Sequence[Traced]
    results: Sequence[Traced]


def write_source(functions: Mapping[str, Function]) -> str:
    """Write `int name(int64_t rows, const int64_t *argument, …, type *result, …)` in C; a bool is a `uint8_t`.

    It returns 0, or 1 if an index is beyond its array, where NumPy raises IndexError; then results are undefined.
    Compiled with `-fwrapv`, integers overflow as in NumPy. Raises Untraceable for a result that is not of one row, and
    for a source or variables too large for a compiler or a stack.
    """
    text = PRELUDE + "".join(_Writer().write_function(name, function) for name, function in functions.items())
    if len(text) > LONGEST:
        raise Untraceable("it is too long")
    return text


@dataclass
class _Writer:
    """The lines and tables of one function, as far as they are written."""

    tables: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    names: dict[Traced, str] = field(default_factory=dict)
    stack_bytes: int = 0  # bytes of its variables

    def write_function(self, name: str, function: Function) -> str:
        """Write the C text of a function."""
        if any(result.shape[:1] != (1,) for result in function.results):
            raise Untraceable("a result is not of one row")
        nodes = _collect_nodes(function.results)
        uses = Counter(argument for node in nodes for argument in node.arguments)
        for node in nodes:
            if node.operation == "argument":
                self.names[node] = node.detail
            elif node.operation == "constant":
                self._write_constant(name, node)
            elif node.size == 1 or uses[node] > 1 or node.operation not in _INLINE:
                self._store(node)
        for index, result in enumerate(function.results):
            self._write_array(f"out{index}", result)
        for pointer, node in [(a.detail, a) for a in function.arguments] + [
            (f"out{index}", result) for index, result in enumerate(function.results)
        ]:
            self.lines.append(f"{pointer} += {node.size};")
        parameters = [f"const int64_t *{a.detail}" for a in function.arguments]
        parameters += [f"{_get_type(result)} *out{index}" for index, result in enumerate(function.results)]
        body = "\n        ".join(self.lines)
        head = f"int {name}(int64_t rows, {', '.join(parameters)})"
        loop = f"    for (int64_t row = 0; row < rows; row++) {{\n        {body}\n    }}"
        return "\n".join(["", *self.tables, f"{head}\n{{\n    int beyond = 0;\n{loop}\n    return beyond;\n}}\n"])

    def _write_constant(self, function: str, node: Traced) -> None:
        values = node.detail.reshape(-1).tolist()
        if len(set(values)) == 1:
            self.names[node] = f"{values[0]}"
            return
        name = f"{function}_{len(self.tables)}"
        self.tables.append(f"static const {_get_type(node)} {name}[] = {{{', '.join(map(str, values))}}};")
        self.names[node] = name

    def _store(self, node: Traced) -> None:
        """Store an array in a variable of its own."""
        name = f"v{len(self.names)}"
        if node.size == 1 and node.operation in (*_INLINE, *_LOOKUPS):
            self.lines.append(f"const {_get_type(node)} {name} = {self._write_element(node, _make_zeros(node))};")
        else:
            self.stack_bytes += max(node.size, 1) * (1 if node.is_bool else 8)
            if self.stack_bytes > LARGEST:
                raise Untraceable("it holds too much")
            self.lines.append(f"{_get_type(node)} {name}[{max(node.size, 1)}];")
            self._write_array(name, node)
            if node.size == 1:
                name = f"{name}[0]"
        self.names[node] = name

    def _write_array(self, name: str, node: Traced) -> None:
        """Write the assignments that fill a variable with an array."""
        if node not in self.names and node.operation == "concat":
            self._write_parts(name, node)
        elif node not in self.names and node.operation in _REDUCTIONS:
            self._write_reduction(name, node)
        else:
            heads, indices = _write_loops(node.shape)
            self.lines.append(
                f"{heads}{name}[{_flatten_index(node.shape, indices)}] = {self._write_element(node, indices)};"
            )

    def _write_parts(self, name: str, node: Traced) -> None:
        axis, begin = node.detail, 0
        for part in node.arguments:
            heads, indices = _write_loops(part.shape)
            there = [f"({p} + {begin})" if a == axis else p for a, p in enumerate(indices)]
            if part.size:
                self.lines.append(
                    f"{heads}{name}[{_flatten_index(node.shape, there)}] = {self._write_element(part, indices)};"
                )
            begin += part.shape[axis]

    def _write_reduction(self, name: str, node: Traced) -> None:
        (axis, keepdims), of = node.detail, node.arguments[0]
        first, step = _REDUCTIONS[node.operation]
        heads, indices = _write_loops(of.shape)
        remaining = ["0" if a == axis else p for a, p in enumerate(indices) if keepdims or a != axis]
        clear, all_places = _write_loops(node.shape)
        self.lines.append(f"{clear}{name}[{_flatten_index(node.shape, all_places)}] = {first};")
        there = f"{name}[{_flatten_index(node.shape, remaining)}]"
        self.lines.append(f"{heads}{there} = {step.format(there, self._write_element(of, indices))};")

    def _write_element(self, node: Traced, indices: Sequence[str]) -> str:
        """Write one element as an expression."""
        if node in self.names:
            name = self.names[node]
            simple = node.size == 1 and node.operation != "argument"
            number = node.operation == "constant" and name.lstrip("-").isdecimal()
            return name if simple or number else f"{name}[{_flatten_index(node.shape, indices)}]"
        return self._write_operation(node, indices)

    def _write_operation(self, node: Traced, indices: Sequence[str]) -> str:
        if node.operation == "index":
            return self._write_element(
                node.arguments[0], [_shift_index(start, axis, indices) for start, axis in node.detail]
            )
        if node.operation == "take":
            values, where = node.arguments
            index = self._write_element(where, _broadcast_index(where.shape, indices))
            return self._write_element(values, [f"check_index({index}, {values.size}, &beyond)"])
        if node.operation == "along":
            values, where = node.arguments
            at = self._write_element(where, _broadcast_index(where.shape, indices))
            checked = f"check_index({at}, {values.shape[node.detail]}, &beyond)"
            there = [checked if a == node.detail else p for a, p in enumerate(indices)]
            return self._write_element(values, _broadcast_index(values.shape, there))
        parts = [self._write_element(a, _broadcast_index(a.shape, indices)) for a in node.arguments]
        if node.operation == "where":
            return f"({parts[0]} ? {parts[1]} : {parts[2]})"
        if node.operation in _INFIX:
            return f"({parts[0]} {node.operation} {parts[1]})"
        if node.operation in ("!", "~"):
            return f"({node.operation}{parts[0]})"
        return f"{_CALLS[node.operation]}({', '.join(parts)})" if node.operation in _CALLS else parts[0]


def _collect_nodes(results: Sequence[Traced]) -> list[Traced]:
    """Collect the results and everything they depend on, each after its arguments."""
    found: set[Traced] = set()
    waiting = list(results)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.arguments
    return sorted(found, key=lambda node: node.serial)


def _get_type(node: Traced) -> str:
    return "uint8_t" if node.is_bool else "int64_t"


def _make_zeros(node: Traced) -> list[str]:
    return ["0"] * node.ndim


def _write_loops(shape: Shape) -> tuple[str, list[str]]:
    """Write the heads of loops over all elements; return them with the index on each axis."""
    indices = ["0" if size == 1 else f"i{axis}" for axis, size in enumerate(shape)]
    heads = [f"for (int64_t {p} = 0; {p} < {n}; {p}++) " for p, n in zip(indices, shape, strict=True) if n != 1]
    return "".join(heads), indices


def _flatten_index(shape: Shape, indices: Sequence[str]) -> str:
    """Write the index of an element in C order."""
    text = ""
    for size, index in zip(shape, indices, strict=True):
        if text and size != 1:
            text = f"({text}) * {size} + {index}" if index != "0" else f"({text}) * {size}"
        elif size != 1 and index != "0":
            text = index
    return text or "0"


def _broadcast_index(shape: Shape, indices: Sequence[str]) -> list[str]:
    """Return the index into a broadcast array: the last axes, 0 where an axis has length 1."""
    return [
        "0" if size == 1 else index for size, index in zip(shape, indices[len(indices) - len(shape) :], strict=True)
    ]


def _shift_index(start: int, axis: int | None, indices: Sequence[str]) -> str:
    if axis is None or indices[axis] == "0":
        return str(start)
    return f"({indices[axis]} + {start})" if start else indices[axis]
