"""Write C source: a traced function becomes a loop over rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from composer.tokens.jit.tracing import Shape, Traced, Untraceable, collect_nodes

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
/* The first place in a rising table with a number of at least `value`, or above it. */
static inline int64_t search(const int64_t *table, int64_t length, int64_t value, int above)
{
    int64_t first = 0;
    while (length > 0) {
        int64_t half = length / 2;
        if (table[first + half] < value || (above && table[first + half] == value)) {
            first += half + 1;
            length -= half + 1;
        } else {
            length = half;
        }
    }
    return first;
}
/* The places of `count` numbers in rising order; of equals the first comes first. */
static inline void argsort(const int64_t *values, int64_t count, int64_t *places, int64_t *scratch)
{
    for (int64_t i = 0; i < count; i++) places[i] = i;
    for (int64_t width = 1; width < count; width *= 2) {
        for (int64_t begin = 0; begin < count; begin += 2 * width) {
            int64_t middle = min2(begin + width, count), end = min2(begin + 2 * width, count);
            int64_t one = begin, other = middle;
            for (int64_t at = begin; at < end; at++) {
                int first = one < middle && (other >= end || values[places[one]] <= values[places[other]]);
                scratch[at] = first ? places[one++] : places[other++];
            }
        }
        for (int64_t i = 0; i < count; i++) places[i] = scratch[i];
    }
}
"""

GUARDED = 4
"""Bit of a status: a guard is broken, and the results are undefined."""

LONGEST, LARGEST = 4 * 2**20, 2**20
"""Most characters of a source, and most bytes of a function's variables, which are on the stack."""

_INFIX = ("+", "-", "*", "==", "!=", "<", "<=", ">", ">=", "&", "|")
_CALLS = {"//": "floor_div", "%": "floor_mod", "max": "max2", "min": "min2", "abs": "absolute"}
_INLINE = (*_INFIX, *_CALLS, "!", "~", "where", "index", "broadcast", "constant", "argument")
_LOOKUPS = ("take", "along", "search")  # stored, so that each index is checked, chosen by `where` or not, as in NumPy
_REDUCTIONS = {
    "sum": ("0", "{0} + {1}"),
    "any": ("0", "{0} | ({1} != 0)"),
    "all": ("1", "{0} & ({1} != 0)"),
    "greatest": ("INT64_MIN", "max2({0}, {1})"),
    "least": ("INT64_MAX", "min2({0}, {1})"),
}


_SEVERAL = 2
"""Stands for the length of a table that is known only when C is called."""


@dataclass(frozen=True)
class Function:
    """A traced function; arguments and results are (rows, …) arrays. Where a guard is not 0, it is not right."""

    arguments: Sequence[Traced]
    results: Sequence[Traced]
    guards: Sequence[Traced] = ()

    @cached_property
    def tables(self) -> list[Traced]:
        """The arrays of constants, in order, for a function whose tables are arguments."""
        nodes = collect_nodes([*self.results, *self.guards])
        return [node for node in nodes if node.operation == "constant" and node.ndim]


def write_source(functions: Mapping[str, Function], *, tables: bool = False) -> str:
    """Write `int name(int64_t rows, const int64_t *argument, …, type *result, …)` in C; a bool is a `uint8_t`.

    With `tables`, `const void *const *tables, const int64_t *lengths` follow `rows`: the arrays of constants, which
    are no part of the source then, and how many numbers each has along its first axis. So functions with other numbers
    in them have one source; lengths count in it only where more is done than a look-up along the first axis.

    It returns 0, or 1 if an index is beyond its array, where NumPy raises IndexError; 4 is added where a guard is
    broken. Then results are undefined. Compiled with `-fwrapv`, integers overflow as in NumPy. Raises Untraceable for a
    result that is not of one row, and for a source or variables too large for a compiler or a stack.
    """
    text = PRELUDE + "".join(_Writer(tables).write_function(name, one) for name, one in functions.items())
    if len(text) > LONGEST:
        raise Untraceable("it is too long")
    return text


