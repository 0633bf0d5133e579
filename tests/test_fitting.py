"""Weights that are not those of their architecture: every backend refuses them, in one sentence, before any is used."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from composer import devices
from composer.building import build_new_network
from composer.errors import BadModelFile, BadOption
from composer.fitting import UnfitWeights, check_cell, check_columns, check_grammar
from composer.generation.backends import Backends
from composer.generation.generator import Generator, generate
from composer.model import ComponentSpec, Model, load, save
from composer.plugins.registry import registry
from composer.request import Request
from composer.tokens.jit import c_compiler
from composer.types import Column
from composer_backends.arrays import make_numpy_step
from composer_native import compiling as native_compiling
from composer_native.steps import make_native_step
from composer_traced import steps as traced_steps

ARCHITECTURES = ["lstm", "gru", "rnn", "mingru", "minlstm"]
SUMS = {"lstm": 4, "gru": 3, "rnn": 1, "mingru": 2, "minlstm": 3}
FRAMES = {"lowest": 60, "highest": 72, "most_notes": 2, "shown": 1}
needs_compiler = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")
BACKENDS = ["numpy", "torch", pytest.param("native", marks=needs_compiler)]


def untrained(name, **options):
    """A small model with random weights."""
    architecture = registry().make(
        "architectures", name, **{"hidden_size": 8, "embedding_size": 6, "layers": 2, **options}
    )
    tokenizer = registry().make("tokenizers", "frames", **FRAMES)
    sizes, draw = [column.size for column in tokenizer.grammar.columns], np.random.default_rng(0)
    shapes = architecture.list_shapes(sizes, len(tokenizer.vocabulary))
    weights = {name: draw.normal(0, 0.2, shape).astype(np.float16) for name, shape in shapes}
    made = (
        ComponentSpec.describe("architectures", name, architecture),
        ComponentSpec.describe("tokenizers", "frames", tokenizer),
    )
    return Model(*made, tokenizer.vocabulary, weights)


MODEL = untrained("lstm")


def with_weights(model, **changed):
    """The model with other arrays, or without those that are None; `__` stands for a point in a name."""
    weights = {**model.weights, **{name.replace("__", "."): array for name, array in changed.items()}}
    return replace(model, weights={name: array for name, array in weights.items() if array is not None})


def with_options(model, **changed):
    return replace(model, architecture=replace(model.architecture, options={**model.architecture.options, **changed}))


def random(*shape):
    return np.random.default_rng(1).normal(0, 0.2, shape).astype(np.float16)


def refusal(model, tmp_path, backend="numpy"):
    """What is said of the model as a file, which writes nothing."""
    path = tmp_path / "some.safetensors"
    save(model, path)
    with pytest.raises(BadModelFile) as caught:
        generate(Generator(load(path)), [Request(bars=1, backend=backend)])
    said = str(caught.value)
    assert said.startswith(f"{path}: its weights do not fit its architecture (")
    assert said.endswith(").")
    assert said.isprintable()
    assert len(said) < 400
    return said.partition("(")[2].removesuffix(").")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_that_fits_writes_music(name, backend):
    assert generate(Generator(untrained(name)), [Request(bars=1, backend=backend)])


# --- faults of an author ---------------------------------------------------------------------------------------------


class Forgetful:
    """An architecture whose methods look for what is not there."""

    def build_cell(self, column_sizes, weights):
        return self.find(weights, "table.weight")

    def build_module(self, column_sizes, vocabulary_size):
        return int("seven")

    def find(self, weights, name):
        return weights[name]


@pytest.mark.parametrize(
    ("backend", "method", "fault"),
    [
        ("numpy", "build_cell", "KeyError: 'table.weight' (in Forgetful.find, line "),
        (
            "torch",
            "build_module",
            "ValueError: invalid literal for int() with base 10: 'seven' (in Forgetful.build_module",
        ),
    ],
)
def test_an_error_in_a_method_names_it_and_its_place_and_blames_no_weights(backend, method, fault, monkeypatch):
    monkeypatch.setattr(Model, "make_architecture", lambda self: Forgetful())
    with pytest.raises(BadModelFile) as caught:
        generate(Generator(MODEL), [Request(bars=1, backend=backend)])
    name = "lstm" if backend == "numpy" else "Forgetful"
    assert str(caught.value).startswith(f"`{method}` of the architecture '{name}' raises {fault}")
    assert str(caught.value).endswith(" of tests/test_fitting.py).")


def test_a_training_names_a_method_that_fails_and_asks_for_no_smaller_sizes():
    with pytest.raises(BadOption, match=r"^`build_module` of the architecture 'Forgetful' raises ValueError: .*\)\.$"):
        build_new_network(Forgetful(), [Column("token", 3)], 5)


class Traced:
    """An architecture without a cell."""

    def build_module(self, column_sizes, vocabulary_size):
        raise AssertionError("nobody asks for it")


@pytest.mark.parametrize(
    ("architecture", "backend", "device", "why"),
    [
        (Traced, "numpy", "cpu", "the architecture 'lstm' has no `build_cell`"),
        (Traced, "native", "cpu", "the architecture 'lstm' has no `build_cell`"),
        (Forgetful, "native", "cuda", "it runs on the CPU alone"),
        (Forgetful, "traced", "cpu", "the architecture 'lstm' has `build_cell`, which `native` and `numpy` run"),
    ],
)
def test_a_backend_says_why_it_cannot_run_a_model(architecture, backend, device, why, monkeypatch):
    monkeypatch.setattr(Model, "make_architecture", lambda self: architecture())
    monkeypatch.setattr(devices, "choose_device", lambda name: name)
    with pytest.raises(BadOption, match=re.escape(f"'{backend}' cannot run this model on '{device}': {why}.")):
        Backends(MODEL).resolve(Request(backend=backend, device=device))


def test_native_and_traced_say_that_there_is_no_compiler(monkeypatch):
    monkeypatch.setattr(c_compiler, "find_compiler", lambda: None)
    monkeypatch.setattr(native_compiling, "load_kernel", lambda instructions: None)
    monkeypatch.setattr(traced_steps, "find_compiler", lambda: None)
    assert registry().make("backends", "native").explain(untrained("lstm"), "cpu") == "there is no C compiler"
    monkeypatch.setattr(Model, "make_architecture", lambda self: Traced())
    assert registry().make("backends", "traced").explain(MODEL, "cpu") == "there is no C compiler"


# --- a second layer wider than the first ------------------------------------------------------------------------------


def wider_above(name):
    """A model whose second layer, and what reads it, is of 64 units; the first is of 8."""
    model, sums, head = untrained(name), SUMS[name] * 64, untrained(name, hidden_size=64).weights["head.weight"]
    if name.startswith("min"):
        above = {"recurrence__gates__1__weight": random(sums, 8), "recurrence__gates__1__bias": random(sums)}
    else:
        above = {"recurrence__weight_ih_l1": random(sums, 8), "recurrence__weight_hh_l1": random(sums, 64)}
        above |= {f"recurrence__bias_{which}_l1": random(sums) for which in ("ih", "hh")}
    pointer = random(model.weights["pointer.weight"].shape[0], head.shape[1])
    return with_weights(model, **above, head__weight=head, pointer__weight=pointer)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_second_layer_wider_than_the_first_is_refused(name, backend, tmp_path):
    array = "gates.1.weight" if name.startswith("min") else "weight_ih_l1"
    found, right = SUMS[name] * 64, SUMS[name] * 8
    said = refusal(wider_above(name), tmp_path, backend)
    assert said == f"'recurrence.{array}' is {found} x 8, and should be {right} x 8"


# --- one sum a unit ---------------------------------------------------------------------------------------------------


def ungated(name):
    """A model of one layer with a sum a unit, as Elman's has; the others need more."""
    model = untrained(name, layers=1)
    if name.startswith("min"):
        return with_weights(model, recurrence__gates__0__weight=random(8, 6), recurrence__gates__0__bias=random(8))
    biases = {f"recurrence__bias_{which}_l0": random(8) for which in ("ih", "hh")}
    matrices = {"recurrence__weight_ih_l0": random(8, 6), "recurrence__weight_hh_l0": random(8, 8)}
    return with_weights(model, **biases, **matrices)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "rnn"])
