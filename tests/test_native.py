"""The compiled kernel: the same logits as NumPy's, whatever the gates; without a compiler, there is none."""

import ctypes
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from composer.errors import BadOption, RunWarning
from composer.generation.composer import open_model
from composer.plugins.registry import registry
from composer.sampling.distribution import Distribution
from composer.sampling.loop import sample
from composer.testing import make_random_model
from composer.tokens.jit import c_compiler
from composer_backends.arrays import make_numpy_step
from composer_native import NativeBackend
from composer_native import compiling as native_compiling
from composer_native.packing import round_to_brain
from composer_native.steps import _Update, build_model, make_native_step
from composer_native.threads import ThreadTuner, count_threads

pytestmark = pytest.mark.machine

needs_compiler = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")


def described(architecture, *, half=False, **options):
    model = make_random_model(architecture, "voices", **{"hidden_size": 20, "embedding_size": 12, **options})
    weights = {name: array.astype(np.float16) if half else array for name, array in model.weights.items()}
    return replace(model, weights=weights).make_cell()


def logits(step, cell, rows, steps=5):
    sizes = [len(table) for table in cell.columns]
    inputs = np.random.default_rng(0).integers(0, sizes, (steps, rows, len(sizes)))
    found, state = [], None
    for columns in inputs:
        out, state = step(columns, state)
        found.append(out)
    return np.stack(found)


@needs_compiler
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 13])
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("architecture", ["lstm", "gru", "rnn", "mingru", "minlstm"])
def test_it_computes_what_numpy_does(architecture, half, rows):
    cell = described(architecture, half=half)
    native, arrays = logits(make_native_step(cell), cell, rows), logits(make_numpy_step(cell), cell, rows)
    assert np.allclose(native, arrays, atol=2e-5)


@needs_compiler
@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("architecture", ["lstm", "gru", "rnn", "mingru", "minlstm"])
def test_rows_may_come_and_go(architecture, precision):
    cell = described(architecture)
    step, sizes = make_native_step(cell, precision), [len(table) for table in cell.columns]
    for rows in (one for most in range(2, 24) for one in (most, most - 1)):
        columns = np.random.default_rng(rows).integers(0, sizes, (rows, len(sizes)))
        assert step(columns, None)[0].tobytes() == make_native_step(cell, precision)(columns, None)[0].tobytes()


def broken(from_input, from_state, state):
    raise ArithmeticError("no gates today")


@needs_compiler
@pytest.mark.parametrize("architecture", ["lstm", "gru", "rnn", "mingru", "minlstm"])
def test_gates_of_our_own_architectures_are_computed_by_the_kernel(architecture):
    cell = described(architecture)
    unasked = replace(cell, layers=tuple(replace(layer, update=broken) for layer in cell.layers))
    assert np.array_equal(logits(make_native_step(unasked), unasked, 2), logits(make_native_step(cell), cell, 2))


@needs_compiler
def test_gates_that_it_does_not_know_are_the_layer_s_own():
    cell = described("gru")
    own = replace(cell, layers=tuple(replace(layer, gates="") for layer in cell.layers))
    assert np.allclose(logits(make_native_step(own), own, 7), logits(make_native_step(cell), cell, 7), atol=1e-6)


@needs_compiler
def test_an_error_in_a_layer_s_own_gates_is_raised():
    cell = described("gru")
    own = replace(cell, layers=tuple(replace(layer, gates="", update=broken) for layer in cell.layers))
    with pytest.raises(ArithmeticError, match="no gates today"):
        logits(make_native_step(own), own, 2)


@needs_compiler
@pytest.mark.parametrize("rows", [1, 3, 13])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
@pytest.mark.parametrize("architecture", ["lstm", "gru", "rnn", "mingru", "minlstm"])
def test_lower_precisions_are_near(architecture, precision, rows):
    cell = described(architecture)
    near, arrays = logits(make_native_step(cell, precision), cell, rows), logits(make_numpy_step(cell), cell, rows)
    assert 1e-4 < np.abs(near - arrays).max() < 0.1


