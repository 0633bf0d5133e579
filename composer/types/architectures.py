"""Architectures, trained networks as arrays, and the backends that run them.

Only `Architecture.build_module`, and what it returns, may import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from composer.types.arrays import Array, State

if TYPE_CHECKING:
    from torch import nn

    from composer.model import Model
    from composer.types.grammars import Column, TokenInfo


class Architecture(Protocol):
    """A frozen dataclass of options that builds a torch module.

    The module: `model(inputs (B, T, C), state=None) -> (logits (B, T, V), state)`. A row does not depend on its
    neighbours. A sequence gives equal logits whole, in chunks, and step by step. A state is of one size, and is never
    changed in place. Only parameters change in training; buffers do not. What is random is drawn by torch.
    """

    def build_module(self, column_sizes: Sequence[int], vocabulary_size: int) -> nn.Module:
        """Build a module for features 0..size-1 of these sizes, initialised from torch's generator."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One recurrent layer in float32: G numbers from its input, F from its state, and an update that combines them.

    F is G, or 0 for a layer without a recurrent matrix. All layers of a cell have the same H and `parts`.
    `update(from_input (B, G), from_state (B, F), state) -> state` uses array functions alone, and leaves its arguments
    as they are. A state is a tuple of (B, H) arrays, the first of which is the layer's output.
    """

    inputs: NDArray[np.float32]  # (G, E)
    input_bias: NDArray[np.float32]  # (G,)
    recurrent: NDArray[np.float32]  # (F, H)
    recurrent_bias: NDArray[np.float32]  # (F,)
    update: Callable[[Array, Array, State], State]
    parts: int  # arrays in its state
    gates: str = ""  # the known cell that `update` equals: lstm, gru, rnn (as in torch), mingru, minlstm


@dataclass(frozen=True, eq=False)
class Cell:
    """A trained network as arrays, for backends without torch: embedded features, layers, a linear output.

    The state of its module is a tuple of `parts` tensors (B, layers, H). A layer reads the output of the one below,
    and the head that of the last. With `residual` they read the normalised sum of the outputs of all layers below:
    each row (x - mean) / sqrt(variance + 1e-5).
    """

    columns: tuple[NDArray[np.float32], ...]  # a (size, E) table for each feature; embeddings are added up
    layers: tuple[Layer, ...]
    head: NDArray[np.float32]  # (V, H), or (V, H + E) if the output sees the embedded input, too
    bias: NDArray[np.float32]  # (V,)
    pointed: tuple[int, ...] = ()  # P features of tokens, each of which (but 0) the output raises or lowers
    pointer: NDArray[np.float32] | None = None  # (P, as the head) by how much
    pointer_bias: NDArray[np.float32] | None = None  # (P,)
    residual: bool = False


@runtime_checkable
class HasCell(Protocol):
    """An architecture that describes the computation of its module, so that faster backends can run it."""

    def build_cell(self, column_sizes: Sequence[int], weights: Mapping[str, NDArray[np.float32]]) -> Cell:
        """Build the network of these weights, which have the names and shapes of its module.

        Raises KeyError or ValueError for others.
        """


@runtime_checkable
class HasShapes(Protocol):
    """An architecture that lists the arrays of its module, so that wrong weights are refused before use."""

    def list_shapes(self, column_sizes: Sequence[int], vocabulary_size: int) -> Iterable[tuple[str, tuple[int, ...]]]:
        """List the name and the shape of every array, one by one; the first mismatch ends the iteration."""


@runtime_checkable
class ReadsFeatures(Protocol):
    """An architecture whose network needs to know what its features are, such as which of them counts bars.

    It is built by this method wherever the features are known, and by `build_module` where their sizes are alone. Both
    modules have the same arrays.
    """

    def build_module_for(self, columns: Sequence[Column], vocabulary_size: int) -> nn.Module:
        """Build a module for these features. Raises BadOption where it needs others."""


@runtime_checkable
class ReadsTokens(Protocol):
    """An architecture whose network needs to know what tokens state as well, such as which of them are which pitches.

    It is built by this method wherever tokens are known, and otherwise as `ReadsFeatures` says. All modules have the
    same arrays.
    """

    def build_module_of(self, columns: Sequence[Column], token_info: TokenInfo) -> nn.Module:
        """Build a module for these features and the tokens (V,). Raises BadOption where it needs others."""


@runtime_checkable
class HasEquations(Protocol):
    """An architecture with the equations of its layers; its docstring explains them in words."""

    equations: ClassVar[Sequence[str]]
    """One a line; x is the input, h (and c) the state, a prime marks the new state, * is element by element."""


@runtime_checkable
class HasReasons(Protocol):
    """A backend that says why it cannot run a model."""

    def explain(self, model: Model, device: str) -> str:
        """Explain, for a model that it does not support, why; in a few words, such as `there is no C compiler`."""


Step: TypeAlias = Callable[[Array, "State | None"], "tuple[Array, State]"]
"""One step of a model: `(inputs (B, C), state) -> (logits (B, V), state)`. A row is the same bits in any batch.

