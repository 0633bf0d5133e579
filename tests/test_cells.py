"""A cell is not believed: the kit runs it on every backend against its module, and names what is not the same."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from composer.plugins.registry import registry
from composer.testing import BrokenRule, check_architecture
from composer.tokens.jit import c_compiler
from composer.types import Cell, Layer

needs_compiler = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")
WIDTH = 12


def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def gru(from_input, from_state, state):
    """The update of torch's GRU."""
    (a, b, c), (d, e, f) = np.split(from_input, 3, axis=1), np.split(from_state, 3, axis=1)
    keep, candidate = sigmoid(b + e), np.tanh(c + sigmoid(a + d) * f)
    return (candidate + keep * (state[0] - candidate),)


def with_wrong_sign(from_input, from_state, state):
    return gru(from_input, -from_state, state)


def with_company(from_input, from_state, state):
    return (gru(from_input, from_state, state)[0] - 1e-7 * len(from_input),)


def in_place(from_input, from_state, state):
    made = gru(from_input, from_state, state)
    state[0][:] = made[0]
    return made


def too_narrow(from_input, from_state, state):
    return (gru(from_input, from_state, state)[0][:, :1],)  # would be broadcast


UPDATES = {
    "a wrong sign": with_wrong_sign,
    "company": with_company,
    "in place": in_place,
    "too narrow": too_narrow,
    "of no kind": lambda *_: None,
}


@dataclass(frozen=True)
class Described:
    """Two layers of torch's GRU, described as a cell with a fault."""

    fault: str = ""
    deep: bool = False

    def build_module(self, column_sizes, vocabulary_size):
        from torch import nn

        class Module(nn.Module):
            def __init__(self, layers):
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, WIDTH) for size in column_sizes)
                self.layers = nn.GRU(WIDTH, WIDTH, layers, batch_first=True)
                self.head = nn.Linear(WIDTH, vocabulary_size)
                for name, parameter in self.layers.named_parameters():
                    if "bias" in name:
                        nn.init.zeros_(parameter)
                nn.init.zeros_(self.head.bias)

            def forward(self, inputs, state=None):
                seen = sum(table(inputs[..., column]) for column, table in enumerate(self.tables))
                hidden, last = self.layers(seen, None if state is None else state[0].transpose(0, 1).contiguous())
                return self.head(hidden), (last.transpose(0, 1),)

        return Module(self.count)

    @property
    def count(self):
        return 3 if self.deep else 2

    def build_cell(self, column_sizes, weights):
        cell = Cell(
            columns=tuple(weights[f"tables.{column}.weight"] for column in range(len(column_sizes))),
            layers=tuple(self._layer(number, weights) for number in range(self.count)),
            head=weights["head.weight"],
            bias=weights["head.bias"],
        )
        return CHANGES.get(self.fault, lambda cell, _: cell)(cell, self)

    def _layer(self, number, weights):
        names = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
        arrays = [weights[f"layers.{name}_l{number}"] for name in names]
        return Layer(*arrays, update=UPDATES.get(self.fault, gru), parts=1)


def change_layers(cell, change):
    return replace(cell, layers=tuple(replace(layer, **change(layer)) for layer in cell.layers))


def swap(array):
    """Exchange the reset and the update gate."""
    return np.concatenate([array[WIDTH : 2 * WIDTH], array[:WIDTH], array[2 * WIDTH :]])


CHANGES = {
    "gates of another": lambda cell, _: change_layers(cell, lambda layer: {"gates": "lstm"}),
    "a misspelt name": lambda cell, _: change_layers(cell, lambda layer: {"gates": "GRU"}),
    "swapped gates": lambda cell, _: change_layers(cell, lambda layer: {"inputs": swap(layer.inputs)}),
    "no bias": lambda cell, _: change_layers(cell, lambda layer: {"recurrent_bias": 0 * layer.recurrent_bias}),
    "no output bias": lambda cell, _: replace(cell, bias=0 * cell.bias),
    "a residual": lambda cell, _: replace(cell, residual=True),
    "another type": lambda cell, _: replace(cell, bias=cell.bias.astype(np.float64)),
    "if deep": lambda cell, made: replace(cell, residual=made.deep),
    "nothing": lambda *_: None,
}


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("a wrong sign", "computes what the module does; it is off by .* in float32 .* from step 1 on"),
        ("swapped gates", "computes what the module does; it is off by .* from step 1 on"),
        ("no bias", "computes what the module does; it is off by"),
        ("no output bias", "computes what the module does; it is off by"),
        ("a residual", "computes what the module does; it is off by"),
        ("if deep", "computes what the module does; .* and deep=True, .* from step 1 on"),
        ("gates of another", "runs the module;.*layer 1 has the gates 'lstm', of 2 parts, and not 1"),
        ("a misspelt name", "runs the module; .*layer 1 has unknown gates 'GRU'"),
        ("another type", "runs the module; .*the head's bias holds float64, and should hold float32"),
        ("too narrow", "runs the module; .* the update of layer 1 .* makes float32 1 x 1; .* 1 arrays of numbers"),
        ("of no kind", "runs the module; .* the update of layer 1 .* makes NoneType"),
        ("nothing", "runs the module; .*a cell is a Cell of Layers"),
        ("company", "the update of a layer gives a row the same bits in any batch; not so layer 1 with 1 rows"),
        ("in place", "the update of a layer leaves its arguments as they are; not so that of layer 1"),
    ],
)
def test_a_cell_with_a_fault(fault, found):
    with pytest.raises(BrokenRule, match=found):
        check_architecture(Described(fault))