@pytest.mark.uncounted
@needs_compiler
@pytest.mark.parametrize(("name", "share"), [("chorales", 0.012), ("tunes", 0.005)])
def test_lower_precisions_keep_the_likelihood_of_what_a_trained_model_writes(name, share):
    player = open_model(name)
    asked = replace(player.suggested, seed=5, bars=8, most_bars=16, samplers=())
    requests = [player.resolve(replace(asked, index=index)) for index in range(24)]
    pieces = [found.tokens for found in sample(player.get_step(requests[0]), player.tokenizer, [], requests)]
    nats = [
        nats_of(pieces, requests, player.tokenizer.grammar, make_native_step(player.model.make_cell(), precision))
        for precision in ("float32", "bfloat16", "int8")
    ]
    assert nats[1] == pytest.approx(nats[0], rel=0.0002)
    assert nats[2] == pytest.approx(nats[0], rel=share)


def nats_of(pieces, requests, grammar, step):
    """Minus the log-probability of pieces, token by token, within the grammar."""
    places, recurrent, nats = np.concatenate([grammar.start(request, 1) for request in requests]), None, 0.0
    for at in range(max(map(len, pieces))):
        tokens = np.array([piece[min(at, len(piece) - 1)] for piece in pieces])
        scores, recurrent = step(grammar.make_inputs(places), recurrent)
        costs = -Distribution(
            np.where(grammar.mask(places), scores.astype(np.float64), -np.inf)
        ).compute_log_probability(tokens)
        nats += costs[[at < len(piece) for piece in pieces]].sum()
        places = grammar.advance(places, tokens)
    return nats


PRECISIONS = ("float32", "bfloat16", "int8")


def outliers(array, draw):
    """The array with zeros, denormal numbers, and numbers that are far from any other."""
    found = array.copy()
    for number in (0.0, -0.0, 1e-44, -1e-39, 1e-20, 300.0, -1e5):
        found[tuple(draw.integers(0, found.shape))] = number
    return found


def damaged(cell, *numbers):
    """The cell with outliers everywhere, and some numbers in the output's weights."""
    draw = np.random.default_rng(0)
    names = ("inputs", "recurrent", "input_bias", "recurrent_bias")
    layers = tuple(
        replace(
            layer,
            **{
                name: outliers(array, draw)
                for name in names
                if (array := getattr(layer, name)) is not None and array.size
            },
        )
        for layer in cell.layers
    )
    columns, head = tuple(outliers(table, draw) for table in cell.columns), cell.head.copy()
    for number in numbers:
        head[tuple(draw.integers(0, head.shape))] = number
    return replace(cell, layers=layers, columns=columns, head=head)


@needs_compiler
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("architecture", ["lstm", "gru", "rnn", "mingru", "minlstm"])
def test_all_instructions_make_the_same_bits(architecture, precision):
    having = [name for name in native_compiling.INSTRUCTIONS if native_compiling.has_instructions(name)]
    assert {"auto", "plain"} <= set(having)
    for options in ({"hidden_size": 33, "embedding_size": 9}, {"layers": 2, "hidden_size": 70, "half": True}):
        cell = described(architecture, skip=len(options) == 3, **options)
        for changed in (cell, damaged(cell), damaged(cell, np.inf, -np.inf, np.nan, 3.4e38)):
            with np.errstate(over="ignore", invalid="ignore"):
                found = [make_native_step(changed, precision, instructions=name) for name in having]
            for rows in (1, 2, 3, 5, 13, 27):
                made = [logits(step, cell, rows, steps=3) for step in found]
                assert all(np.array_equal(one, made[0], equal_nan=True) for one in made)


@needs_compiler
def test_with_instructions_for_int8_alone_the_bits_are_the_same(monkeypatch):
    if "avx_vnni" not in c_compiler.describe_processor().split():
        pytest.skip("this processor has no such instructions")
    cell = described("gru", hidden_size=36)
    expected = logits(make_native_step(cell, "int8"), cell, 9)
    monkeypatch.setitem(native_compiling.INSTRUCTIONS, "avx2", (("-march=haswell", "-mavxvnni"), set()))
    if native_compiling.load_kernel("avx2") is None:
        pytest.skip("this compiler does not know such instructions")
    assert logits(make_native_step(cell, "int8", instructions="avx2"), cell, 9).tobytes() == expected.tobytes()


