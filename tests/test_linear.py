"""Linear recurrences and xLSTM: worked by hand, and one function whole, in chunks, step by step, and in C."""

import pytest
import torch
from torch.nn import functional

from composer.building import build_module
from composer.errors import BadOption
from composer.plugins.registry import registry
from composer.testing.backends import make_columns
from composer.tokens.jit import c_compiler
from composer_linear import convolution, gating, scan
from composer_linear.compiled import run_delta, run_linear
from composer_linear.memory import run_chunks, step_memory
from composer_linear.pieces import ShortConvolution
from composer_linear.rglru import RgLruMixer
from composer_linear.scan import run_scan
from composer_traced.graph import trace_step
from composer_xlstm import slstm
from composer_xlstm.mlstm import find_most

NAMES = ["rg-lru", "gated-deltanet", "mamba2", "xlstm"]
SIZES = (11, 5, 3)
PLACES = 70  # more than two chunks
CLOSE = 1e-5
NUMBERS = {"fp32": torch.float32, "fp64": torch.float64}
in_c = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")
SMALL = {"hidden_size": 8, "embedding_size": 6, "heads": 2, "state_size": 4}


def network(name, **options):
    known = {option.name for option in registry().get_offer("architectures", name).options}
    torch.manual_seed(0)
    given = {key: value for key, value in {**SMALL, "dropout": 0.0, **options}.items() if key in known}
    module = build_module(registry().make("architectures", name, **given), make_columns(SIZES, 11), 11)
    with torch.no_grad():
        for parameter in module.parameters():  # of those, some begin as zeros
            parameter += 0.05 * torch.randn_like(parameter)
    return module


def music(rows=3, places=PLACES):
    torch.manual_seed(1)
    return torch.stack([torch.randint(0, size, (rows, places)) for size in SIZES], dim=-1)


def run(module, inputs, sizes):
    parts, state = [], None
    for part in inputs.split(sizes, dim=1):
        logits, state = module(part, state)
        parts.append(logits)
    return torch.cat(parts, dim=1)


def memories(places=PLACES, heads=2, width=5):
    """Queries, keys, values, decays, memory and shares for 2 rows, in fp64."""
    torch.manual_seed(0)
    queries, keys, values = (torch.randn(2, heads, places, size, dtype=torch.float64) for size in (6, 6, width))
    decay, share = torch.rand(2, 2, heads, places, dtype=torch.float64)
    memory = torch.randn(2, heads, 6, width, dtype=torch.float64)
    return functional.normalize(queries, dim=-1), functional.normalize(keys, dim=-1), values, decay.log(), memory, share


def normal(*shapes):
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64) for shape in shapes]


def are_close(one, other):
    """Whether two tensors are equal to rounding, of sums of some numbers of their type."""
    return one.dtype == other.dtype and torch.allclose(one, other, atol=1e-8 if one.dtype == torch.float64 else CLOSE)


def compare(found, expected, given):
    """Compare results, and the gradients of the `given`."""
    found, expected = ((of,) if torch.is_tensor(of) else of for of in (found, expected))
    for one, other in zip(found, expected, strict=True):
        assert are_close(one, other)
    sounding = [of for of in expected if of.requires_grad]
    heard = [of.to(like.dtype) for of, like in zip(normal(*(of.shape for of in sounding)), sounding, strict=True)]
    gradients = (
        torch.autograd.grad([of for of in results if of.requires_grad], given, heard) for results in (found, expected)
    )
    for one, other in zip(*gradients, strict=True):
        assert are_close(one, other)


def compare_with_torch(monkeypatch, module, loader, task, given):
    """Compare a task in C with itself where there is no library."""
    given = [of.detach().requires_grad_() for of in given]
    found = task(*given)
    monkeypatch.setattr(module, loader, lambda *_: None)
    compare(found, task(*given), given)


# --- recurrences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [False, True])
def test_chunks_read_what_steps_read_and_keep_what_they_keep(delta):
    queries, keys, values, log_decay, memory, share = memories()
    share = share if delta else None
    found, after = run_chunks(queries, keys, values, log_decay, memory, share)
    read = []
    for at in (slice(place, place + 1) for place in range(PLACES)):
        given = (of[:, :, at] for of in (queries, keys, values, log_decay))
        one, memory = step_memory(*given, memory, None if share is None else share[:, :, at])
        read.append(one)
    assert torch.allclose(found, torch.cat(read, dim=2))
    assert torch.allclose(after, memory)


def test_the_delta_rule_replaces_what_a_key_holds():
    key = functional.normalize(torch.randn(1, 1, 1, 6), dim=-1)
    other = torch.eye(6)[None, None, :1] - (key[..., :1] * key)  # at a right angle to the key
    none, all_ = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
    memory, values = torch.zeros(1, 1, 6, 5), torch.randn(3, 1, 1, 1, 5)
    for at, value in ((key, values[0]), (functional.normalize(other, dim=-1), values[1]), (key, values[2])):
        _, memory = step_memory(at, at, value, none, memory, all_)
    assert torch.allclose(key @ memory, values[2], atol=CLOSE)  # and nothing of the first
    assert torch.allclose(functional.normalize(other, dim=-1) @ memory, values[1], atol=CLOSE)


