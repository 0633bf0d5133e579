"""Blocks of steps on a device: the pieces of the plain loop, token for token, and the plain loop where it is needed."""

import runpy
from dataclasses import dataclass, replace
from itertools import chain as join
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_drawing import CHAINS, LOGITS, cases, links
from torch import nn
from torch.overrides import TorchFunctionMode

from composer.errors import BadModelFile, ComposerError
from composer.generation.continuation import add_primer
from composer.generation.generator import generate
from composer.generation.streaming import stream_tokens
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.sampling import drawing, loop, torch_backend, torch_loop
from composer.sampling.random_streams import BLOCK, Streams, compute_uniforms, draw_uniforms
from composer.testing import check_backend, make_random_model
from composer.types import SupportsBlocks

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]

SHAPED = {
    "nothing": [],
    "described": [
        ("temperature", {"temperature": 1.2}),
        ("top-k", {"k": 12}),
        ("top-p", {"p": 0.9}),
        ("min-p", {"p": 0.01}),
    ],
    "with history": [("repetition-penalty", {"penalty": 1.5}), ("temperature", {"temperature": 0.9})],
    "with memory": [("mirostat", {"tau": 2.0}), ("notes-per-beat", {"notes": 1.5})],
}


def make_samplers(chain):
    return [registry().make("samplers", name, **options) for name, options in chain]


@pytest.fixture
def counted(monkeypatch):
    """How often the step of torch was called by the plain loop."""
    calls, plain = [], torch_backend.TorchStep.__call__

    def call(self, inputs, state):
        calls.append(len(inputs))
        return plain(self, inputs, state)

    monkeypatch.setattr(torch_backend.TorchStep, "__call__", call)
    return calls


def sample(model, device, block, samplers, requests, most):
    """All pieces and errors of a loop, by their number."""
    step = registry().make("backends", "torch", block=block).make(model, device)
    source = loop.make_source(requests)
    return dict(loop.sample_each(step, model.make_tokenizer(), samplers, source, most))


def ask(count, **wishes):
    return [Request(seed=2**64 - 5, index=index, bars=1, **wishes) for index in range(count)]


def check_same(found, wanted):
    assert found.keys() == wanted.keys()
    for number, piece in wanted.items():
        assert found[number].tokens.tolist() == piece.tokens.tolist()
        for name in ("model_nats", "chain_nats", "constraint_nats"):
            assert getattr(found[number], name) == pytest.approx(getattr(piece, name), rel=1e-9, abs=1e-9)


# --- the same pieces --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chain", SHAPED.values(), ids=SHAPED)
def test_pieces_are_those_of_the_plain_loop_and_no_step_is_the_hosts(player, counted, device, chain):
    samplers, requests = make_samplers(chain), ask(5)
    wanted = sample(player.model, device, 1, samplers, requests, 3)
    counted.clear()
    check_same(sample(player.model, device, 16, samplers, requests, 3), wanted)
    assert not counted


