"""The contract of an inference backend on a model, and that of an architecture on every backend: they agree."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from composer.building import build_module
from composer.errors import printable
from composer.model import ComponentSpec, Model
from composer.plugins.registry import registry
from composer.sampling.torch_backend import make_torch_step
from composer.testing.rules import rebuild, require
from composer.tokens.vocabulary import describe_tokens
from composer.types import (
    Architecture,
    Array,
    Backend,
    Column,
    HasCell,
    HasReasons,
    State,
    Step,
    SupportsBlocks,
    SupportsC,
    TokenInfo,
    Tokenizer,
)

if TYPE_CHECKING:
    from torch import nn

BATCHES = (1, 2, 7, 33)
STEPS = 6


def check_backend(maker: Backend, model: Model, device: str = "cpu") -> None:
    """Check that logits are within tolerance, and rows the same bits in any batch with any number of threads.

    A backend that does not support the model may explain why.
    """
    require(rebuild(maker) == maker, "options rebuilt from their fields are equal")
    require("float32" in maker.tolerances, "float32 is one of the precisions")
    if maker.supports(model, device):
        for precision, tolerance in maker.tolerances.items():
            _check_precision(maker.make(model, device, precision), model, tolerance)
    elif isinstance(maker, HasReasons):
        why = maker.explain(model, device)
        require(isinstance(why, str) and why.isprintable() and why, "a backend explains why it does not run a model")


def _check_precision(step: Step, model: Model, tolerance: float) -> None:
    sizes = [column.size for column in model.make_tokenizer().grammar.columns]
    inputs = np.random.default_rng(0).integers(0, sizes, (STEPS, max(BATCHES), len(sizes)))
    before = inputs.copy()
    found = _run(step, inputs)
    require(np.array_equal(inputs, before), "the argument of a backend is unchanged")
    require(found.shape == (STEPS, max(BATCHES), len(model.vocabulary)), f"logits are (B, V), not {found.shape[1:]}")
    _check_reference(tolerance, model, inputs, found)
    for rows in BATCHES:
        for threads in (1, 2):
            with limit_threads(threads):
                batch = _run(step, inputs[:, -rows:])
            require(
                batch.tobytes() == found[:, -rows:].tobytes(),
                f"a row is the same to the bit in a batch of {rows} with {threads} threads",
            )
    _check_gathered(step, inputs, found)
    _check_states(step, inputs)
    if isinstance(step, SupportsBlocks) and step.block > 1:
        _check_blocks(step, inputs, found)
    if isinstance(step, SupportsC):
        for rows in BATCHES:
            _check_compiled(step, inputs[:, -rows:], found[:, -rows:], sizes)


def make_random_model(
    architecture: str, tokenizer: str, writing: Mapping[str, object] | None = None, **options: object
) -> Model:
    """Make an untrained model of that architecture, and of the tokenizer with the options of `writing`."""
    import torch

    layer: Architecture = registry().make("architectures", architecture, **options)
    written: Tokenizer = registry().make("tokenizers", tokenizer, **writing or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_module(layer, written.grammar.columns, len(written.vocabulary), written.token_info)
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    made = (
        ComponentSpec.describe("architectures", architecture, layer),
        ComponentSpec.describe("tokenizers", tokenizer, written),
    )
    return Model(*made, written.vocabulary, weights)


def _run(step: Step, inputs: NDArray[np.int64], state: State | None = None) -> NDArray[np.float32]:
    """Compute logits (T, B, V) of `inputs` (T, B, C), step by step."""
    logits = []
    for columns in inputs:
        found, state = step(columns, state)
        logits.append(np.asarray(found))
    return np.stack(logits)


def _check_reference(tolerance: float, model: Model, inputs: NDArray[np.int64], found: NDArray[np.float32]) -> None:
    reference = make_torch_step(model.make_module(), model.make_tokenizer().grammar.columns)
    off = float(np.abs(found - _run(reference, inputs)).max())
    require(off <= tolerance, f"logits are those of the reference within {tolerance}; they are off by {off:.1e}")


def _check_gathered(step: Step, inputs: NDArray[np.int64], found: NDArray[np.float32]) -> None:
    """Check that rows gathered from a state, in another order, continue as before."""
    half = STEPS // 2
    state: State | None = None
    for columns in inputs[:half]:
        _, state = step(columns, state)
    if state is None:
        return
    require(all(len(part) == inputs.shape[1] for part in state), "the state's arrays are batch-first")
    order = np.array([5, 0, 5])
    gathered = _run(step, inputs[half:, order], tuple(part[order] for part in state))
    require(gathered.tobytes() == found[half:, order].tobytes(), "rows gathered from a state continue as before")


def _check_blocks(step: SupportsBlocks, inputs: NDArray[np.int64], found: NDArray[np.float32]) -> None:
    """Check that a block of steps gives the logits `found` step by step, whatever its loop was run with before."""
    rows, size = inputs.shape[1], step.pad(inputs.shape[1])
    require(size >= rows, f"a block is run with no fewer rows than there are; {size} are fewer than {rows}")
    padded = np.concatenate([inputs, np.repeat(inputs[:, :1], size - rows, axis=1)], axis=1)

    def turn(state: Sequence[Array], columns: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
        logits, after = step.run(columns[0], tuple(state))
        return after, [logits]

    begun, columns = step.begin(size), step.place(padded)
    repeat = step.make_repeat(turn, begun, [columns[0]])
    require(repeat is not None, "a turn that looks at no number is repeated")
    for _ in range(2):
        logits = repeat(begun, [columns])[1][0] if repeat else None
        same = np.array_equal(step.read(logits)[:, :rows], found)
        require(same, "a block of steps gives the logits of single steps, to the bit")


def _check_compiled(step: Step, inputs: NDArray[np.int64], found: NDArray[np.float32], sizes: Sequence[int]) -> None:
    """Check that a step as a function in C makes the logits `found` and the states of the step, to the bit."""
    rows = inputs.shape[1]
    compiled = step.compile(rows) if isinstance(step, SupportsC) else None
    if compiled is None:
        return
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, *[ctypes.c_void_p] * 4, ctypes.c_int64)
    call = function(compiled.function)
    _, state = step(inputs[0], None)
    for columns, wanted in zip(inputs[1:], found[1:], strict=True):
        columns, logits = np.ascontiguousarray(columns), np.empty_like(wanted)
        before = np.concatenate([np.ravel(part) for part in state])
        after = np.empty_like(before)
        arrays = [array.ctypes.data for array in (columns, before, after, logits)]
        require(not call(compiled.model, rows, *arrays, compiled.threads), "a step in C takes what a step takes")
        require(logits.tobytes() == wanted.tobytes(), "a step in C makes the logits of a step, to the bit")
        _, state = step(columns, state)
        same = after.tobytes() == b"".join(np.ascontiguousarray(part).tobytes() for part in state)
        require(same, "a step in C makes the state of a step, to the bit")
    beyond = np.ascontiguousarray(np.tile(np.array(sizes), (rows, 1)))
    arrays[0] = beyond.ctypes.data
    require(
        call(compiled.model, rows, *arrays, compiled.threads) != 0, "a step in C refuses features beyond their sizes"
    )


def _check_states(step: Step, inputs: NDArray[np.int64]) -> None:
    """Check that states are of one size, and that none is changed by later steps; pieces may share one."""
    state: State | None = None
    kept: list[tuple[State, State]] = []
    for columns in inputs:
        _, state = step(columns, state)
        kept.append((state, deepcopy(state)))
        sizes = [[tuple(part.shape) for part in copies] for _, copies in (kept[0], kept[-1])]
        require(
            sizes[0] == sizes[1],
            f"a state has one size after any number of steps; after 1 it is {sizes[0]}, after {len(kept)} {sizes[1]}",
        )
    stays = (bool((part == copy).all()) for parts, copies in kept for part, copy in zip(parts, copies, strict=True))
    require(all(stays), "a state stays as it is when later steps are made, never changed in place")


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Limit the threads of torch and of NumPy's products for a while."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


# --- every backend that runs an architecture, against its module ------------------------------------------------------


FEATURES: tuple[tuple[tuple[int, ...], int], ...] = (((13, 5, 3), 13), ((37, 37, 2, 9, 1), 37), ((18,), 18))
"""Sizes of input features, each with the size of the vocabulary."""

NARROW = 32
"""Width of the architectures that differ in an option."""

CHUNKS = (STEPS, 4, 1)
LEARNING, RATE = 3, 0.02
"""Steps of learning, and by how much each moves a parameter: a bias or a gain that begins at 0 would hide a fault."""

CLOSE = 1e-5
"""Difference of logits that the order of sums may make, be a tolerance ever so small."""

ROUGH = 2.0
"""Factor for lower precisions, which are meant for trained weights; a wrong cell is found in float32 already."""


@dataclass(frozen=True, eq=False)
class _Trial(Model):
    """A model of an architecture that need not be registered, for input features of these sizes."""

    thing: Any = None
    sizes: tuple[int, ...] = ()

    def make_architecture(self) -> Architecture:
        """Return the architecture."""
        made: Architecture = self.thing
        return made

    def make_tokenizer(self) -> Any:
        """Return the part of a tokenizer that tells what the module is built for."""
        columns, words = make_columns(self.sizes, len(self.vocabulary)), len(self.vocabulary)
        grammar = SimpleNamespace(columns=columns)
        return SimpleNamespace(vocabulary=self.vocabulary, grammar=grammar, token_info=make_token_info(words))


def make_columns(sizes: Sequence[int], vocabulary: int) -> tuple[Column, ...]:
    """Make features of these sizes: the token first, and next the bar, if there are several."""
    names = ["token", "bar", *(f"feature {number}" for number in range(3, len(sizes) + 1))]
    return tuple(Column(name, size, size == vocabulary) for name, size in zip(names, sizes, strict=False))


def make_token_info(vocabulary: int) -> TokenInfo:
    """Make the meaning of so many tokens: some keys, and all from the sixth on pitches, with a gap among them."""
    names = ["BOS_None", "EOS_None", "Key_C", "Key_Dm", "Rest_None"]
    names += [f"Pitch_{60 + number + number // 4}" for number in range(vocabulary - len(names))]
    return describe_tokens(names[:vocabulary], 1)


def check_backends(architecture: Architecture) -> None:
    """Check that every backend that supports an architecture computes what its module does, in every precision.

    They are compared for several features and vocabularies, and once with each flag turned and each whole number one
    higher, as far as the architecture allows that; at several batch sizes, against the module whole and in chunks.
    So are rows in batches of different sizes. One more than a width is mostly odd: then arrays end within a vector.
    Those with another option are narrow, where there can be such: a wide one is checked as it is.
    """
    backends = {name: registry().make("backends", name) for name in registry().list_names("backends")}
    differ: list[str] = []
    first: _Trial | None = None
    for number, (shown, variant) in enumerate(_vary(architecture)):
        for sizes, vocabulary in FEATURES if not number else [FEATURES[number % len(FEATURES)]]:
            try:
                model, module = _learn(variant, sizes, vocabulary)
            except Exception:
                if not number:
                    raise
                continue  # it does not allow this option
            first = first or model
            inputs = np.random.default_rng(0).integers(0, sizes, (STEPS, max(BATCHES), len(sizes)))
            wanted = [_run_module(module, inputs, chunk) for chunk in CHUNKS]
            for name, backend in backends.items():
                if backend.supports(model, "cpu"):
                    case = f" with features of sizes {sizes}{shown}"
                    differ += _check_agreement(name, backend, model, inputs, wanted, case)
    if first and isinstance(architecture, HasCell):
        _check_updates(first)
    text = f"a row is the same bits in any batch, whatever the width; not so by the backend {''.join(differ[:1])}"
    require(not differ, text)


def _vary(architecture: Any) -> Iterator[tuple[str, Architecture]]:
    """Yield the architecture, then narrower ones, each with another flag or whole number, and how they differ."""
    yield "", architecture
    narrow = _make_narrow(architecture)
    for field in fields(architecture):
        value = getattr(narrow, field.name)
        if field.init and isinstance(value, int):
            other = not value if isinstance(value, bool) else value + 1
            made = None
            with suppress(Exception):  # it does not allow this
                made = replace(narrow, **{field.name: other})
            if made is not None:
                yield f" and {_describe_changes(architecture, made)}", made


def _make_narrow(architecture: Any) -> Any:
    """Make an architecture with no whole number above `NARROW`, or return it as it is if there can be none."""
    values = {field.name: getattr(architecture, field.name) for field in fields(architecture) if field.init}
    wide = {name: NARROW for name, value in values.items() if type(value) is int and value > NARROW}
    with suppress(Exception):
        made = replace(architecture, **wide)
        sizes, words = FEATURES[0]
        build_module(made, make_columns(sizes, words), words, make_token_info(words))
        return made
    return architecture


def _describe_changes(one: Any, other: Any) -> str:
    names = [field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)]
    return ", ".join(f"{name}={getattr(other, name)}" for name in names)


def _learn(
    architecture: Architecture, sizes: tuple[int, ...], vocabulary: int, steps: int = LEARNING
) -> tuple[_Trial, nn.Module]:
    """Build a module that has learned a little, so that no parameter is as it began; return it with its model.

    One that such steps make useless stays as it began.
    """
    import torch
    from torch.nn import functional

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        columns = make_columns(sizes, vocabulary)
        module = build_module(architecture, columns, vocabulary, make_token_info(vocabulary))
        inputs = torch.stack([torch.randint(0, size, (4, STEPS + 1)) for size in sizes], dim=-1)
        for _ in range(steps):
            logits = module(inputs[:, :-1])[0]
            functional.cross_entropy(logits.flatten(0, 1), inputs[:, 1:, 0].flatten()).backward()
            with torch.no_grad():
                for parameter in module.parameters():
                    if parameter.grad is not None:
                        parameter.add_(parameter.grad.sign(), alpha=-RATE)
                        parameter.grad = None
        with torch.no_grad():
            useful = bool(module.eval()(inputs)[0].isfinite().all())
    if steps and not useful:
        return _learn(architecture, sizes, vocabulary, 0)
    weights = {name: tensor.detach().numpy().copy() for name, tensor in module.state_dict().items()}
    spec = ComponentSpec(type(architecture).__name__, {})
    names = tuple(f"Token_{token}" for token in range(vocabulary))
    return _Trial(spec, spec, names, weights, thing=architecture, sizes=sizes), module


def _check_agreement(
    name: str,
    backend: Backend,
    model: _Trial,
    inputs: NDArray[np.int64],
    wanted: Sequence[NDArray[np.float32]],
    shown: str,
) -> Iterator[str]:
    """Check one backend in all its precisions against the module's logits for `inputs`; `shown` tells the case.

    Yield the cases in which a row is not the same bits in any batch.
    """
    for precision, tolerance in backend.tolerances.items():
        case = f"in {precision}{shown}"
        try:
            step = backend.make(model, "cpu", precision)
            found = {rows: _run(step, inputs[:, -rows:]) for rows in BATCHES}
        except Exception as error:
            require(False, f"the backend '{name}' runs the module; {case}: {printable(str(error), 300)}")
        far = {rows: _measure(name, case, found[rows], [one[:, -rows:] for one in wanted]) for rows in BATCHES}
        limit = max(tolerance, CLOSE) * max(1.0, float(wanted[0].std()))  # of logits of a usual size; grows with theirs
        limit *= 1.0 if precision == "float32" else ROUGH
        worst = max(far, key=lambda rows: float(far[rows].max()))
        require(
            all(np.all(off <= limit) for off in far.values()),
            f"the backend '{name}' computes what the module does; it is off by {far[worst].max():.1e} (at most "
            f"{limit:.1e}) {case}, in a batch of {worst}, from step {int((far[worst] <= limit).argmin()) + 1} on",
        )
        differ = [rows for rows, one in found.items() if one.tobytes() != found[max(BATCHES)][:, -rows:].tobytes()]
        if differ:
            yield f"'{name}' {case}, in a batch of {differ[0]}"


def _run_module(module: nn.Module, inputs: NDArray[np.int64], chunk: int) -> NDArray[np.float32]:
    """Compute logits (T, B, V) of `inputs` (T, B, C), so many positions at a time."""
    import torch

    parts, state = [], None
    with torch.no_grad():
        for part in torch.from_numpy(inputs).transpose(0, 1).split(chunk, dim=1):
            logits, state = module(part, state)
            parts.append(logits)
    found: NDArray[np.float32] = torch.cat(parts, dim=1).transpose(0, 1).numpy()
    return found


def _measure(
    name: str, case: str, found: NDArray[np.float32], wanted: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Measure (T,) the largest difference of logits (T, B, V) from any of `wanted`, at each step."""
    require(found.shape == wanted[0].shape, f"the backend '{name}' gives logits (B, V); not so {case}")
    off: NDArray[np.float32] = np.max([np.abs(found - one).max(axis=(1, 2)) for one in wanted], axis=0)
    return off


def _check_updates(model: _Trial) -> None:
    """Check the updates of a cell by themselves: a row is the same bits in any batch, and arguments are unchanged."""
    draw, cell = np.random.default_rng(0), model.make_cell()
    for number, layer in enumerate(cell.layers, start=1):
        widths = (len(layer.inputs), len(layer.recurrent), *[layer.recurrent.shape[1]] * layer.parts)
        given = [draw.standard_normal((max(BATCHES), width), dtype=np.float32) for width in widths]
        before = [array.copy() for array in given]
        whole = layer.update(given[0], given[1], tuple(given[2:]))
        same = all(np.array_equal(array, copy) for array, copy in zip(given, before, strict=True))
        require(same, f"the update of a layer leaves its arguments as they are; not so that of layer {number}")
        for rows in BATCHES:
            fewer = [array[-rows:].copy() for array in before]
            made = layer.update(fewer[0], fewer[1], tuple(fewer[2:]))
            same = all(np.array_equal(a, b[-rows:]) for a, b in zip(made, whole, strict=True))
            text = (
                f"the update of a layer gives a row the same bits in any batch; not so layer {number} with {rows} rows"
            )
            require(same, text)