@needs_compiler
def test_others_run_the_model_where_the_kernel_would_be_slow(monkeypatch):
    model = make_random_model("gru", "voices", hidden_size=8)
    assert NativeBackend(instructions="plain").supports(model, "cpu")
    monkeypatch.setitem(native_compiling.INSTRUCTIONS, "auto", native_compiling.INSTRUCTIONS["plain"])
    assert NativeBackend().supports(model, "cpu") == bool(native_compiling.load_kernel("plain").fuses())


@needs_compiler
def test_bfloat16_is_float32_with_rounded_numbers():
    cell = described("rnn", layers=1)
    rounded = replace(
        cell,
        layers=tuple(
            replace(layer, inputs=nearest(layer.inputs), recurrent=nearest(layer.recurrent)) for layer in cell.layers
        ),
        columns=tuple(nearest(table) for table in cell.columns[:1]) + tuple(np.zeros_like(t) for t in cell.columns[1:]),
    )
    columns = np.zeros((2, len(cell.columns)), dtype=np.int64)
    (_, low), (_, full) = (make_native_step(rounded, precision)(columns, None) for precision in ("bfloat16", "float32"))
    assert np.array_equal(low, full)


def nearest(array):
    return (round_to_brain(array).astype(np.uint32) << 16).view(np.float32)


def test_rounding_to_bfloat16_is_to_nearest_even():
    import torch

    draw = np.random.default_rng(0)
    numbers = (draw.uniform(-1, 1, 100_000) * 2.0 ** draw.integers(-30, 128, 100_000)).astype(np.float32)
    numbers = numbers[np.abs(numbers) > 2.0**-40]
    numbers = np.concatenate([numbers, np.float32([0, 1.00390625, 1.01171875, np.inf, -np.inf, 3.4e38, np.nan])])
    assert not round_to_brain(np.float32([1e-13, -1e-13, 1e-44])).any()
    assert np.array_equal(nearest(numbers), torch.from_numpy(numbers).bfloat16().float().numpy(), equal_nan=True)


def test_instructions_that_there_are_not_are_refused(monkeypatch):
    with pytest.raises(BadOption, match="unknown instructions; choose from auto, avx512, avx2, plain"):
        registry().make("backends", "native", instructions="sse9")
    monkeypatch.setitem(native_compiling.INSTRUCTIONS, "avx2", ((), {"sse9"}))
    with pytest.raises(BadOption, match="this processor lacks the instructions 'avx2'"):
        registry().make("backends", "native", instructions="avx2")


@needs_compiler
@pytest.mark.parametrize("architecture", ["lstm", "gru", "rnn", "mingru", "minlstm"])
def test_memory_for_some_rows_is_enough_for_fewer(architecture):
    cell = described(architecture)
    make_native_step(cell)  # it says what the functions take
    kernel, model = native_compiling.load_kernel(), build_model(cell, "float32", False, [])
    sizes = [kernel.scratch_size(ctypes.addressof(model), rows, 1) for rows in range(1, 300)]
    assert sizes == sorted(sizes)


@needs_compiler
def test_a_state_that_was_given_out_is_not_written_to():
    cell = described("lstm")
    step, columns = make_native_step(cell), np.zeros((3, len(cell.columns)), dtype=np.int64)
    _, first = step(columns, None)
    before = [part.copy() for part in first]
    step(columns, first)
    assert all(np.array_equal(part, copy) for part, copy in zip(first, before, strict=True))