class Uploads(TorchFunctionMode):
    """Counts what is copied to the device inside, which a recorded graph could not do."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        makes = function in torch_loop.MAKERS or function is torch.from_numpy
        fills = function is torch.where and not all(isinstance(part, torch.Tensor) for part in args)
        index = args[1] if function is torch.Tensor.__getitem__ else ()
        looks = any(isinstance(part, list | np.ndarray) for part in (index if isinstance(index, tuple) else (index,)))
        if makes or fills or looks:
            self.seen.append((function.__name__, args[1:]))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["voices", "remi", "frames"])
def test_nothing_is_copied_to_the_device_in_a_turn(monkeypatch, name):
    model, seen, turn = make_random_model("mingru", name, hidden_size=8, embedding_size=8, layers=1), [], []

    def watch(loop):
        with Uploads() as uploads, torch_loop._FillScalars():
            plain(loop)
        seen.extend(uploads.seen)
        turn.append(loop)

    plain = torch_loop._Loop._turn_in_place
    monkeypatch.setattr(torch_loop._Loop, "_turn_in_place", watch)
    chain = [*SHAPED["described"], *SHAPED["with history"], *SHAPED["with memory"]]
    assert len(list_steps(model, 4, make_samplers(chain), 4)) == 4
    assert len(turn) == 4
    assert not seen


def list_steps(model, block, samplers, count):
    """The tokens of the first steps of two pieces."""
    step = registry().make("backends", "torch", block=block).make(model, "cpu")
    steps = loop.run_steps(step, model.make_tokenizer(), samplers, loop.make_source(ask(2)), 2)
    return [drawn.token.tolist() for drawn in islice(steps, count)]


@pytest.mark.parametrize("name", ["remi", "frames"])
def test_grammars_of_other_tokenizers_stay_on_the_device(counted, name):
    model = make_random_model("mingru", name, hidden_size=8, embedding_size=8, layers=1)
    wanted = list_steps(model, 1, [], 60)
    counted.clear()
    assert list_steps(model, 20, [], 60) == wanted
    assert not counted


def test_primers_are_given(player, small_score, counted):
    primed = add_primer(player, Request(seed=8, bars=1), small_score("C5 D5"))
    requests = [*ask(2), primed, replace(primed, index=1)]
    wanted = sample(player.model, "cpu", 1, [], requests, 4)
    counted.clear()
    check_same(sample(player.model, "cpu", 4, [], requests, 4), wanted)
    assert tuple(wanted[2].tokens[: len(primed.primer)].tolist()) == primed.primer
    assert not counted


def test_files_are_the_same(player):
    request = Request(seed=5, bars=2, backend="torch", samplers=(SamplerSpec("top-p", {"p": 0.9}),))
    plain, blocks = (
        [generate(player, [replace(request, backend=backend, index=index) for index in range(3)])]
        for backend in ("torch", "torch:block=32")
    )
    assert [piece.score for piece in plain[0]] == [piece.score for piece in blocks[0]]


def test_a_stream_is_the_same(player):
    plain, blocks = (
        list(stream_tokens(player, Request(seed=4, bars=1, backend=backend))) for backend in ("torch", "torch:block=8")
    )
    assert plain == blocks


def test_a_piece_that_cannot_begin_is_told_and_the_others_are_made(player):
    requests = [ask(1)[0], Request(seed=1, bars=1, time_signature="13/8"), ask(2)[1]]
    found, wanted = (sample(player.model, "cpu", block, [], requests, 2) for block in (16, 1))
    assert str(found.pop(1)) == str(wanted.pop(1))
    check_same(found, wanted)


# --- what the device cannot do ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Looks:
    """A logits processor that only NumPy runs."""

    def __call__(self, logits, context):
        return np.asarray(logits) * 0.5


@dataclass(frozen=True)
class Asks:
    """A logits processor that looks at a number."""

    def __call__(self, logits, context):
        return logits * (0.5 if (context.step > 3).all() else 2.0)


@pytest.mark.parametrize("sampler", [Looks(), Asks(), registry().make("samplers", "scale", scale="Dm")], ids=str)
def test_samplers_that_the_host_must_see_run_in_the_plain_loop(player, counted, sampler):
    requests = ask(3)
    wanted = sample(player.model, "cpu", 1, [sampler], requests, 2)
    steps = len(counted)
    check_same(sample(player.model, "cpu", 16, [sampler], requests, 2), wanted)
    assert len(counted) == 2 * steps


@dataclass(frozen=True)
class Empties:
    """A logits processor that leaves nothing from the tenth step of odd pieces on."""

    def __call__(self, logits, context):
        late = (context.step >= 10) & (context.history[:, -1] % 2 == 1)
        from composer.arrays import get_namespace

        return get_namespace(logits).where(late[:, None], -np.inf, logits)

    history = 1


def test_a_sampler_that_leaves_nothing_is_reported_as_by_the_plain_loop(player):
    found, wanted = (sample(player.model, "cpu", block, [Empties()], ask(6), 3) for block in (16, 1))
    failed = {number for number, piece in wanted.items() if isinstance(piece, ComposerError)}
    assert failed
    assert {number: str(found.pop(number)) for number in failed} == {n: str(wanted.pop(n)) for n in failed}
    check_same(found, wanted)


def test_a_model_without_probabilities_is_refused(player):
    broken = replace(player.model, weights={name: array * np.nan for name, array in player.model.weights.items()})
    with pytest.raises(BadModelFile, match="NaN or infinite"):
        sample(broken, "cpu", 16, [], ask(2), 2)


class Begins(nn.Module):
    """A network that begins with another state than zeros."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, 9)

    def forward(self, inputs, state=None):
        seen = torch.ones(len(inputs), 9) if state is None else state[0]
        hidden = seen + self.table(inputs[:, -1, 0])
        return hidden[:, None], (hidden,)


