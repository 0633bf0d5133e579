"""A graph as a C function, compiled, with the arrays that it is given."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.tokens.jit.c_compiler import load_library
from composer_traced.graph import Graph, Value
from composer_traced.loops import Untraceable, write_elementwise

Floats = NDArray[np.float32]

PRELUDE, PRODUCTS = (Path(__file__).with_name(name) for name in ("prelude.c", "products.c"))

ALIKE = ("-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-w")
"""Without contraction, so that a number takes the same operations in a vector and beside one."""

FLAGS = ("-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", *ALIKE)

PRODUCT_FLAGS = ("-O3", *ALIKE)
"""Loops over registers are unrolled for good: matrix products take less than half of the time."""

TILE = 32
"""Rows that are computed side by side, so that their numbers stay near the processor."""

LARGEST = 2**24
"""The most numbers of a row in all buffers."""

Run: TypeAlias = Callable[[NDArray[np.int64], Sequence[Floats]], tuple[Floats, tuple[Floats, ...]]]
"""`run(inputs (B, C), state) -> (logits (B, V), state)`."""


def write_program(graphs: Mapping[str, Graph]) -> str:
    """Write the steps of graphs in C, each with its name."""
    return "".join([PRELUDE.read_text(encoding="utf-8"), *(_write_step(name, one) for name, one in graphs.items())])


def _write_step(name: str, graph: Graph) -> str:
    offsets, total = {}, 0
    for buffer, size in graph.sizes.items():
        offsets[buffer], total = total, total + size
    if total > LARGEST:
        raise Untraceable("a row takes too much memory")
    body = [f"float *{buffer} = scratch + {TILE} * {offset}LL;" for buffer, offset in offsets.items()]
    width = graph.inputs
    body.append(f"for (int64_t i = 0; i < count * {width}; i++) b0[i] = (float)inputs[first * {width} + i];")
    for number, value in enumerate(graph.states):
        size = graph.sizes[value.buffer]
        body.append(f"memcpy({value.buffer}, before[{number}] + first * {size}, count * {size} * sizeof(float));")
    body += [*graph.lines, *_write_results(graph)]
    weights = [
        f"const void *{weight} = weights[{n}]; const int half_{weight} = halves[{n}];"
        if weight in graph.matrices
        else f"const float *{weight} = weights[{n}];"
        for n, weight in enumerate(graph.constants)
    ]
    begin, joined = "\n    ".join(weights), "\n        ".join(body)
    return f"""
void {name}(int64_t rows, const int64_t *inputs, const float *const *before, float *const *results,
            const void *const *weights, const uint8_t *halves, float *scratch, Multiply *multiply)
{{
    {begin}
    for (int64_t first = 0; first < rows; first += {TILE}) {{
        int64_t count = rows - first < {TILE} ? rows - first : {TILE};
        {joined}
    }}
}}
"""


def _write_results(graph: Graph) -> list[str]:
    """Write the copies of the results to their arrays (B, …)."""
    written = Graph(sizes=dict(graph.sizes))
    for number, value in enumerate(graph.results):
        out = written.allocate(value.shape)
        write_elementwise(written, out, [value], "{0}".format)
        size = written.sizes[out.buffer]
        written.lines[-1] = f"{{ float *{out.buffer} = results[{number}] + first * {size}; {written.lines[-1]} }}"
    return written.lines


def compile_graphs(graphs: Mapping[str, Graph]) -> dict[str, Run] | None:
    """Compile graphs, and bind each to its weights; None if no compiler can build them."""
    products = load_library(PRODUCTS.read_text(encoding="utf-8"), PRODUCT_FLAGS)
    library = load_library(write_program(graphs), FLAGS)
    if products is None or library is None:
        return None
    return {name: _bind(graph, getattr(library, name), products) for name, graph in graphs.items()}


def _bind(graph: Graph, function: Any, products: ctypes.CDLL) -> Run:
    pointer = ctypes.c_void_p
    function.restype, function.argtypes = None, [ctypes.c_int64, *[pointer] * 7]
    products.panel_width.restype = products.takes_half.restype = ctypes.c_int64
    multiply = ctypes.cast(products.multiply, pointer)
    panel, halves = products.panel_width(), bool(products.takes_half())
    arrays = {name: _prepare(graph, name, array, panel, halves) for name, array in graph.constants.items()}
    weights = np.array([array.ctypes.data for array in arrays.values()] or [0], dtype=np.uintp)
    are_half = np.array([*(array.dtype == np.float16 for array in arrays.values()), False], dtype=np.uint8)
    scratch = np.empty(TILE * sum(graph.sizes.values()) + 1, dtype=np.float32)
    shapes = [_drop_batch(value) for value in graph.results]

    def run(inputs: NDArray[np.int64], state: Sequence[Floats]) -> tuple[Floats, tuple[Floats, ...]]:
        rows = len(inputs)
        held = [np.ascontiguousarray(part, dtype=np.float32) for part in state]
        results = [np.empty((rows, *shape), dtype=np.float32) for shape in shapes]
        before, after = (np.array([a.ctypes.data for a in of] or [0], dtype=np.uintp) for of in (held, results))
        places = (before, after, weights, are_half, scratch)
        function(rows, inputs.ctypes.data, *(place.ctypes.data for place in places), multiply)
        return results[0].reshape(rows, -1), tuple(results[1:])

    run.alive = arrays  # type: ignore[attr-defined]  # what its pointers point at
    return run


def _drop_batch(value: Value) -> tuple[int, ...]:
    """Return the shape of a row of a result, which was traced in a batch of one."""
    if not value.shape or value.shape[0] != 1:
        raise Untraceable("its results are not batch-first")
    return value.shape[1:]


def _prepare(graph: Graph, name: str, array: NDArray[Any], panel: int, halves: bool) -> NDArray[Any]:
    """Return an array of constants as C wants it: a matrix (K, N) in panels of (K, `panel`)."""
    if name not in graph.matrices:
        return np.ascontiguousarray(array, dtype=np.float32)
    depth, width = array.shape
    padded = np.zeros((depth, -(-width // panel) * panel), dtype=np.float32)
    padded[:, :width] = array
    with np.errstate(over="ignore"):
        half = padded.astype(np.float16)
    exact = halves and np.array_equal(half, padded)
    packed = (half if exact else padded).reshape(depth, -1, panel).transpose(1, 0, 2)
    return np.ascontiguousarray(packed)