@needs_compiler
def test_a_state_may_come_in_parts_from_anywhere():
    cell = described("lstm")
    step, columns = make_native_step(cell), np.zeros((3, len(cell.columns)), dtype=np.int64)
    _, state = step(columns, None)
    expected, _ = step(columns, state)
    _, turned = step(columns, state[::-1])
    assert step(columns, tuple(part.copy() for part in state))[0].tobytes() == expected.tobytes()
    assert step(columns, tuple(part.astype(np.float64) for part in state))[0].tobytes() == expected.tobytes()
    copied = step(columns, tuple(part.copy() for part in state[::-1]))[1]
    assert all(np.array_equal(*parts) for parts in zip(turned, copied, strict=True))


@needs_compiler
def test_arrays_may_be_read_only():
    cell = described("lstm")
    step, columns = make_native_step(cell), np.zeros((3, len(cell.columns)), dtype=np.int64)
    _, state = step(columns, None)
    expected, _ = step(columns, state)
    for array in (columns, *state):
        array.flags.writeable = False
    assert step(columns, state)[0].tobytes() == expected.tobytes()


# --- sizes that are not trusted ---------------------------------------------------------------------------------------


def entry(cell, precision="float32", instructions="auto"):
    """The kernel's own entry: `call(change)` makes a step of 2 rows after `change(model)`, and says what it said."""
    kernel, model = native_compiling.load_kernel(instructions), build_model(cell, precision, True, [])
    make_native_step(cell, instructions=instructions)  # it says what the functions take
    here, rows, width = ctypes.addressof(model), 2, len(cell.columns)

    def call(change=lambda model: None, column=0, threads=1):
        before, after = np.zeros((2, model.parts, rows, model.count, model.hidden), dtype=np.float32)
        change(model)
        columns = np.full((rows, width), column, dtype=np.int64)
        logits = np.full((rows, len(cell.bias)), 7, dtype=np.float32)
        scratch = np.empty(max(kernel.scratch_size(here, rows, threads), 0), dtype=np.float32)
        model.scratch, model.room = scratch.ctypes.data, len(scratch)
        arrays = [array.ctypes.data for array in (columns, before, after, logits)]
        said = kernel.step(here, rows, *arrays, threads)
        assert said == 0 or (logits == 7).all(), "something was done"
        return said

    return call


def setting(name, value, of=lambda model: model):
    return lambda model: setattr(of(model), name, value)


def more(name, by=1, of=lambda model: model):
    return lambda model: setattr(of(model), name, getattr(of(model), name) + by)


def first(model):
    return model.layers[0]


UNTRUE = {
    "fewer columns": setting("columns", 0),
    "embeddings of no kind": setting("embedding_kind", 2),
    "fewer embeddings": more("embeddings", -1),
    "more embeddings than memory": setting("embeddings", 2**60),
    "wider embeddings": more("embedding_size", 8),
    "no layers": setting("count", 0),
    "wider layers": more("hidden", 8),
    "layers beyond all numbers": setting("hidden", 2**62),
    "a part less": more("parts", -1),
    "no outputs": setting("outputs", 0),
    "a panel more of outputs": more("outputs", 32),
    "pointers from outside": more("pointers", 40),
    "fewer than no pointers": setting("pointers", -1),
    "no head": setting("width", 0, lambda model: model.head),
    "a deeper head": more("depth", 8, lambda model: model.head),
    "a head without a bias": setting("bias", None, lambda model: model.head),
    "a wider embedded head": more("width", 16, lambda model: model.head_embedded),
    "other gates": setting("gates", 2, first),
    "unknown gates": setting("gates", 6, first),
    "gates of nobody": lambda model: (setting("gates", 0, first)(model), setting("update", _Update())(model)),
    "a wider layer": more("width", 16, lambda model: first(model).from_input),
    "a deeper layer": more("depth", 8, lambda model: first(model).from_input),
    "weights that are nowhere": setting("weights", None, lambda model: first(model).from_state),
    "no past": setting("width", 0, lambda model: first(model).from_state),
    "weights of no kind": setting("kind", 4, lambda model: first(model).from_input),
    "bytes without their scales": setting("scales", None, lambda model: model.head),
    "bytes where floats were told": setting("kind", 0),
}


@needs_compiler
@pytest.mark.parametrize("fault", UNTRUE)
def test_its_entry_trusts_no_size(fault):
    cell = described("lstm", layers=2)
    assert entry(cell, "int8")() == 0
    assert entry(cell, "int8")(UNTRUE[fault]) == 1


