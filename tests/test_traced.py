"""The backend `traced`: whatever a network computes in a step, C computes too, the same for a row in any batch."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from composer.errors import BadModelFile, BadOption
from composer.testing.backends import check_backend, make_random_model
from composer.tokens.jit.c_compiler import find_compiler
from composer_traced import TracedBackend, program_cache, steps
from composer_traced.graph import trace_step
from composer_traced.program import write_program

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler here")

SIZES, WIDTH, VOCABULARY = (11, 5), 12, 11


class Network(nn.Module):
    """Embeddings, a step that a test chooses, and an output; `begin` makes the state before the first token."""

    def __init__(self, step: Callable[..., Any], begin: Callable[..., Any], parts: dict[str, Any]) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, WIDTH) for size in SIZES)
        self.parts = nn.ModuleDict(parts)
        self.head = nn.Linear(WIDTH, VOCABULARY)
        self.step, self.begin = step, begin

    def forward(self, inputs: Any, state: Any = None) -> Any:
        seen = sum(table(inputs[..., column]) for column, table in enumerate(self.tables))
        state = self.begin(seen) if state is None else state
        logits = []
        for position in range(seen.shape[1]):
            hidden, state = self.step(self.parts, seen[:, position], state)
            logits.append(self.head(hidden))
        return torch.stack(logits, dim=1), state


@dataclass(frozen=True, eq=False)
class Trial:
    """As much of a model as a backend looks at."""

    module: Any
    vocabulary: tuple[str, ...] = field(default=tuple(f"Token_{n}" for n in range(VOCABULARY)))

    def make_module(self):
        return self.module

    def make_architecture(self):
        return object()

    def make_tokenizer(self):
        columns = tuple(SimpleNamespace(name=f"feature {n}", size=size) for n, size in enumerate(SIZES))
        return SimpleNamespace(grammar=SimpleNamespace(columns=columns))


def zeros(*shape):
    return lambda seen: (seen.new_zeros(len(seen), *shape),)


def step_leaky(parts, seen, state):
    (memory,) = state
    keep = torch.sigmoid(parts["gate"](torch.cat([seen, memory], dim=-1)))
    memory = torch.lerp(memory, torch.tanh(parts["new"](seen)), keep)
    return memory, (memory,)


def step_normalised(parts, seen, state):
    (memory,) = state
    memory = parts["norm"](memory + functional.gelu(parts["new"](seen)))
    return memory * functional.silu(seen), (memory,)


def step_delta(parts, seen, state):
    """A matrix that is overwritten by the delta rule."""
    (matrix,) = state
    key, value, query = parts["new"](seen).chunk(3, dim=-1)
    key = functional.normalize(key, dim=-1)
    told = torch.einsum("bij,bj->bi", matrix, key)
    matrix = matrix + torch.einsum("bi,bj->bij", value - told, key)
    return torch.einsum("bij,bj->bi", matrix, query.softmax(dim=-1)), (matrix,)


def step_attention(parts, seen, state):
    """Attention over the last states, which are kept in order."""
    (past,) = state
    past = torch.cat([past[:, 1:], parts["new"](seen)[:, None]], dim=1)
    weights = torch.softmax((past @ seen[:, :, None])[..., 0] / WIDTH**0.5, dim=-1)
    return (weights[:, :, None] * past).sum(dim=1), (past,)


def step_heads(parts, seen, state):
    (memory,) = state
    heads = parts["new"](seen).view(-1, 3, 4).transpose(1, 2)
    memory = 0.5 * memory + heads.clamp(-1, 1).mean(dim=2, keepdim=True)
    return memory.expand(-1, 4, 3).reshape(len(seen), WIDTH), (memory,)


def step_odd(parts, seen, state):
    """Operations that are rarer, and one that writes into an array."""
    first, second = state
    out = torch.zeros_like(seen)
    out[:, ::2] = functional.softplus(seen[:, ::2]) - first[:, ::2].abs().sqrt()
    out[:, 1::2] = torch.where(seen[:, 1::2] > 0, seen[:, 1::2].exp().log1p(), second[:, :1].square())
    out = out.masked_fill(out > 3, 3.0) + functional.pad(parts["new"](seen), (1, 2))
    return out, (torch.maximum(out, first), out - out.amax(dim=1, keepdim=True))


class LongShort(nn.Module):
    """An LSTM of torch, with its state turned batch-first."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(SIZES[0], WIDTH), nn.Linear(WIDTH, VOCABULARY)
        self.layers = nn.LSTM(WIDTH, WIDTH, 2, batch_first=True)

    def forward(self, inputs: Any, state: Any = None) -> Any:
        turned = None if state is None else tuple(part.transpose(0, 1).contiguous() for part in state)
        hidden, after = self.layers(self.table(inputs[..., 0]), turned)
        return self.head(hidden), tuple(part.transpose(0, 1) for part in after)