States are of one size. None is changed by a later step, since several pieces may share it.
"""


Turn: TypeAlias = Callable[["Sequence[Array]", "Sequence[Array]"], "tuple[Sequence[Array], Sequence[Array]]"]
"""One step of a loop: `(carried (B, …)…, given (B, …)…) -> (carried, made (B, …)…)`; shapes stay as they are."""

Repeat: TypeAlias = Callable[["Sequence[Array]", "Sequence[Array]"], "tuple[Sequence[Array], Sequence[Array]]"]
"""A loop of turns: `(carried (B, …)…, given (N, B, …)…) -> (carried, made (N, B, …)…)`, without a look at a number."""


@runtime_checkable
class SupportsBlocks(Protocol):
    """A step whose arrays may stay on its device for a block of steps, so that the loop need not wait for each.

    The engine writes a turn of the loop in array functions, and the step repeats it.
    """

    block: int
    """Steps in a block."""
    most: int
    """Rows that it likes to run side by side."""

    def pad(self, rows: int) -> int:
        """Return the number of rows, no fewer, that it runs so many rows with."""

    def place(self, array: NDArray[Any]) -> Array:
        """Copy an array to the device."""

    def read(self, array: Array) -> NDArray[Any]:
        """Copy an array of the device to the host."""

    def begin(self, rows: int) -> State:
        """Make the state of rows before their first token, on the device."""

    def run(self, inputs: Array, state: State) -> tuple[Array, State]:
        """Take one step of so many rows as `pad` returns: `(inputs (B, C), state) -> (logits (B, V), state)`."""

    def make_repeat(self, turn: Turn, carried: Sequence[Array], given: Sequence[Array]) -> Repeat | None:
        """Make the loop of a turn; None if the turn looks at a number of such arrays, `given` (B, …) one step's."""


@dataclass(frozen=True)
class CompiledStep:
    """A step as a function in C, for so many rows, as long as no other rows are stepped.

        int step(const void *model, int64_t rows, const int64_t *inputs, const float *before, float *after,
                 float *logits, int64_t threads)

    It takes and returns what a `Step` does. The parts of a state, each (B, …), lie one after the other. It returns 0,
    or another number where it refuses its inputs.
    """

    function: int  # its address
    model: int  # the address that it gets
    threads: int
    record: Callable[[float], None] | None = None  # is told how many seconds a step took


@runtime_checkable
class SupportsC(Protocol):
    """A step that C can call, so that a loop takes many of them without coming back to Python."""

    def begin(self, rows: int) -> State | None:
        """Make the float32 state of rows before their first token; None if they have to be stepped without one."""

    def compile(self, rows: int) -> CompiledStep | None:
        """Return the step as a function in C, for so many rows; None if it needs Python."""


class Backend(Protocol):
    """An inference backend: a frozen dataclass of options. All backends agree on a model to within a tolerance."""

    speed: int
    """The backend with the highest number that supports a model is used, unless the user names another."""
    tolerances: Mapping[str, float]
    """Its precisions (float32, int8…), each with the largest difference of logits from the reference."""

    def supports(self, model: Model, device: str) -> bool:
        """Tell whether it can run this model on that kind of device."""

    def make(self, model: Model, device: str, precision: str = "float32") -> Step:
        """Make the steps of a model, at one of these precisions.

        Raises BadModelFile if the weights do not fit the architecture.
        """
