"""The operations of torch that are known, each as C: `write(graph, out, arguments, options)`.

`out` is a value, or a list of them for operations with several results; arguments are values, numbers, or lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from composer_traced.loops import (
    Untraceable,
    is_number,
    write_elementwise,
    write_index,
    write_loops,
    write_number,
    write_rows,
)

if TYPE_CHECKING:
    from composer_traced.graph import Graph, Value

__all__ = ["OPERATIONS", "Untraceable", "name_operation"]

Write = Callable[..., None]


def name_operation(target: Any) -> str:
    """Return the name of an operation without its overload, such as `add`."""
    packet = getattr(target, "overloadpacket", target)
    return str(getattr(packet, "__name__", packet))


# --- one number at a time ---------------------------------------------------------------------------------------------

UNARY: Mapping[str, str] = {
    **dict.fromkeys(["clone", "_to_copy", "contiguous", "alias", "detach", "lift_fresh_copy", "dropout"], "{0}"),
    **{name: f"{name}f({{0}})" for name in ("exp2", "log", "log2", "log1p", "expm1", "sqrt", "sin", "cos", "erf")},
    **{name: f"{name}f({{0}})" for name in ("floor", "ceil", "trunc")},
    **{name: f"{name}_({{0}})" for name in ("exp", "sigmoid", "tanh", "silu")},
    "neg": "-{0}",
    "abs": "fabsf({0})",
    "round": "rintf({0})",
    "rsqrt": "1.0f / sqrtf({0})",
    "reciprocal": "1.0f / {0}",
    "square": "{0} * {0}",
    "relu": "max_({0}, 0.0f)",
    "hardsigmoid": "min_(max_({0} + 3.0f, 0.0f), 6.0f) / 6.0f",
    "hardswish": "{0} * (min_(max_({0} + 3.0f, 0.0f), 6.0f) / 6.0f)",
    "sign": "(float)(({0} > 0.0f) - ({0} < 0.0f))",
    "logical_not": "(float)({0} == 0.0f)",
    "bitwise_not": "(float)({0} == 0.0f)",
    "mish": "{0} * tanh_(softplus_({0}, 1.0f, 20.0f))",
}

BINARY: Mapping[str, str] = {
    "mul": "{0} * {1}",
    "maximum": "max_({0}, {1})",
    "minimum": "min_({0}, {1})",
    "clamp_min": "max_({0}, {1})",
    "clamp_max": "min_({0}, {1})",
    "atan2": "atan2f({0}, {1})",
    **{name: f"(float)({{0}} {sign} {{1}})" for name, sign in zip(
        ("eq", "ne", "lt", "le", "gt", "ge"), ("==", "!=", "<", "<=", ">", ">="), strict=True)},
    **dict.fromkeys(["logical_and", "bitwise_and"], "(float)({0} != 0.0f && {1} != 0.0f)"),
    **dict.fromkeys(["logical_or", "bitwise_or"], "(float)({0} != 0.0f || {1} != 0.0f)"),
}  # fmt: skip


def _make_unary(form: str) -> Write:
    def write(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
        write_elementwise(graph, out, arguments[:1], form.format)

    return write


def _make_binary(form: str) -> Write:
    def write(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
        write_elementwise(graph, out, arguments[:2], form.format)

    return write


def _write_sum(sign: str) -> Write:
    def write(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        alpha = arguments[2] if len(arguments) > 2 else options.get("alpha", 1)
        form = f"{{0}} {sign} {{1}}" if alpha == 1 else f"{{0}} {sign} {write_number(alpha)} * {{1}}"
        write_elementwise(graph, out, arguments[:2], form.format)

    return write


def _write_reverse(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    _write_sum("-")(graph, out, [arguments[1], arguments[0], *arguments[2:]], options)


def _write_quotient(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    mode = options.get("rounding_mode")
    form = {None: "{0} / {1}", "floor": "floorf({0} / {1})", "trunc": "truncf({0} / {1})"}[mode]
    write_elementwise(graph, out, arguments[:2], form.format)


def _write_power(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    forms = {2: "{0} * {0}", 3: "{0} * {0} * {0}", 0.5: "sqrtf({0})", -0.5: "1.0f / sqrtf({0})", -1: "1.0f / {0}"}
    known = forms.get(arguments[1]) if is_number(arguments[1]) else None
    write_elementwise(graph, out, arguments[:1] if known else arguments[:2], (known or "powf({0}, {1})").format)


def _write_clamp(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    named = [options.get("min"), options.get("max")]
    least, most = [*arguments[1:3], *named[len(arguments) - 1 :]][:2]
    form, operands = "{0}", [arguments[0]]
    for limit, name in ((least, "max_"), (most, "min_")):
        if limit is not None:
            form = f"{name}({form}, {{{len(operands)}}})"
            operands.append(limit)
    write_elementwise(graph, out, operands, form.format)


def _write_where(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    write_elementwise(graph, out, arguments[:3], "{0} != 0.0f ? {1} : {2}".format)


def _write_fill(value: float | None) -> Write:
    def write(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        filled = value if value is not None else options.get("fill_value", arguments[-1])
        write_elementwise(graph, out, [filled], "{0}".format)

    return write


def _write_copy(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    write_elementwise(graph, out, arguments[1:2], "{0}".format)


def _write_gelu(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    form = "gelu_tanh_({0})" if options.get("approximate") == "tanh" else "gelu_({0})"
    write_elementwise(graph, out, arguments[:1], form.format)


def _write_softplus(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    operands = [*arguments, *[1.0, 20.0][len(arguments) - 1 :]]
    write_elementwise(graph, out, operands, "softplus_({0}, {1}, {2})".format)


def _write_leaky(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    operands = [*arguments, 0.01][:2]
    write_elementwise(graph, out, operands, "{0} > 0.0f ? {0} : {0} * {1}".format)


def _write_elu(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    operands = [*arguments, *[1.0, 1.0, 1.0][len(arguments) - 1 :]]
    write_elementwise(graph, out, operands, "{2} * ({0} > 0.0f ? {0} : {1} * expm1f({0} * {3}))".format)


def _write_hardtanh(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    operands = [*arguments, *[-1.0, 1.0][len(arguments) - 1 :]]
    write_elementwise(graph, out, operands, "min_(max_({0}, {1}), {2})".format)


def _write_lerp(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    write_elementwise(graph, out, arguments[:3], "{0} + {2} * ({1} - {0})".format)


def _write_product_sum(sign: str) -> Write:
    def write(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        write_elementwise(
            graph, out, [*arguments[:3], options.get("value", 1)], f"{{0}} + {{3}} * {{1}} {sign} {{2}}".format
        )

    return write


# --- joining and looking up -------------------------------------------------------------------------------------------


def _write_concatenation(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    axis = (arguments[1] if len(arguments) > 1 else options.get("dim", 0)) % len(out.shape)
    begin = 0
    for part in arguments[0]:
        if part.shape == (0,):
            continue
        size = part.shape[axis]
        shape = (*out.shape[:axis], size, *out.shape[axis + 1 :])
        there = replace(out, shape=shape, offset=out.offset + begin * out.strides[axis])
        write_elementwise(graph, there, [part], "{0}".format)
        begin += size


def _write_stack(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    axis = (arguments[1] if len(arguments) > 1 else options.get("dim", 0)) % len(out.shape)
    shape, strides = (tuple(of[:axis]) + tuple(of[axis + 1 :]) for of in (out.shape, out.strides))
    for number, part in enumerate(arguments[0]):
        there = replace(out, shape=shape, strides=strides, offset=out.offset + number * out.strides[axis])
        write_elementwise(graph, there, [part], "{0}".format)


def _write_padding(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    part, widths = arguments[:2]
    write_elementwise(graph, out, [arguments[2] if len(arguments) > 2 else 0.0], "{0}".format)
    offset, shape = out.offset, list(out.shape)
    for number in range(len(widths) // 2):
        before, after = widths[2 * number : 2 * number + 2]
        if min(before, after) < 0:
            raise Untraceable("it pads by less than nothing")
        axis = len(shape) - 1 - number
        offset, shape[axis] = offset + before * out.strides[axis], part.shape[axis]
    write_elementwise(graph, replace(out, shape=tuple(shape), offset=offset), [part], "{0}".format)


def _write_embedding(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    _write_lookup(graph, out, arguments[0], arguments[1], 0)


def _write_index(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    table, places = arguments
    given = [axis for axis, one in enumerate(places) if one is not None]
    if len(given) != 1:
        raise Untraceable("it looks up along several axes at once")
    _write_lookup(graph, out, table, places[given[0]], given[0])


def _write_lookup(graph: Graph, out: Value, table: Value, places: Value, axis: int) -> None:
    """Write the slices of `table` along an axis at `places`, which take this axis's stead."""
    rank, inner = len(places.shape), [f"i{n}" for n in range(len(out.shape))]
    place = f"const int64_t p = (int64_t)x2[{write_index(inner[axis : axis + rank], places.strides)}];"
    there = [*inner[:axis], f"(p < 0 ? p + {table.shape[axis]} : p)", *inner[axis + rank :]]
    body = f"x0[{write_index(inner, out.strides)}] = x1[{write_index(there, table.strides)}];"
    within = write_loops(inner[axis + rank :], out.shape[axis + rank :], body)
    loops = write_loops(inner[: axis + rank], out.shape[: axis + rank], f"{{ {place} {within} }}")
    write_rows(graph, ["x0", "x1", "x2"], [out, table, places], loops)


