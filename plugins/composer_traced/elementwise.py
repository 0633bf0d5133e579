"""Operations of torch on one number at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from composer_traced.loops import Write, is_number, write_elementwise, write_number

if TYPE_CHECKING:
    from composer_traced.graph import Graph, Value

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


def _write_masked(graph: Graph, out: Value, arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    write_elementwise(graph, out, arguments[:3], "{1} != 0.0f ? {2} : {0}".format)


def _write_log_sigmoid(graph: Graph, out: Sequence[Value], arguments: Sequence[Any], _: Mapping[str, Any]) -> None:
    form = "min_({0}, 0.0f) - log1pf(exp_(-fabsf({0})))"
    write_elementwise(graph, out[0], arguments[:1], form.format)


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
    "masked_fill": _write_masked,
    "log_sigmoid_forward": _write_log_sigmoid,
}
"""What each operation is in C, by the name of ATen."""