NETWORKS = {
    "leaky": (step_leaky, zeros(WIDTH), {"gate": (2 * WIDTH, WIDTH), "new": (WIDTH, WIDTH)}),
    "normalised": (step_normalised, zeros(WIDTH), {"new": (WIDTH, WIDTH), "norm": WIDTH}),
    "delta": (step_delta, zeros(WIDTH, WIDTH), {"new": (WIDTH, 3 * WIDTH)}),
    "attention": (step_attention, zeros(4, WIDTH), {"new": (WIDTH, WIDTH)}),
    "heads": (step_heads, zeros(4, 1), {"new": (WIDTH, WIDTH)}),
    "odd": (
        step_odd,
        lambda seen: (torch.zeros_like(seen[:, 0]), torch.ones_like(seen[:, 0])),
        {"new": (WIDTH, WIDTH - 3)},
    ),
}


def make_network(name):
    torch.manual_seed(0)
    if name == "lstm":
        return LongShort().eval()
    step, begin, parts = NETWORKS[name]
    made = {part: nn.LayerNorm(size) if part == "norm" else nn.Linear(*size) for part, size in parts.items()}
    return Network(step, begin, made).eval()


@pytest.mark.parametrize("name", [*NETWORKS, "lstm"])
def test_a_traced_step_computes_what_the_network_does_and_rows_stand_alone(name):
    network = make_network(name)
    model = Trial(network)
    assert steps.explain(model) == ""
    step, inputs = steps.make_traced_step(model), np.random.default_rng(1).integers(0, SIZES, (6, 35, len(SIZES)))
    state = before = None
    alone: dict[int, Any] = {0: None, 34: None}
    for columns in inputs:
        found, state = step(columns, state)
        with torch.no_grad():
            wanted, before = network(torch.from_numpy(columns)[:, None], before)
        assert np.allclose(found, wanted[:, 0].numpy(), atol=1e-5)
        for row in alone:
            one, alone[row] = step(columns[row : row + 1], alone[row])
            assert one.tobytes() == found[row : row + 1].tobytes()


@pytest.mark.machine
def test_it_keeps_the_contract_of_a_backend():
    model = make_random_model("gru", "remi", hidden_size=40, layers=2)
    check_backend(TracedOfAnything(), model)


class TracedOfAnything(TracedBackend):
    """The same for a network that has a cell."""

    def supports(self, model, device):
        return True


def step_branching(parts, seen, state):
    return (seen if seen.sum() > 0 else -seen), state


def step_double(parts, seen, state):
    return seen.double().cumsum(dim=1).float(), state


@pytest.mark.parametrize("step", [step_branching, step_double])
def test_what_cannot_be_traced_is_left_to_torch(step):
    model = Trial(Network(step, zeros(1), {}).eval())
    assert steps.explain(model)
    with pytest.raises(BadOption, match="the backend 'traced' cannot run this model: "):
        steps.make_traced_step(model)


def test_a_network_whose_rows_depend_on_their_batch_is_found_out():
    def step(parts, seen, state):
        return seen - seen.mean(dim=0), state

    assert "is off by" in steps.explain(Trial(Network(step, zeros(1), {}).eval()))


def test_features_and_states_are_checked():
    step = steps.make_traced_step(Trial(make_network("leaky")))
    _, state = step(np.zeros((2, 2), dtype=np.int64), None)
    with pytest.raises(BadModelFile):
        step(np.array([[11, 0]]), None)
    with pytest.raises(ValueError, match="shapes"):
        step(np.zeros((3, 2), dtype=np.int64), state)


def test_a_network_with_a_cell_is_left_to_faster_backends():
    assert not TracedBackend().supports(make_random_model("gru", "remi", hidden_size=16, layers=1), "cpu")


# --- steps that are kept ----------------------------------------------------------------------------------------------