def _write_gather(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    value, axis, places = arguments[:3]
    indices = [f"i{n}" for n in range(len(out.shape))]
    there = list(indices)
    there[axis % len(there)] = f"(int64_t)x2[{write_index(indices, places.strides)}]"
    body = f"x0[{write_index(indices, out.strides)}] = x1[{write_index(there, value.strides)}];"
    write_rows(graph, ["x0", "x1", "x2"], [out, value, places], write_loops(indices, out.shape, body))


def _write_scattered_sum(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    value, axis, places, added = arguments[:4]
    write_elementwise(graph, out, [value], "{0}".format)
    indices = [f"i{n}" for n in range(len(places.shape))]
    there = list(indices)
    there[axis % len(there)] = f"(int64_t)x2[{write_index(indices, places.strides)}]"
    body = f"x0[{write_index(there, out.strides)}] += x1[{write_index(indices, added.strides)}];"
    write_rows(graph, ["x0", "x1", "x2"], [out, added, places], write_loops(indices, places.shape, body))


def _write_masked(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    write_elementwise(graph, out, arguments[:3], "{1} != 0.0f ? {2} : {0}".format)


def _write_log_sigmoid(graph: Graph, out: Sequence[Value], arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    form = "min_({0}, 0.0f) - log1pf(exp_(-fabsf({0})))"
    write_elementwise(graph, out[0], arguments[:1], form.format)


def _write_embedding_bag(
    graph: Graph, out: Sequence[Value], arguments: Sequence[Any], options: Mapping[str, Any]
) -> None:
    """Write sums of looked-up rows; of one bag, since there is one row."""
    table, places, _, *more = arguments
    given = dict(zip(("scale", "mode", "sparse", "weights"), more, strict=False)) | dict(options)
    if given.get("mode", 0) != 0 or given.get("weights") is not None or out[0].shape[0] != 1:
        raise Untraceable("it has bags of embeddings of another kind than a sum")
    looked = graph.allocate((*places.shape, table.shape[1]))
    _write_embedding(graph, looked, [table, places], {})
    _write_reduction(graph, out[0], looked, [0], "0.0", "{0} += {1}", "{0}")


# --- sums over axes ---------------------------------------------------------------------------------------------------


def _list_axes(value: Value, given: Any) -> list[int]:
    """List the axes of a reduction; all of them if none is given."""
    if given is None or given == []:
        return list(range(len(value.shape)))
    return sorted(axis % max(len(value.shape), 1) for axis in ([given] if isinstance(given, int) else given))


def _write_reduction(
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
        _write_reduction(graph, out, value, axes, first, step, last(prod(value.shape[axis] for axis in axes)))

    return write


def _write_norm(graph: Graph, out: Value, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    order = arguments[1] if len(arguments) > 1 else options.get("ord", 2)
    if order != 2:
        raise Untraceable(f"it has a norm of order {order}")
    axes = _list_axes(arguments[0], arguments[2] if len(arguments) > 2 else options.get("dim"))
    _write_reduction(graph, out, arguments[0], axes, "0.0", "{0} += {1} * {1}", "sqrt({0})")


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


ELEMENTWISE = {*UNARY, *BINARY, "add", "sub", "rsub", "div", "pow", "clamp", "where", "lerp", "addcmul", "masked_fill"}
"""Operations whose results may lie in memory as their arguments do."""

OPERATIONS: Mapping[str, Write] = {
    **{name: _make_unary(form) for name, form in UNARY.items()},
    **{name: _make_binary(form) for name, form in BINARY.items()},
    "add": _write_sum("+"),
    "sub": _write_sum("-"),
    "rsub": _write_reverse,
    "div": _write_quotient,
    "pow": _write_power,
    "clamp": _write_clamp,
    "where": _write_where,
    **dict.fromkeys(["zeros_like", "new_zeros", "zero"], _write_fill(0.0)),
    **dict.fromkeys(["ones_like", "new_ones"], _write_fill(1.0)),
    **dict.fromkeys(["full_like", "new_full", "fill"], _write_fill(None)),
    "copy": _write_copy,
    "gelu": _write_gelu,
    "softplus": _write_softplus,
    "leaky_relu": _write_leaky,
    "elu": _write_elu,
    "hardtanh": _write_hardtanh,
    "lerp": _write_lerp,
    "addcmul": _write_product_sum("*"),
    "addcdiv": _write_product_sum("/"),
    "cat": _write_concatenation,
    "stack": _write_stack,
    "constant_pad_nd": _write_padding,
    "embedding": _write_embedding,
    "index": _write_index,
    "gather": _write_gather,
    "scatter_add": _write_scattered_sum,
    "masked_fill": _write_masked,
    "log_sigmoid_forward": _write_log_sigmoid,
    "_embedding_bag": _write_embedding_bag,
    "sum": _make_reduction("0.0", "{0} += {1}", lambda count: "{0}"),
    "mean": _make_reduction("0.0", "{0} += {1}", lambda count: f"{{0}} / {count}"),
    "amax": _make_reduction("-INFINITY", "{0} = {1} > {0} || {1} != {1} ? {1} : {0}", lambda count: "{0}"),
    "amin": _make_reduction("INFINITY", "{0} = {1} < {0} || {1} != {1} ? {1} : {0}", lambda count: "{0}"),
    "linalg_vector_norm": _write_norm,
    "native_layer_norm": _write_layer_norm,
    "_softmax": _write_softmax,
    "mm": _write_mm,
    "addmm": _write_addmm,
    "bmm": _write_bmm,
    "mv": _write_mv,
}
"""What each operation is in C, by the name of torch's ATen."""
