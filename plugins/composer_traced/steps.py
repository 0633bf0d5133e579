"""The step of a model: traced, compiled, and compared with its network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, printable
from composer.fitting import check_columns, convert_columns
from composer.tokens.jit.c_compiler import find_compiler
from composer.types import State, Step
from composer_traced import program_cache
from composer_traced.graph import trace_step
from composer_traced.loops import Untraceable
from composer_traced.program import Run, compile_graphs
from composer_traced.program_cache import Shapes

if TYPE_CHECKING:
    from torch import nn

    from composer.model import Model

TRIAL_ROWS, TRIAL_STEPS = 5, 4
"""Rows and steps with which a compiled step is compared with its network."""

CLOSE = 1e-4
"""The largest difference of logits of usual size that the order of sums may make."""


def make_traced_step(model: Model) -> Step:
    """Make `step(inputs (B, C), state) -> (logits (B, V), state)`. Raises BadOption for a network it cannot trace.

    A step raises BadModelFile for features beyond their tables, and ValueError for a state of another shape.
    """
    try:
        begin, go_on, shapes = _make_runs(model)
    except Untraceable as error:
        raise BadOption(f"the backend 'traced' cannot run this model: {printable(str(error), 200)}.") from error
    columns = model.make_tokenizer().grammar.columns
    sizes, names = np.array([column.size for column in columns]), [column.name for column in columns]

    def step(inputs: NDArray[np.int64], state: State | None) -> tuple[NDArray[np.float32], State]:
        inputs = np.ascontiguousarray(convert_columns(inputs, len(names)), dtype=np.int64)
        check_columns(inputs, sizes, names)
        if state is None:
            return begin(inputs, ())
        if [tuple(part.shape) for part in state] != [(len(inputs), *shape) for shape in shapes]:
            raise ValueError(f"a state has other shapes than those of {len(inputs)} rows of this model")
        return go_on(inputs, [np.asarray(part) for part in state])

    return step


@lru_cache(maxsize=4)
def _make_runs(model: Model) -> tuple[Run, Run, Shapes]:
    """Make the first step and the later ones of a model, and the shapes of a row's state. Raises Untraceable."""
    if (known := program_cache.recall(model)) is not None and (runs := compile_graphs(known[0])) is not None:
        return *_get_both(runs, known[1]), known[1]
    return _trace_runs(model)


def _get_both(runs: Mapping[str, Run], shapes: Shapes) -> tuple[Run, Run]:
    """Return the first step and the later ones; a network that begins with zeros has one for both."""
    go_on = runs["go_on"]

    def begin(inputs: NDArray[np.int64], _: Sequence[NDArray[np.float32]]) -> Any:
        return go_on(inputs, [np.zeros((len(inputs), *shape), dtype=np.float32) for shape in shapes])

    return runs.get("begin", begin), go_on


def _trace_runs(model: Model) -> tuple[Run, Run, Shapes]:
    """Trace and compile them, hold them to the network, and keep them for later processes."""
    import torch

    module = model.make_module().eval()
    sizes = [column.size for column in model.make_tokenizer().grammar.columns]
    with torch.no_grad():
        _, state = module(torch.zeros(1, 1, len(sizes), dtype=torch.int64), None)
    traced = {} if _begins_with_zeros(module, sizes) else {"begin": trace_step(module, len(sizes), None)}
    traced["go_on"] = trace_step(module, len(sizes), state)
    runs = compile_graphs(traced)
    if runs is None:
        raise Untraceable("no compiler can build its step")
    shapes = [tuple(part.shape[1:]) for part in state]
    begin, go_on = _get_both(runs, shapes)
    _compare(module, sizes, begin, go_on)
    program_cache.keep(model, traced, shapes)
    return begin, go_on, shapes


def _begins_with_zeros(module: nn.Module, sizes: Sequence[int]) -> bool:
    """Tell whether the state before the first token is one of zeros, by a first step of random tokens."""
    import torch

    inputs = torch.from_numpy(np.random.default_rng(1).integers(0, sizes, (TRIAL_ROWS, 1, len(sizes))))
    with torch.no_grad():
        logits, state = module(inputs, None)
        other, after = module(inputs, tuple(torch.zeros_like(part) for part in state) or None)
    return logits.equal(other) and all(map(torch.equal, state, after))


def _compare(module: nn.Module, sizes: Sequence[int], begin: Run, go_on: Run) -> None:
    """Raise Untraceable unless the compiled steps compute what the network does, along random tokens of some rows."""
    import torch

    inputs = np.random.default_rng(0).integers(0, sizes, (TRIAL_STEPS, TRIAL_ROWS, len(sizes)))
    state, after = None, cast(tuple[NDArray[np.float32], ...], ())
    for number, columns in enumerate(inputs):
        logits, after = go_on(columns, after) if number else begin(columns, ())
        with torch.no_grad():
            wanted, state = module(torch.from_numpy(columns)[:, None], state)
        far = float(np.abs(logits - wanted[:, 0].numpy()).max())
        if not far <= CLOSE * max(1.0, float(wanted.abs().max())):
            raise Untraceable(f"its compiled step is off by {far:.1e}")


def explain(model: Model) -> str:
    """Explain why a model cannot be traced here, or is not computed then; in a few words, empty for one that is."""
    if find_compiler() is None:
        return "there is no C compiler"
    try:
        _make_runs(model)
    except Untraceable as error:
        return str(error)
    return ""