def test_a_cell_that_is_right():
    check_architecture(Described())


@dataclass(frozen=True)
class Wide(Described):
    """The same, as wide as it says."""

    width: int = 64
    fixed: bool = False

    def __post_init__(self):
        if self.fixed and self.width != 64:
            raise ValueError("fixed")


@pytest.mark.parametrize(("fixed", "shown"), [(False, "deep=True, width=32"), (True, "deep=True")])
def test_other_options_of_a_wide_architecture_are_checked_narrow_where_it_can_be(fixed, shown):
    with pytest.raises(BrokenRule, match=rf"and {shown}, in a batch"):
        check_architecture(Wide("if deep", fixed=fixed))


@dataclass(frozen=True)
class Rectified:
    """An Elman layer with a rectifier, of which the cell says that it is that of `gates`."""

    gates: str

    def build_module(self, column_sizes, vocabulary_size):
        from torch import nn

        class Module(nn.Module):
            def __init__(self):
                super().__init__()
                self.table = nn.Embedding(column_sizes[0], WIDTH)
                self.layer = nn.RNN(WIDTH, WIDTH, nonlinearity="relu", batch_first=True)
                self.head = nn.Linear(WIDTH, vocabulary_size)

            def forward(self, inputs, state=None):
                begun = None if state is None else state[0].transpose(0, 1).contiguous()
                hidden, last = self.layer(self.table(inputs[..., 0]), begun)
                return self.head(hidden), (last.transpose(0, 1),)

        return Module()

    def build_cell(self, column_sizes, weights):
        unseen = tuple(np.zeros((size, WIDTH), dtype=np.float32) for size in column_sizes[1:])
        arrays = [weights[f"layer.{name}_l0"] for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")]
        layer = Layer(*arrays, update=rectify, parts=1, gates=self.gates)
        return Cell((weights["table.weight"], *unseen), (layer,), weights["head.weight"], weights["head.bias"])


def rectify(from_input, from_state, state):
    return (np.maximum(from_input + from_state, 0),)


@needs_compiler
def test_gates_that_the_update_does_not_have_are_found_where_a_backend_believes_them():
    check_architecture(Rectified(""))
    with pytest.raises(BrokenRule, match="the backend 'native' computes what the module does; it is off by"):
        check_architecture(Rectified("rnn"))


@dataclass(frozen=True)
class Fragile(Described):
    """One whose logits are NaN after any step of learning as large as the kit's: it is compared as it begins."""

    def build_module(self, column_sizes, vocabulary_size):
        from torch import nn, tensor

        module = super().build_module(column_sizes, vocabulary_size)
        module.one, module.other = (nn.Parameter(tensor(0.05)) for _ in range(2))
        module.head.register_forward_hook(
            lambda head, given, logits: logits * ((0.0026 - module.one**2) / (0.0026 - module.other**2)).sqrt()
        )
        return module


def test_a_module_that_no_large_step_of_learning_suits_is_compared_all_the_same():
    check_architecture(Fragile())
    with pytest.raises(BrokenRule, match="computes what the module does"):
        check_architecture(Fragile("a residual"))


class Uneven:
    """Plain torch, but for a rounding that depends on the batch where the width is odd."""

    speed, tolerances = 0, {"float32": 1e-4}

    def supports(self, model, device):
        return True

    def make(self, model, device, precision="float32"):
        step = registry().make("backends", "torch").make(model, device, precision)
        odd = any(array.shape[-1] % 2 for name, array in model.weights.items() if name.startswith("tables"))

        def stepped(inputs, state):
            logits, state = step(inputs, state)
            return logits * np.float32(1 + 1e-6 * (odd and len(inputs) > 1)), state

        return stepped


@dataclass(frozen=True)
class Plain:
    """A network without a memory, of any width."""

    width: int = 12

    def build_module(self, column_sizes, vocabulary_size):
        from torch import nn

        class Module(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, width) for size in column_sizes)
                self.head = nn.Linear(width, vocabulary_size)

            def forward(self, inputs, state=None):
                seen = sum(table(inputs[..., column]) for column, table in enumerate(self.tables))
                return self.head(seen), (seen[:, -1],)

        return Module(self.width)


def test_a_backend_that_rounds_by_the_batch_at_an_odd_width_is_found(monkeypatch):
    check_architecture(Plain())
    fake = SimpleNamespace(list_names=lambda kind: ["uneven"], make=lambda kind, name: Uneven())
    monkeypatch.setattr("composer.testing.backends.registry", lambda: fake)
    said = "the same bits in any batch, whatever the width; not so by the backend 'uneven' in float32 .* and width=13"
    with pytest.raises(BrokenRule, match=said):
        check_architecture(Plain())