ARCHITECTURE = """
from dataclasses import dataclass

from composer import hookimpl
from strange_helper import scale


@dataclass(frozen=True)
class Strange:
    width: int = 8

    def build_module(self, column_sizes, vocabulary_size):
        import torch
        from torch import nn

        class Network(nn.Module):
            def __init__(self, width):
                super().__init__()
                self.tables = nn.ModuleList(nn.Embedding(size, width) for size in column_sizes)
                self.head = nn.Linear(width, vocabulary_size)

            def forward(self, inputs, state=None):
                seen = sum(table(inputs[..., column]) for column, table in enumerate(self.tables))
                memory = seen.new_zeros(len(seen), seen.shape[-1]) if state is None else state[0]
                found = []
                for place in range(seen.shape[1]):
                    memory = torch.tanh(memory * scale + seen[:, place])
                    found.append(self.head(memory))
                return torch.stack(found, dim=1), (memory,)

        return Network(self.width)


@hookimpl
def register_architectures():
    return {"strange": Strange}
"""

SAVE = """
import sys
from pathlib import Path
from composer.model import save
from composer.testing.backends import make_random_model
save(make_random_model("strange", "voices"), Path(sys.argv[1]))
"""

STEP = """
import sys
from pathlib import Path
import numpy as np
from composer.model import load
from composer_traced import TracedBackend
model = load(Path(sys.argv[1]))
assert TracedBackend().supports(model, "cpu"), TracedBackend().explain(model, "cpu")
step, columns = TracedBackend().make(model, "cpu"), model.make_tokenizer().grammar.columns
inputs = np.ones((3, len(columns)), dtype=np.int64)
_, state = step(inputs, None)
print("torch" in sys.modules, step(inputs, state)[0].astype(np.float64).sum())
"""


@pytest.mark.soak
def test_a_step_is_traced_once_and_again_when_anything_it_needs_has_changed(tmp_path):
    (info := tmp_path / "strange-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[composer]\nstrange = strange\n")
    (tmp_path / "strange.py").write_text(ARCHITECTURE)
    (tmp_path / "strange_helper.py").write_text("scale = 0.5\n")
    folder = tmp_path / "strange.safetensors"
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])

    def run(code):
        command, given = [sys.executable, "-B", "-c", code, str(folder)], {**os.environ, "PYTHONPATH": paths}
        return subprocess.run(command, env=given, check=True, capture_output=True, text=True).stdout.split()

    run(SAVE)
    traced, first = run(STEP)
    again, second = run(STEP)
    assert (traced, again) == ("True", "False")
    assert first == second
    (tmp_path / "strange_helper.py").write_text("scale = 0.25\n")
    changed, third = run(STEP)
    assert changed == "True"
    assert third != first


def test_what_is_kept_is_what_was_traced():
    network = make_network("normalised")
    example = torch.zeros(1, 1, len(SIZES), dtype=torch.int64)
    _, state = network(example, None)
    graph = trace_step(network, len(SIZES), [part.detach() for part in state])
    described = json.loads(json.dumps(program_cache._describe_graph(graph)))
    read = program_cache._read_graph("it", described, {f"it {name}": array for name, array in graph.constants.items()})
    assert write_program({"it": read}) == write_program({"it": graph})
    assert read.constants.keys() == graph.constants.keys()
    assert read.matrices == graph.matrices


def trace_again(model, monkeypatch):
    """The sum of the logits of a first step, made as in a later process; and whether the network was traced for it."""
    traced = []
    monkeypatch.setattr(steps, "trace_step", lambda *given: traced.append(1) or trace_step(*given))
    steps._make_runs.cache_clear()
    step, columns = steps.make_traced_step(model), model.make_tokenizer().grammar.columns
    return step(np.ones((3, len(columns)), dtype=np.int64), None)[0].sum(), bool(traced)


def test_what_is_kept_is_used_until_a_module_or_the_weights_change(monkeypatch):
    model = make_random_model("gru", "voices", hidden_size=8, layers=1, embedding_size=8)
    first, traced = trace_again(model, monkeypatch)
    assert traced
    assert trace_again(model, monkeypatch) == (first, False)
    weights = {name: array * np.float32(0.5) for name, array in model.weights.items()}
    other, traced = trace_again(replace(model, weights=weights), monkeypatch)
    assert traced
    assert other != first
    plain = program_cache._describe_file
    monkeypatch.setattr(program_cache, "_describe_file", lambda path: None if "recurrent" in path else plain(path))
    assert trace_again(model, monkeypatch) == (first, True)


def test_a_damaged_file_is_made_again(monkeypatch):
    model = make_random_model("gru", "voices", hidden_size=8, layers=1, embedding_size=8)
    first, _ = trace_again(model, monkeypatch)
    path = program_cache._locate(model)
    path.write_bytes(path.read_bytes()[:1000])
    assert trace_again(model, monkeypatch) == (first, True)
    assert trace_again(model, monkeypatch) == (first, False)