@dataclass
class _Writer:
    """The lines and tables of one function, as far as they are written."""

    takes_tables: bool = False  # whether arrays of constants are arguments
    tables: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    names: dict[Traced, str] = field(default_factory=dict)
    lengths: dict[Traced, str] = field(default_factory=dict)  # of tables that are looked up alone
    stack_bytes: int = 0  # bytes of its variables

    def write_function(self, name: str, function: Function) -> str:
        """Write the C text of a function."""
        if any(result.shape[:1] != (1,) for result in function.results):
            raise Untraceable("a result is not of one row")
        nodes = collect_nodes([*function.results, *function.guards])
        uses = Counter(argument for node in nodes for argument in node.arguments)
        searched = {node.arguments[0] for node in nodes if node.operation == "search"}
        head = self._write_tables(function, nodes) if self.takes_tables else []
        for node in nodes:
            if node in self.names:
                continue
            if node.operation == "anywhere":
                raise Untraceable("rows are combined")
            if node.operation == "argument":
                self.names[node] = node.detail
            elif node.operation == "constant":
                self._write_constant(name, node, is_searched=node in searched)
            elif node.operation == "broadcast" and node.arguments[0].size == 1 and not node.arguments[0].ndim:
                self.names[node] = self.names[node.arguments[0]]
            elif node.operation == "argsort":
                self._write_argsort(node)
            elif node.size == 1 or uses[node] > 1 or node.operation not in _INLINE:
                self._store(node)
        return self._write_whole(name, function, head)

    def _write_whole(self, name: str, function: Function, head: Sequence[str]) -> str:
        """Write the results and guards, and the text around all lines."""
        for index, result in enumerate(function.results):
            self._write_array(f"out{index}", result)
        for guard in function.guards:
            heads, indices = _write_loops(guard.shape)
            self.lines.append(f"{heads}guarded |= {self._write_element(guard, indices)} != 0;")
        for pointer, node in [(a.detail, a) for a in function.arguments] + [
            (f"out{index}", result) for index, result in enumerate(function.results)
        ]:
            self.lines.append(f"{pointer} += {node.size};")
        parameters = ["const void *const *tables, const int64_t *lengths"] if self.takes_tables else []
        parameters += [f"const {_get_type(a)} *{a.detail}" for a in function.arguments]
        parameters += [f"{_get_type(result)} *out{index}" for index, result in enumerate(function.results)]
        body = "\n        ".join(self.lines)
        begin = "\n    ".join(["int beyond = 0, guarded = 0;", *head])
        loop = f"    for (int64_t row = 0; row < rows; row++) {{\n        {body}\n    }}"
        top = f"int {name}(int64_t rows, {', '.join(parameters)})\n{{\n    {begin}"
        return "\n".join(["", *self.tables, f"{top}\n{loop}\n    return beyond | (guarded ? {GUARDED} : 0);\n}}\n"])

    def _write_tables(self, function: Function, nodes: Sequence[Traced]) -> list[str]:
        """Name the tables, and write the lines that read them from the arguments."""
        other_uses = {a for node in nodes for n, a in enumerate(node.arguments) if n or not _looks_up_first(node)}
        other_uses |= {*function.results, *function.guards}
        lines = []
        for number, node in enumerate(function.tables):
            kind = _get_type(node)
            lines.append(f"const {kind} *t{number} = tables[{number}];")
            self.names[node] = f"t{number}"
            if node not in other_uses:
                lines.append(f"const int64_t n{number} = lengths[{number}];")
                self.lengths[node] = f"n{number}"
            elif node.size == 1:
                lines.append(f"const {kind} p{number} = *t{number};")
                self.names[node] = f"p{number}"
        return lines

    def _get_shape(self, node: Traced) -> Shape:
        """Return the shape of an array as C knows it."""
        return (_SEVERAL, *node.shape[1:]) if node in self.lengths else node.shape

    def _get_length(self, node: Traced, axis: int) -> str:
        return self.lengths.get(node, str(node.shape[axis]))

    def _write_argsort(self, node: Traced) -> None:
        """Write an order, of a copy of the numbers in the cases where these are not stored."""
        count, name = max(node.size, 1), f"v{len(self.names)}"
        self.stack_bytes += 3 * 8 * count
        if self.stack_bytes > LARGEST:
            raise Untraceable("it holds too much")
        self.lines.append(f"int64_t {name}[{count}], k{name}[{count}], s{name}[{count}];")
        heads, indices = _write_loops(node.shape)
        there, value = _flatten_index(node.shape, indices), self._write_element(node.arguments[0], indices)
        self.lines.append(f"{heads}k{name}[{there}] = {value};")
        self.lines.append(f"argsort(k{name}, {node.size}, {name}, s{name});")
        self.names[node] = f"{name}[0]" if node.size == 1 else name

    def _write_constant(self, function: str, node: Traced, *, is_searched: bool) -> None:
        values = node.detail.reshape(-1).tolist()
        if len(set(values)) == 1 and not is_searched:
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
        outer = tuple(1 if a == axis else n for a, n in enumerate(of.shape))
        heads, indices = _write_loops(outer)
        remaining = ["0" if a == axis else p for a, p in enumerate(indices) if keepdims or a != axis]
        inner = ["j" if a == axis else p for a, p in enumerate(indices)]
        kind, there = _get_type(node), f"{name}[{_flatten_index(node.shape, remaining)}]"
        sum_up = step.format("sum", self._write_element(of, inner))
        loop = f"for (int64_t j = 0; j < {of.shape[axis]}; j++) sum = {sum_up};"
        self.lines.append(f"{heads}{{ int64_t sum = {first}; {loop} {there} = ({kind})sum; }}")

    def _write_element(self, node: Traced, indices: Sequence[str]) -> str:
        """Write one element as an expression."""
        if node in self.names:
            name = self.names[node]
            simple = node.size == 1 and node.operation != "argument" and node not in self.lengths
            return (
                name
                if simple or name.lstrip("-").isdecimal()
                else f"{name}[{_flatten_index(self._get_shape(node), indices)}]"
            )
        return self._write_operation(node, indices)

    def _write_operation(self, node: Traced, indices: Sequence[str]) -> str:
        if node.operation == "index":
            return self._write_element(
                node.arguments[0], [_shift_index(start, axis, indices) for start, axis in node.detail]
            )
        if node.operation == "take":
            values, where = node.arguments
            axis, end = node.detail, node.detail + where.ndim
            index = self._write_element(where, indices[axis:end])
            checked = f"check_index({index}, {self._get_length(values, axis)}, &beyond)"
            return self._write_element(values, [*indices[:axis], checked, *indices[end:]])
        if node.operation == "search":
            table, where = node.arguments
            value, above = self._write_element(where, indices), int(node.detail == "right")
            return f"search({self.names[table]}, {self._get_length(table, 0)}, {value}, {above})"
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


def _looks_up_first(node: Traced) -> bool:
    """Tell whether a node looks its first argument up along the first axis, and needs no number of its length."""
    return (node.operation == "take" and node.detail == 0) or node.operation == "search"


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