@in_c
def test_the_scan_in_c_is_that_of_torch_and_so_are_its_gradients(monkeypatch):
    given = [torch.rand(3, 9, 5, dtype=torch.float64), *normal((3, 9, 5), (3, 5))]
    compare_with_torch(monkeypatch, scan, "load", run_scan, given)


@in_c
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("heads", [1, 2], ids=["keys of all heads", "keys of each head"])
@pytest.mark.parametrize("delta", [False, True])
def test_a_memory_in_c_is_that_of_chunks_and_so_are_its_gradients(delta, heads, number):
    queries, keys, *others = memories(width=37)  # values of more than a block
    given = [of.to(NUMBERS[number]).requires_grad_() for of in (queries[:, :heads], keys[:, :heads], *others)]
    given = given if delta else given[:-1]
    found = run_delta(*given) if delta else run_linear(*given)
    compare(found, run_chunks(*given, *(() if delta else (None,))), given)


@in_c
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("activation", gating.ACTIVATIONS)
def test_gates_in_c_are_those_of_torch_and_so_are_their_gradients(activation, number, monkeypatch):
    given = [3 * of.to(NUMBERS[number]) for of in normal((3, 9, 5), (3, 9, 5))]
    compare_with_torch(monkeypatch, gating, "load", lambda *of: gating.gate(*of, activation), given)


@in_c
@pytest.mark.parametrize("activated", [False, True], ids=["plain", "silu"])
def test_the_short_convolution_in_c_is_that_of_torch_and_so_are_its_gradients(activated, monkeypatch):
    given = normal((3, 9, 5), (3, 3, 5), (4, 5), (5,))
    compare_with_torch(
        monkeypatch, convolution, "load", lambda *of: convolution.convolve(*of, activated=activated), given
    )


@in_c
def test_the_steps_of_an_slstm_in_c_are_those_of_torch_and_so_are_their_gradients(monkeypatch):
    sums, recurrent, *state = normal((3, 9, 2, 20), (2, 5, 20), (3, 2, 5), (3, 2, 5), (3, 2, 5))
    state, most = [*state[:2], state[2].abs()], normal((3, 2, 5))[0]

    def take(sums, recurrent, *state):
        hidden, after = slstm.run_steps(3 * sums, recurrent, (*state, most))
        return hidden, *after[:3], after[3].detach()

    compare_with_torch(monkeypatch, slstm, "load_library", take, [sums, recurrent, *state])


def test_a_short_convolution_sees_four_steps():
    convolution, x = ShortConvolution(1), torch.zeros(1, 7, 1)
    x[0, 2] = 1.0
    made, _ = convolution(x, convolution.begin(x))
    assert made[0, :, 0].nonzero().flatten().tolist() == [2, 3, 4, 5]


def test_decays_of_rg_lru_begin_between_those_of_the_article():
    decay = (-8 * functional.softplus(RgLruMixer(500, 1.0).decay.detach())).exp()  # where the recurrence gate is open
    assert 0.9 <= float(decay.min()) < 0.91
    assert 0.99 < float(decay.max()) <= 0.999


def test_the_largest_exponent_is_that_of_a_loop():
    torch.manual_seed(0)
    log_forget, log_input, before = -torch.rand(2, 3, 9), 5 * torch.randn(2, 3, 9), torch.randn(2, 3)
    found = find_most(log_forget, log_input, before)
    for place in range(9):
        before = torch.maximum(log_forget[..., place] + before, log_input[..., place])
        assert torch.allclose(found[..., place], before, atol=CLOSE)


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_is_the_same_whole_in_chunks_and_step_by_step(name):
    module, inputs = network(name).double(), music()
    whole = run(module, inputs, PLACES)
    for sizes in ([1] * PLACES, [40, 1, 29]):
        assert torch.allclose(run(module, inputs, sizes), whole)


@pytest.mark.parametrize("name", NAMES)
def test_in_bf16_states_are_in_fp32_and_gradients_are_finite(name):
    module, inputs = network(name), music()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, state = module(inputs)
        functional.cross_entropy(logits[:, :-1].flatten(0, 1), inputs[:, 1:, 0].flatten()).backward()
    assert {part.dtype for part in state} == {torch.float32}
    assert torch.allclose(logits.float(), module(inputs)[0], atol=0.2)
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_the_backend_traced_knows_all_operations_of_a_step(name):
    module, inputs = network(name).eval(), music(1, 1)
    assert trace_step(module, len(SIZES), None).lines
    assert trace_step(module, len(SIZES), [part.detach() for part in module(inputs)[1]]).lines


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("gated-deltanet", {"hidden_size": 30}, "heads must divide 30"),
        ("mamba2", {"hidden_size": 3, "heads": 4}, "heads must divide 6"),
        ("xlstm", {"hidden_size": 9, "heads": 3}, "hidden_size must be even"),
        ("rg-lru", {"expansion": -1.0}, "expansion must be at least 0"),
        ("mamba2", {"state_size": 0}, "state_size must be at least 1"),
        ("xlstm", {"scalar_every": -1}, "scalar_every must be at least 0"),
    ],
    ids=str,
)
def test_options_that_make_no_network_are_refused(name, options, said):
    with pytest.raises(BadOption, match=said):
        registry().make("architectures", name, **options)