def test_one_sum_a_unit_instead_of_several_is_refused(name, backend, tmp_path):
    array = "gates.0.weight" if name.startswith("min") else "weight_ih_l0"
    said = refusal(ungated(name), tmp_path, backend)
    assert said == f"'recurrence.{array}' is 8 x 6, and should be {8 * SUMS[name]} x 6"


# --- any array, any option --------------------------------------------------------------------------------------------


def others(array):
    """Arrays of other shapes in the place of one."""
    yield np.concatenate([array, array[:1]])
    yield from (array[:-1], array[:0], array[None], array[..., None])
    if array.ndim == 2:
        yield from (array[:, :-1], array.T) if array.shape[0] != array.shape[1] else (array[:, :-1],)


@pytest.mark.parametrize("tie", [False, True], ids=["free", "tied"])
@pytest.mark.parametrize("name", ["lstm", "mingru"])
def test_every_array_is_held_to_its_shape(name, tie):
    model = untrained(name, tie_weights=tie)
    for array, right in model.weights.items():
        for other in (None, *others(right)):
            with pytest.raises(BadModelFile, match=f"'{re.escape(array)}'"):
                with_weights(model, **{array: other}).make_cell()


def test_an_array_too_many_is_refused(tmp_path):
    assert refusal(with_weights(untrained("gru"), spare=random(2)), tmp_path) == "it has no array 'spare'"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden_size": 512}, "'recurrence.weight_ih_l0' is 32 x 6, and should be 2048 x 6"),
        ({"hidden_size": 4}, "'recurrence.weight_ih_l0' is 32 x 6, and should be 16 x 6"),
        ({"hidden_size": 2**40}, f"'recurrence.weight_ih_l0' is 32 x 6, and should be {2**42} x 6"),
        ({"hidden_size": 10**4000}, "'recurrence.weight_ih_l0' is 32 x 6, and should be 2^63 or more x 6"),
        ({"layers": 1}, None),
        ({"layers": 3}, "there is no array 'recurrence.weight_ih_l2'"),
        ({"layers": 2**40}, "there is no array 'recurrence.weight_ih_l2'"),
        ({"embedding_size": 2**40}, None),
        ({"skip": False}, "'head.weight' is 16 x 14, and should be 16 x 8"),
        ({"pointer": False}, None),
        ({"tie_weights": True}, "'head.weight' is 16 x 14, and should be 6 x 14"),
    ],
    ids=str,
)
def test_options_and_arrays_are_of_one_network(options, said, backend, tmp_path):
    found = refusal(with_options(untrained("lstm"), **options), tmp_path, backend)
    assert said in (None, found)