@needs_compiler
def test_its_entry_takes_halves_where_it_reads_them():
    reads = bool(native_compiling.load_kernel("plain").reads_halves())
    assert entry(described("lstm", half=True), instructions="plain")() == (0 if reads else 1)


@needs_compiler
def test_its_entry_trusts_no_column_no_number_of_threads_and_no_memory():
    call = entry(described("lstm", layers=2))
    assert [call(column=column) for column in (0, -1, 2**40, -(2**63))] == [0, 2, 2, 2]
    assert [call(threads=threads) for threads in (0, 1, 64, 65)] == [1, 0, 0, 1]


@needs_compiler
@pytest.mark.parametrize("size", [0.0, 1e-44, 1e-30, 1e30, 3e38])
@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_weights_of_any_size_are_rounded(precision, size):
    cell = described("lstm")
    far = replace(cell, head=np.sign(cell.head) * np.float32(size))
    with np.errstate(all="raise"):
        step = make_native_step(far, precision)
    step(np.zeros((2, len(cell.columns)), dtype=np.int64), None)


# --- threads ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared_steps(monkeypatch):
    """Every step is shared, be it ever so short."""
    monkeypatch.setattr("composer_native.steps.ENOUGH", 0)
    monkeypatch.setattr(ThreadTuner, "choose_threads", lambda pace: max(pace.seconds))


@needs_compiler
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("architecture", ["lstm", "gru", "mingru"])
def test_threads_change_no_bit(architecture, precision, shared_steps):
    cell = described(architecture, hidden_size=52)
    alone = logits(make_native_step(cell, precision, 1), cell, 7)
    for threads in (2, 3, 2):
        assert logits(make_native_step(cell, precision, threads), cell, 7).tobytes() == alone.tobytes()


def step_elsewhere(answers, cell):
    answers.put(logits(make_native_step(cell, threads=2), cell, 7).tobytes())


@needs_compiler
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no process is forked here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_while_threads_wait_has_its_own(shared_steps):
    cell = described("gru")
    expected = logits(make_native_step(cell, threads=2), cell, 7).tobytes()
    forking = multiprocessing.get_context("fork")
    answers = forking.Queue()
    child = forking.Process(target=step_elsewhere, args=(answers, cell), daemon=True)
    child.start()
    assert answers.get(timeout=60) == expected
    child.join(timeout=60)
    assert child.exitcode == 0
    assert logits(make_native_step(cell, threads=2), cell, 7).tobytes() == expected


@needs_compiler
def test_steps_at_the_same_time_do_not_wait_for_each_other(shared_steps):
    cell = described("gru")
    expected = logits(make_native_step(cell), cell, 7, steps=40).tobytes()
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(logits, make_native_step(cell, threads=2), cell, 7, steps=40) for _ in range(8)]
        assert all(job.result(timeout=60).tobytes() == expected for job in jobs)


def test_as_many_threads_as_are_faster():
    pace, took = ThreadTuner(2), {1: 3.0, 2: 2.0}
    for _ in range(500):
        chosen = pace.choose_threads()
        pace.record(chosen, took[chosen])
    assert pace.choose_threads() == 2
    took[2] = 30.0
    for _ in range(500):
        chosen = pace.choose_threads()
        pace.record(chosen, took[chosen])
    assert pace.choose_threads() == 1


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("2,1", 2), ("many", None), ("0", None), (None, None)])
def test_threads_are_those_the_environment_names_or_all_processors(monkeypatch, said, threads):
    monkeypatch.delenv("OMP_NUM_THREADS")
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert count_threads() == threads if threads else count_threads() >= 1


def test_a_number_of_threads_that_is_none_is_refused():
    with pytest.raises(BadOption, match="threads must be from 0 to 64"):
        registry().make("backends", "native", threads=65)


# --- compiling --------------------------------------------------------------------------------------------------------


