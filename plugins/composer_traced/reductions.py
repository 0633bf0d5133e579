"""Operations of torch that sum: over axes, and products of matrices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from composer_traced.loops import Untraceable, Write, write_elementwise, write_index, write_loops, write_rows

if TYPE_CHECKING:
    from composer_traced.graph import Graph, Value


# --- sums over axes ---------------------------------------------------------------------------------------------------


def _list_axes(value: Value, given: Any) -> list[int]:
    """List the axes of a reduction; all of them if none is given."""
    if given is None or given == []:
        return list(range(len(value.shape)))
    return sorted(axis % max(len(value.shape), 1) for axis in ([given] if isinstance(given, int) else given))


def write_reduction(
    graph: Graph, out: Value, value: Value, axes: Sequence[int], first: str, step: str, last: str
) -> None:
    """Write `out` as a running value: `{0}` is it, in double precision, and `{1}` the next number."""
    kept = [axis for axis in range(len(value.shape)) if axis not in axes]
    shape = [value.shape[axis] for axis in kept]
    if prod(out.shape) != prod(shape):
        raise Untraceable("it reduces to another shape")
    strides, begun = [], 1
    for size in reversed(shape):
        strides.append(begun)
        begun *= size
    outer, inner = [f"i{axis}" for axis in kept], [f"i{axis}" for axis in axes]
    place = write_index([f"i{axis}" for axis in range(len(value.shape))], value.strides)
    body = write_loops(inner, [value.shape[axis] for axis in axes], step.format("sum", f"(double)x1[{place}]") + ";")
    target = f"x0[{write_index(outer, list(reversed(strides)))}]"
    whole = write_loops(outer, shape, f"{{ double sum = {first}; {body} {target} = (float)({last.format('sum')}); }}")
    write_rows(graph, ["x0", "x1"], [out, value], whole)


def _make_reduction(first: str, step: str, last: Callable[[int], str]) -> Write:
    def write(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        value = arguments[0]
        axes = _list_axes(value, arguments[1] if len(arguments) > 1 else options.get("dim"))
        write_reduction(graph, out, value, axes, first, step, last(prod(value.shape[axis] for axis in axes)))

    return write


def _write_norm(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    order = arguments[1] if len(arguments) > 1 else options.get("ord", 2)
    if order != 2:
        raise Untraceable(f"it has a norm of order {order}")
    axes = _list_axes(arguments[0], arguments[2] if len(arguments) > 2 else options.get("dim"))
    write_reduction(graph, out, arguments[0], axes, "0.0", "{0} += {1} * {1}", "sqrt({0})")


def _write_layer_norm(graph: Graph, out: Sequence[Value], arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    value, shape, weight, bias, epsilon = arguments[:5]
    result, mean, deviation = out
    width = prod(shape)
    if not value.is_contiguous:
        value = _copy(graph, value)
    groups = prod(value.shape) // width
    scale = "* x4[j]" if weight is not None else ""
    shift = "+ x5[j]" if bias is not None else ""
    body = (
        f"double sum = 0.0, square = 0.0; const float *v = x3 + g * {width}; "
        f"for (int64_t j = 0; j < {width}; j++) sum += v[j]; double m = sum / {width}; "
        f"for (int64_t j = 0; j < {width}; j++) square += (v[j] - m) * (v[j] - m); "
        f"float centre = (float)m, s = (float)(1.0 / sqrt(square / {width} + {float(epsilon)!r})); "
        f"x1[g] = centre; x2[g] = s; "
        f"for (int64_t j = 0; j < {width}; j++) x0[g * {width} + j] = (v[j] - centre) * s {scale} {shift};"
    )
    weights = [one for one in (weight, bias) if one is not None]
    names = [name for name, one in (("x4", weight), ("x5", bias)) if one is not None]
    _write_apart(graph, [result, mean, deviation], ["x3", *names], [value, *weights], groups, body)


def _write_apart(
    graph: Graph, out: Sequence[Value], names: Sequence[str], values: Sequence[Value], groups: int, body: str
) -> None:
    """Write a loop over groups of numbers with several results, `x0`, `x1` and so on."""
    results = [f"float *x{n} = {one.buffer} + r * {graph.sizes[one.buffer]};" for n, one in enumerate(out)]
    row = [
        f"{one.buffer}{'' if one.is_constant else f' + r * {graph.sizes[one.buffer]}'} + {one.offset}" for one in values
    ]
    pointers = [f"const float *{name} = {at};" for name, at in zip(names, row, strict=True)]
    loop = f"for (int64_t g = 0; g < {groups}; g++) {{ {body} }}"
    graph.lines.append(f"for (int64_t r = 0; r < count; r++) {{ {' '.join([*results, *pointers])} {loop} }}")


def _write_softmax(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    value, axis = arguments[0], arguments[1] % max(len(arguments[0].shape), 1)
    outer = [f"i{n}" for n in range(len(value.shape)) if n != axis]
    shape = [size for n, size in enumerate(value.shape) if n != axis]
    indices = [f"i{n}" for n in range(len(value.shape))]
    source, target = (f"{x}[{write_index(indices, of.strides)}]" for x, of in (("x1", value), ("x0", out)))
    loop = f"for (int64_t i{axis} = 0; i{axis} < {value.shape[axis]}; i{axis}++) "
    body = (
        f"{{ float top = -INFINITY; {loop} top = max_(top, {source}); double sum = 0.0; "
        f"{loop} {{ float e = exp_({source} - top); {target} = e; sum += e; }} "
        f"float share = (float)(1.0 / sum); {loop} {target} *= share; }}"
    )
    write_rows(graph, ["x0", "x1"], [out, value], write_loops(outer, shape, body))


# --- matrix products --------------------------------------------------------------------------------------------------


def _copy(graph: Graph, value: Value) -> Value:
    """Copy a value, so that its numbers lie one after the other."""
    made = graph.allocate(value.shape)
    write_elementwise(graph, made, [value], "{0}".format)
    return made


def _write_matrix(graph: Graph, out: Value, x: Value, weights: Value, bias: Value | None) -> None:
    """Write out (M, N) = x (M, K) @ weights (K, N) + bias."""
    (height, depth), width = x.shape, weights.shape[1]
    if not weights.is_constant or x.is_constant:
        _write_any_product(graph, replace(out, shape=(1, *out.shape), strides=(0, *out.strides)), *(
            replace(one, shape=(1, *one.shape), strides=(0, *one.strides)) for one in (x, weights)))  # fmt: skip
        if bias is not None:
            write_elementwise(graph, out, [out, bias], "{0} + {1}".format)
        return
    if x.strides[1] != 1 and depth > 1:
        x = _copy(graph, x)
    graph.matrices.add(weights.buffer)
    there, here = graph.sizes[x.buffer], graph.sizes[out.buffer]
    product = f"{weights.buffer}, half_{weights.buffer}, {bias.buffer if bias else '0'}"
    if height == 1:
        graph.lines.append(
            f"multiply(count, {depth}, {width}, {x.buffer} + {x.offset}, {there}, {product}, "
            f"{out.buffer} + {out.offset}, {here});"
        )
    else:
        graph.lines.append(
            f"for (int64_t r = 0; r < count; r++) multiply({height}, {depth}, {width}, "
            f"{x.buffer} + r * {there} + {x.offset}, {x.strides[0]}, {product}, "
            f"{out.buffer} + r * {here} + {out.offset}, {out.strides[0]});"
        )


def _write_any_product(graph: Graph, out: Value, a: Value, b: Value) -> None:
    """Write out (G, M, N) = a (G, M, K) @ b (G, K, N) for values of the row."""
    sizes = [*out.shape[:2], a.shape[2], out.shape[2]]
    target = f"x0[{write_index(['g', 'i', 'j'], out.strides)}]"
    left, right = (f"x{n}[{write_index(at, of.strides)}]" for n, at, of in ((1, "gik", a), (2, "gkj", b)))
    write_elementwise(graph, out, [0.0], "{0}".format)
    body = write_loops(list("gikj"), sizes, f"{target} += {left} * {right};")
    write_rows(graph, ["x0", "x1", "x2"], [out, a, b], body)


def _write_mm(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    _write_matrix(graph, out, arguments[0], arguments[1], None)


def _write_addmm(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    bias, x, weights = arguments
    if options.get("alpha", 1) != 1 or options.get("beta", 1) != 1:
        raise Untraceable("it weights a sum of a product")
    if bias.is_constant and bias.shape == (weights.shape[1],):
        _write_matrix(graph, out, x, weights, bias)
    else:
        _write_matrix(graph, out, x, weights, None)
        write_elementwise(graph, out, [out, bias], "{0} + {1}".format)


def _write_bmm(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    _write_any_product(graph, out, arguments[0], arguments[1])


def _write_mv(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    matrix, vector = arguments
    column = replace(vector, shape=(1, vector.shape[0], 1), strides=(0, vector.strides[0], 0))
    grown = replace(matrix, shape=(1, *matrix.shape), strides=(0, *matrix.strides))
    _write_any_product(graph, replace(out, shape=(1, *out.shape, 1), strides=(0, *out.strides, 0)), grown, column)


def _keep_sum(_: int) -> str:
    return "{0}"


OPERATIONS: Mapping[str, Write] = {
    "sum": _make_reduction("0.0", "{0} += {1}", _keep_sum),
    "mean": _make_reduction("0.0", "{0} += {1}", lambda count: f"{{0}} / {count}"),
    "amax": _make_reduction("-INFINITY", "{0} = {1} > {0} || {1} != {1} ? {1} : {0}", _keep_sum),
    "amin": _make_reduction("INFINITY", "{0} = {1} < {0} || {1} != {1} ? {1} : {0}", _keep_sum),
    "linalg_vector_norm": _write_norm,
    "native_layer_norm": _write_layer_norm,
    "_softmax": _write_softmax,
    "mm": _write_mm,
    "addmm": _write_addmm,
    "bmm": _write_bmm,
    "mv": _write_mv,
}
"""What each operation is in C, by the name of ATen."""