@pytest.mark.parametrize("kind", ["float64", "int8", "int64", "uint16", "bool"])
def test_weights_of_another_kind_of_number_are_refused(kind, tmp_path):
    path = tmp_path / "some.safetensors"
    model = untrained("gru")
    save(with_weights(model, head__bias=np.ones_like(model.weights["head.bias"]).astype(kind)), path)
    with pytest.raises(BadModelFile, match=r": 'head\.bias' holds \w+; weights are F16 or F32\."):
        load(path)


@pytest.mark.parametrize(("kind", "size"), [("BF16", 2), ("F8_E4M3", 1), ("F8_E5M2", 1), ("C64", 8), ("F4", 1)])
def test_weights_that_numpy_has_no_numbers_for_are_refused(kind, size, tmp_path):
    path = tmp_path / "some.safetensors"
    save(with_weights(untrained("gru"), head__bias=np.zeros(16, np.float16)), path)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    header["head.bias"].update(dtype=kind, shape=[64 if kind == "F4" else 32 // size])
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    with pytest.raises(BadModelFile, match=f": 'head.bias' holds {kind}; weights are F16 or F32."):
        load(path)


# --- cells, whoever describes them ------------------------------------------------------------------------------------


def cell_of(name="gru", **options):
    model = untrained(name, **options)
    return model.make_cell(), [len(table) for table in model.make_cell().columns], len(model.vocabulary)


def with_layer(cell, number, **changed):
    layers = list(cell.layers)
    layers[number] = replace(layers[number], **changed)
    return replace(cell, layers=tuple(layers))


FLOATS = np.zeros((2, 3), dtype=np.float32)

BROKEN = {
    "no layers": lambda cell: replace(cell, layers=()),
    "no columns": lambda cell: replace(cell, columns=()),
    "a column too few": lambda cell: replace(cell, columns=cell.columns[:-1]),
    "a longer table": lambda cell: replace(cell, columns=(*cell.columns[:-1], cell.columns[0])),
    "a narrower table": lambda cell: replace(cell, columns=(*cell.columns[:-1], cell.columns[-1][:, :-1])),
    "tables that are lists": lambda cell: replace(cell, columns=tuple(table.tolist() for table in cell.columns)),
    "other gates": lambda cell: with_layer(cell, 0, gates="lstm"),
    "gates without a past": lambda cell: with_layer(cell, 0, gates="minlstm"),
    "inputs of whole numbers": lambda cell: with_layer(cell, 0, inputs=cell.layers[0].inputs.astype(np.int32)),
    "other inputs": lambda cell: with_layer(cell, 1, inputs=cell.layers[0].inputs),
    "a shorter bias": lambda cell: with_layer(cell, 1, input_bias=cell.layers[1].input_bias[:-1]),
    "no recurrent bias": lambda cell: with_layer(cell, 1, recurrent_bias=FLOATS[0, :0]),
    "no recurrent matrix": lambda cell: with_layer(
        cell, 0, recurrent=cell.layers[0].recurrent[:0], recurrent_bias=FLOATS[0, :0]
    ),
    "a wider layer": lambda cell: with_layer(cell, 1, recurrent=np.zeros((24, 9), dtype=np.float32)),
    "another state": lambda cell: with_layer(cell, 1, parts=2, gates=""),
    "no state": lambda cell: replace(cell, layers=tuple(replace(one, parts=0, gates="") for one in cell.layers)),
    "no sums": lambda cell: with_layer(cell, 1, gates="", inputs=FLOATS[:0], input_bias=FLOATS[0, :0]),
    "another head": lambda cell: replace(cell, head=cell.head[:, :-1]),
    "a head of fewer tokens": lambda cell: replace(cell, head=cell.head[:-1], bias=cell.bias[:-1]),
    "a head without a bias": lambda cell: replace(cell, bias=cell.bias[:0]),
    "half a pointer": lambda cell: replace(cell, pointer_bias=None),
    "a pointer from nowhere": lambda cell: replace(cell, pointed=(0, 99), pointer=cell.pointer[:2]),
    "a pointer from before": lambda cell: replace(cell, pointed=(-1, *cell.pointed[1:])),
    "a pointer that is no number": lambda cell: replace(cell, pointed=(0.0, *cell.pointed[1:])),
    "numbers of 64 bits": lambda cell: replace(cell, bias=cell.bias.astype(np.float64)),
    "numbers of 16 bits": lambda cell: with_layer(cell, 1, inputs=cell.layers[1].inputs.astype(np.float16)),
    "numbers the other way round": lambda cell: replace(cell, bias=cell.bias.astype(">f4")),
    "unknown gates": lambda cell: with_layer(cell, 1, gates="GRU"),
    "gates without a name": lambda cell: with_layer(cell, 1, gates=[]),
    "no update": lambda cell: with_layer(cell, 1, update=None),
    "parts that are no whole number": lambda cell: with_layer(cell, 1, parts=1.0),
    "no cell": lambda cell: None,
    "layers that are none": lambda cell: replace(cell, layers=[None]),
    "a pointer unasked": lambda cell: replace(cell, pointed=()),
    "a pointer of fewer rows": lambda cell: replace(cell, pointer=cell.pointer[:-1]),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_cell_that_does_not_fit_is_refused_before_c_sees_it(fault):
    cell, sizes, vocabulary = cell_of()
    check_cell(cell, sizes, vocabulary)
    with pytest.raises(UnfitWeights):
        check_cell(BROKEN[fault](cell), sizes, vocabulary)


def test_a_pointer_from_a_column_that_holds_more_than_tokens_is_refused():
    cell, sizes, vocabulary = cell_of()
    tables = (*cell.columns[:-1], np.zeros((vocabulary + 1, 6), dtype=np.float32))
    wide = replace(cell, columns=tables, pointed=(*cell.pointed[:-1], len(sizes) - 1))
    with pytest.raises(UnfitWeights, match="holds no tokens"):
        check_cell(wide, [*sizes[:-1], vocabulary + 1], vocabulary)


@needs_compiler
@pytest.mark.parametrize("fault", ["other gates", "a wider layer", "another state", "half a pointer"])
def test_the_kernel_s_backend_refuses_it_by_itself(fault):
    with pytest.raises(UnfitWeights):
        make_native_step(BROKEN[fault](cell_of()[0]))


# --- columns beyond their tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [make_numpy_step, pytest.param(make_native_step, marks=needs_compiler)])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("number", [None, -1, 2**40, -(2**63)])
def test_a_column_beyond_its_table_is_refused(make, place, number):
    cell, sizes, _ = cell_of()
    step = make(cell)
    columns = np.zeros((3, len(sizes)), dtype=np.int64)
    before, state = step(columns, None)
    columns[1, place] = sizes[place] if number is None else number
    with pytest.raises(BadModelFile, match=r"for the input feature \d+, whose size is \d+: it goes from 0 to"):
        step(columns, state)
    columns[1, place] = sizes[place] - 1
    after, _ = step(columns, None)
    assert np.array_equal(after[0], before[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_feature_its_value_and_its_size_are_told(backend):
    model = untrained("gru")
    step = registry().make("backends", backend).make(model, "cpu")
    features = model.make_tokenizer().grammar.columns
    columns = np.zeros((1, len(features)), dtype=np.int64)
    step(columns, None)
    columns[0, 2] = 16
    told = f"gives 16 for the input feature '{features[2].name}', whose size is 16: it goes from 0 to 15"
    with pytest.raises(BadModelFile, match=told):
        step(columns, None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["int32", "uint8", "bool"])
def test_features_are_any_whole_numbers(backend, kind):
    model = untrained("gru")
    step = registry().make("backends", backend).make(model, "cpu")
    columns = np.ones((3, len(model.make_tokenizer().grammar.columns)), dtype=np.int64)
    assert np.array_equal(step(columns.astype(kind), None)[0], step(columns, None)[0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wrong", ["floats", "a feature too few", "a feature too many", "no rows"])
def test_inputs_of_another_shape_or_kind_are_told(backend, wrong):
    model = untrained("gru")
    step = registry().make("backends", backend).make(model, "cpu")
    columns = np.zeros((3, len(model.make_tokenizer().grammar.columns)), dtype=np.int64)
    given = {
        "floats": columns + 0.5,
        "a feature too few": columns[:, :-1],
        "a feature too many": np.concatenate([columns, columns], axis=1),
        "no rows": columns[0],
    }[wrong]
    with pytest.raises(BadModelFile, match=r"inputs of .* they should be whole numbers, with \d+ features in each row"):
        step(given, None)


def test_columns_within_their_tables_are_none_of_its_business():
    check_columns(np.array([[0, 4], [2, 0]]), np.array([3, 5]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_state_of_other_rows_is_refused(backend):
    model = untrained("gru")
    step = registry().make("backends", backend).make(model, "cpu")
    columns = np.zeros((3, len(model.make_tokenizer().grammar.columns)), dtype=np.int64)
    _, state = step(columns, None)
    with pytest.raises(ValueError, match="the state of a step"):
        step(columns[:2], state)
    with pytest.raises(ValueError, match="the state of a step"):
        step(columns, tuple(part[:2] for part in state))


@pytest.mark.parametrize("make", [make_numpy_step, pytest.param(make_native_step, marks=needs_compiler)])
@pytest.mark.parametrize("wrong", ["another width", "a part more", "a layer less", "no parts"])
def test_a_state_of_another_shape_is_refused(make, wrong):
    cell, sizes, _ = cell_of()
    step, columns = make(cell), np.zeros((3, len(sizes)), dtype=np.int64)
    _, state = step(columns, None)
    given = {
        "another width": tuple(part[:, :, :7] for part in state),
        "a part more": (*state, *state),
        "a layer less": tuple(part[:, :1] for part in state),
        "no parts": (),
    }[wrong]
    with pytest.raises(ValueError, match="and should be 1 arrays of 3 x 2 x 8"):
        step(columns, given)


# --- the updates of layers --------------------------------------------------------------------------------------------


UPDATES = {
    "nothing": lambda *_: None,
    "no arrays": lambda *_: (),
    "an array alone": lambda a, b, state: state[0],
    "one too many": lambda a, b, state: (*state, *state),
    "narrow": lambda a, b, state: (state[0][:, :1],),  # NumPy would broadcast it
    "of one row": lambda a, b, state: (state[0][:1],),
    "of complex numbers": lambda a, b, state: (state[0] * 1j,),
    "of texts": lambda a, b, state: (state[0].astype(str),),
}


@pytest.mark.parametrize("make", [make_numpy_step, pytest.param(make_native_step, marks=needs_compiler)])
@pytest.mark.parametrize("fault", UPDATES)
def test_an_update_that_makes_something_else_is_told(make, fault):
    cell, sizes, _ = cell_of()
    step = make(with_layer(cell, 1, gates="", update=UPDATES[fault]))
    with pytest.raises(BadModelFile, match=r"the update of layer 2 .* a tuple of 1 arrays of .*, 3 x 8"):
        step(np.zeros((3, len(sizes)), dtype=np.int64), None)


@pytest.mark.parametrize("make", [make_numpy_step, pytest.param(make_native_step, marks=needs_compiler)])
def test_an_error_of_an_update_is_that_of_its_own_step(make):
    cell, sizes, _ = cell_of()
    right, faults = cell.layers[0].update, [KeyboardInterrupt(), ArithmeticError("one"), ArithmeticError("other")]

    def update(*given):
        if faults:
            raise faults.pop(0)
        return right(*given)

    step = make(with_layer(with_layer(cell, 0, gates="", update=update), 1, gates="", update=update))
    columns = np.zeros((3, len(sizes)), dtype=np.int64)
    with pytest.raises(KeyboardInterrupt):
        step(columns, None)
    for told in ("one", "other"):
        with pytest.raises(ArithmeticError, match=told):
            step(columns, None)
    assert np.allclose(step(columns, None)[0], make(cell)(columns, None)[0], atol=1e-6)


@needs_compiler
def test_arrays_that_an_update_keeps_or_writes_to_are_its_own():
    cell, sizes, _ = cell_of()
    right, kept = cell.layers[0].update, []

    def update(*given):
        kept.append((given[0], given[0].copy()))
        made = right(*given)
        for array in (*given[:2], *given[2]):
            array[:] = 7
        return made

    step = make_native_step(with_layer(cell, 0, gates="", update=update))
    columns, plain = np.zeros((3, len(sizes)), dtype=np.int64), make_native_step(with_layer(cell, 0, gates=""))
    _, state = step(columns, None)
    assert np.array_equal(step(columns, state)[0], plain(columns, plain(columns, None)[1])[0])
    step(np.zeros((64, len(sizes)), dtype=np.int64), None)  # in other scratch memory
    kept[0][0][:] = kept[0][1]
    assert (kept[1][0] == 7).all()


@needs_compiler
def test_a_cell_beyond_the_kernel_s_limits_is_refused_before_the_first_step():
    cell, _, _ = cell_of()
    many = replace(cell, layers=tuple(replace(layer, gates="", parts=17) for layer in cell.layers))
    with pytest.raises(BadModelFile, match="beyond the limits of the backend 'native'"):
        make_native_step(many)


# --- what a tokenizer makes -------------------------------------------------------------------------------------------


class Odd:
    """A grammar, of which one function makes something else."""

    def __init__(self, of, **changes):
        self._of, self._changes = of, changes

    def __getattr__(self, name):
        right = getattr(self._of, name)
        change = self._changes.get(name)
        return (lambda *given: change(right(*given))) if change else right


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("start", lambda state: state * 0.5, "makes states of float64, 1 x"),
        ("start", lambda state: state[0], "makes states of int64"),
        ("mask", lambda mask: mask[:, :-1], "makes masks of bool, 1 x 15; they should be bool, 1 x 16"),
        ("mask", lambda mask: mask[:, :1], "makes masks of bool, 1 x 1; they should be bool, 1 x 16"),
        ("mask", lambda mask: mask * 1, "makes masks of int64, 1 x 16; they should be bool, 1 x 16"),
        ("make_inputs", lambda inputs: inputs[:, 1:], "makes inputs of int64, 1 x"),
        ("make_inputs", lambda inputs: inputs * 1.0, "makes inputs of float64, 1 x"),
    ],
)
def test_a_grammar_whose_arrays_do_not_fit_is_refused_before_the_first_step(name, change, told):
    model = untrained("gru")
    tokenizer = model.make_tokenizer()
    grammar, request = Odd(tokenizer.grammar, **{name: change}), Request()
    check_grammar(tokenizer.grammar, tokenizer.grammar.start(request, 1), len(model.vocabulary))
    player = Generator(model)
    vars(player)["tokenizer"] = SimpleNamespace(grammar=grammar, vocabulary=tokenizer.vocabulary)
    with pytest.raises(BadModelFile, match=told):
        generate(player, [replace(request, primer=(), bars=1)])