@pytest.fixture
def anew(monkeypatch, tmp_path):
    """Nothing compiled, and nothing remembered afterwards; and compiled fast, since nothing is computed here."""
    monkeypatch.setenv("COMPOSER_CACHE", str(tmp_path))
    monkeypatch.setattr(native_compiling, "FLAGS", (*native_compiling.FLAGS, "-O0"))
    c_compiler.load_library.cache_clear()
    yield tmp_path
    c_compiler.load_library.cache_clear()


@needs_compiler
def test_the_kernel_is_compiled_once(anew, monkeypatch):
    assert native_compiling.load_kernel()
    [made] = (anew / "native").iterdir()
    c_compiler.load_library.cache_clear()
    monkeypatch.setattr(c_compiler, "_compile", lambda *_: pytest.fail("it was compiled again"))
    assert native_compiling.load_kernel()._name == str(made)


@pytest.mark.parametrize("compiler", ["none", "fails", "writes nonsense"])
def test_without_a_kernel_others_run_the_model(anew, monkeypatch, compiler):
    program = anew / "cc"
    program.write_text("#!/bin/sh\n" + {"fails": "exit 1", "writes nonsense": 'touch "$9"'}.get(compiler, ""))
    program.chmod(0o755)
    monkeypatch.setattr(c_compiler, "find_compiler", lambda: None if compiler == "none" else str(program))
    model = make_random_model("gru", "voices", hidden_size=8)
    assert not NativeBackend().supports(model, "cpu")
    assert registry().make("backends", "numpy").supports(model, "cpu")


def test_a_compiler_that_failed_is_not_asked_again_until_it_is_another(anew, monkeypatch):
    program, calls = anew / "cc", anew / "calls"
    program.write_text(f"#!/bin/sh\necho >> {calls}\nexit 1")
    program.chmod(0o755)
    monkeypatch.setattr(c_compiler, "find_compiler", lambda: str(program))

    def asked():
        c_compiler.load_library.cache_clear()  # as in another process
        assert c_compiler.load_library("int f(void) { return 1; }", ("-shared",)) is None
        return len(calls.read_text().splitlines())

    assert [asked(), asked()] == [1, 1]
    program.write_text(f"#!/bin/sh\necho >> {calls}\nexit 22")
    assert [asked(), asked()] == [2, 2]
    monkeypatch.setattr(c_compiler, "PATIENCE", -1.0)
    assert asked() == 3


def test_it_is_for_the_cpu():
    assert not NativeBackend().supports(make_random_model("gru", "voices", hidden_size=8), "cuda")


# --- who may have written it ------------------------------------------------------------------------------------------


def asked_anew():
    c_compiler.load_library.cache_clear()  # as in another process
    return native_compiling.load_kernel()


@needs_compiler
@pytest.mark.parametrize("which", [".", "native"])
def test_a_folder_that_others_can_write_to_holds_no_library(anew, which):
    assert asked_anew()
    (anew / which).chmod(0o777)
    with pytest.warns(RunWarning, match=r"can be written (to )?by others.*`chmod go-w` mends it"):
        found = asked_anew()
    assert found is None or not Path(found._name).is_relative_to(anew)
    (anew / which).chmod(0o1777)  # as /tmp has it: nobody takes away what is another's
    assert asked_anew()


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner here")
def test_a_folder_of_somebody_else_holds_no_library(anew, monkeypatch):
    assert asked_anew()
    monkeypatch.setattr(c_compiler, "_TRUSTED", (os.getuid() + 1,))
    with pytest.warns(RunWarning, match="can be written by others"):
        assert asked_anew() is None


@needs_compiler
@pytest.mark.parametrize("mode", [0o777, 0o720])
def test_a_library_that_others_can_change_is_compiled_anew(anew, mode):
    assert asked_anew()
    [made] = (anew / "native").iterdir()
    right = made.read_bytes()
    made.unlink()  # the one that this process has loaded stays as it is
    made.write_bytes(b"not what was compiled")
    made.chmod(mode)
    assert asked_anew()
    assert len(made.read_bytes()) == len(right)
    assert made.stat().st_mode & 0o777 == 0o700