def test_a_module_that_begins_otherwise_runs_step_by_step():
    columns = [SimpleNamespace(name="token", size=9)]
    assert torch_backend.make_torch_step(Begins(), columns, 64).block == 1


# --- parts of a turn --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", DEVICES)
def test_uniforms_are_numpys_to_the_bit(device):
    streams, rows = Streams(), [(2**64 - 1, 0, 0), (0, 7, 3), (12345678901234567890, 2**63 + 1, 8)]
    streams.add(rows)
    steps = np.array([0, 250, 5 * BLOCK + 3])
    keys = torch.from_numpy(streams.list_keys()).to(device)
    found = compute_uniforms(keys, torch.from_numpy(steps).to(device), 64).cpu().numpy()
    whole = [np.concatenate([draw_uniforms(*row, block) for block in range(8)]) for row in rows]
    assert found.tolist() == [one[step : step + 64].tolist() for one, step in zip(whole, steps, strict=True)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CHAINS)
def test_draws_of_tensors_are_those_of_numpy(device, name):
    chain = links(name)
    for logits, context, legal, uniforms, given in join.from_iterable(cases(1, kind) for kind in LOGITS):
        wanted = drawing.draw_tokens(chain, logits, context, legal, uniforms, given)
        arrays = (torch.from_numpy(part).to(device) for part in (logits, legal, uniforms, given))
        logits_there, legal_there, *rest = arrays
        there = replace_allowed(context, device)
        found = drawing.draw_unchecked(chain, logits_there, there, legal_there, *rest)
        assert found.tokens.tolist() == wanted.tokens.tolist()
        assert np.allclose(found.nats.cpu().numpy(), wanted.nats, rtol=1e-12, atol=1e-12)


def replace_allowed(context, device):
    return SimpleNamespace(allowed=torch.from_numpy(context.allowed).to(device))


@pytest.mark.parametrize("device", DEVICES)
def test_a_loop_carries_arrays_that_change_places(device):
    def turn(carried, given):
        one, other = carried
        return (other, one + other), (torch.where(given[0] > 2, -1, one),)

    begun = [torch.tensor([0, 1], device=device), torch.tensor([1, 1], device=device)]
    given = torch.arange(6, device=device)[:, None].expand(6, 2)
    repeat = torch_loop.make_loop(turn, begun, [given[0]])
    for _ in range(2):  # what is in place is begun anew
        (last, _), (made,) = repeat(begun, [given])
        assert made.tolist() == [[0, 1], [1, 1], [1, 2], [-1, -1], [-1, -1], [-1, -1]]
        assert last.tolist() == [8, 13]
    assert [part.tolist() for part in begun] == [[0, 1], [1, 1]]


LOOKS = {
    "truth": lambda x: bool(x.any()),
    "NumPy": np.asarray,
    "mask": lambda x: x[x > 0],
    "index": lambda x: [1, 2][x[0]],
    "number": lambda x: float(x[0]),
    "places": torch.nonzero,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_turn_that_looks_at_a_number_is_not_repeated(look):
    def turn(carried, given):
        look(carried[0])
        return carried, given

    ones = torch.ones(3, dtype=torch.int64)
    assert torch_loop.make_loop(turn, [ones], [ones]) is None


def test_the_contract_of_a_backend_covers_blocks(player):
    check_backend(registry().make("backends", "torch", block=3), player.model)


def test_the_benchmark_of_a_gpu_runs_in_a_small_form(monkeypatch, capsys):
    folder = Path(__file__).with_name("benchmarks")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("sys.argv", ["gpu.py", "--device", "cpu", "--small"])
    runpy.run_path(str(folder / "gpu.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "roofline: " in shown
    assert "left out" not in shown
    for way in ("whole loop in blocks", "raw steps in blocks, bf16", "as trained", "products alone"):
        assert f"| {way} |" in shown


def test_the_step_of_torch_takes_blocks_where_it_is_asked_to(player):
    made = {block: registry().make("backends", "torch", block=block).make(player.model, "cpu") for block in (0, 1, 8)}
    assert all(isinstance(step, SupportsBlocks) for step in made.values())
    assert {block: step.block for block, step in made.items()} == {0: 1, 1: 1, 8: 8}
