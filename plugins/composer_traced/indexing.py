"""Operations of torch that join arrays, and look numbers up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from composer_traced.loops import Untraceable, Write, write_elementwise, write_index, write_loops, write_rows
from composer_traced.reductions import write_reduction

if TYPE_CHECKING:
    from composer_traced.graph import Graph, Value


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
    write_reduction(graph, out[0], looked, [0], "0.0", "{0} += {1}", "{0}")


OPERATIONS: Mapping[str, Write] = {
    "cat": _write_concatenation,
    "stack": _write_stack,
    "constant_pad_nd": _write_padding,
    "embedding": _write_embedding,
    "index": _write_index,
    "gather": _write_gather,
    "scatter_add": _write_scattered_sum,
    "_embedding_bag": _write_embedding_bag,
}
"""What each operation is in C, by the name of ATen."""
