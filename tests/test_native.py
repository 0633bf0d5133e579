"""The compiled kernel: the same logits as NumPy's, whatever the gates; without a compiler, there is none."""

from dataclasses import replace

import numpy as np
import pytest

from composer.plugins import registry
from composer.testing import random_model
from composer_native import NativeSteps, compiling
from composer_native.steps import native_stepper
from composer_steppers.arrays import array_stepper

needs_compiler = pytest.mark.skipif(compiling.library() is None, reason="there is no C compiler here")


def described(architecture, *, half=False, **options):
    model = random_model(architecture, "voices", **{"hidden_size": 20, "embedding_size": 12, **options})
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
    native, arrays = logits(native_stepper(cell), cell, rows), logits(array_stepper(cell), cell, rows)
    assert np.allclose(native, arrays, atol=2e-5)


@needs_compiler
def test_gates_that_it_does_not_know_are_the_layer_s_own():
    cell = described("gru")
    own = replace(cell, layers=tuple(replace(layer, gates="") for layer in cell.layers))
    assert np.allclose(logits(native_stepper(own), own, 7), logits(native_stepper(cell), cell, 7), atol=1e-6)


@needs_compiler
def test_an_error_in_a_layer_s_own_gates_is_raised():
    def broken(from_input, from_state, state):
        raise ArithmeticError("no gates today")

    cell = described("gru")
    own = replace(cell, layers=tuple(replace(layer, gates="", update=broken) for layer in cell.layers))
    with pytest.raises(ArithmeticError, match="no gates today"):
        logits(native_stepper(own), own, 2)


@needs_compiler
def test_a_state_that_was_given_out_is_not_written_to():
    cell = described("lstm")
    step, columns = native_stepper(cell), np.zeros((3, len(cell.columns)), dtype=np.int64)
    _, first = step(columns, None)
    before = [part.copy() for part in first]
    step(columns, first)
    assert all(np.array_equal(part, copy) for part, copy in zip(first, before, strict=True))


@pytest.fixture
def anew(monkeypatch, tmp_path):
    """Nothing compiled, and nothing remembered afterwards."""
    monkeypatch.setenv("COMPOSER_CACHE", str(tmp_path))
    compiling.library.cache_clear()
    yield tmp_path
    compiling.library.cache_clear()


@needs_compiler
def test_the_kernel_is_compiled_once(anew, monkeypatch):
    assert compiling.library()
    [made] = (anew / "native").iterdir()
    compiling.library.cache_clear()
    monkeypatch.setattr(compiling, "_compile", lambda *_: pytest.fail("it was compiled again"))
    assert compiling.library()._name == str(made)


@pytest.mark.parametrize("compiler", ["none", "fails", "writes nonsense"])
def test_without_a_kernel_others_run_the_model(anew, monkeypatch, compiler):
    program = anew / "cc"
    program.write_text("#!/bin/sh\n" + {"fails": "exit 1", "writes nonsense": 'touch "$8"'}.get(compiler, ""))
    program.chmod(0o755)
    monkeypatch.setattr(compiling, "_compiler", lambda: None if compiler == "none" else str(program))
    model = random_model("gru", "voices", hidden_size=8)
    assert not NativeSteps().suits(model, "cpu")
    assert registry().make("steppers", "numpy").suits(model, "cpu")


def test_it_is_for_the_cpu():
    assert not NativeSteps().suits(random_model("gru", "voices", hidden_size=8), "cuda")
