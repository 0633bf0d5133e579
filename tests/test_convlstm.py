"""Recurrence in time, convolution over pitch: music that is moved moves the state, whatever the tokenizer."""

import numpy as np
import pytest
import torch

from composer.building import build_module, build_new_network
from composer.data.encoding import compute_inputs
from composer.errors import BadOption
from composer.music.transposing import transpose_score
from composer.plugins.registry import registry
from composer.testing import make_random_model
from composer.testing.sequences import SAMPLES
from composer.tokens.jit import c_compiler
from composer.tokens.vocabulary import describe_tokens, transpose_tokens
from composer_convlstm.axis import make_axis
from composer_convlstm.convolution import PitchProduct, convolve, convolve_few
from composer_recurrent import compiled
from composer_traced.steps import explain

SMALL = {"hidden_size": 6, "embedding_size": 8, "kernel": 5, "recurrent_kernel": 3, "dropout": 0.0}
MUSIC = SAMPLES["3/4 in D minor"]
EDGE = 24
"""Places from either end that what lies beyond it hardly reaches in this music."""

needs_compiler = pytest.mark.skipif(c_compiler.find_compiler() is None, reason="there is no C compiler here")


def network(tokenizer, **options):
    torch.manual_seed(0)
    architecture = registry().make("architectures", "convlstm", **{**SMALL, **options})
    known = (tokenizer.grammar.columns, len(tokenizer.vocabulary), tokenizer.token_info)
    return build_module(architecture, *known).eval()


def read(tokenizer, score):
    """The features (1, T, F) of a piece; those of `frames` that count semitones above C are left out."""
    inputs = torch.from_numpy(compute_inputs(tokenizer, [tokenizer.encode(score)])[0].astype(np.int64))[None]
    named = [column.name.startswith("degree") for column in tokenizer.grammar.columns]
    return inputs.masked_fill(torch.tensor(named), 0)


# --- the axis ---------------------------------------------------------------------------------------------------------


def test_the_axis_has_whole_octaves_from_the_lowest_pitch_up():
    axis = make_axis(describe_tokens(["BOS_None", "EOS_None", "Pitch_50", "Pitch_62", "Rest_None"], 1))
    assert (axis.size, axis.lowest, axis.place.tolist()) == (24, 50, [-1, -1, 0, 12, -1])


def test_tokens_that_differ_by_pitch_or_tonic_alone_are_alike():
    words = ["BOS_None", "Key_C", "Key_D", "Key_Dm", "Pitch_60", "Pitch_61", "Pitch_60", "Pitch_61"]
    axis = make_axis(describe_tokens(words, 1))
    assert axis.alike.tolist() == [0, 1, 1, 3, 4, 4, 6, 6]  # the second of a pitch differs in what is not told
    assert axis.tonic.tolist() == [-1, 0, 2, 2, -1, -1, -1, -1]


# --- transposition ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "semitones"),
    [
        ("voices", {}, 3),
        ("voices", {"relative": True}, 12),  # other intervals move the key alone
        ("frames", {}, -2),
        ("remi", {}, 5),
    ],
    ids=str,
)
def test_music_and_key_that_are_moved_move_state_and_logits(name, options, semitones):
    tokenizer = registry().make("tokenizers", name, **options)
    module = network(tokenizer).double()
    with torch.no_grad():
        (logits, state), (moved, moved_state) = (
            module(read(tokenizer, score)) for score in (MUSIC, transpose_score(MUSIC, semitones))
        )
    inner = slice(EDGE, -EDGE)
    for part, other in zip(state, moved_state, strict=True):
        assert torch.allclose(part.roll(semitones, 2)[:, :, inner], other[:, :, inner], atol=1e-9)
        assert not torch.allclose(part[:, :, inner], other[:, :, inner], atol=0.1)
    pitch = tokenizer.token_info.pitch
    inner_pitches = np.flatnonzero(np.abs(pitch - (pitch[pitch >= 0].min() + pitch.max()) / 2) <= 10)
    target = transpose_tokens(tokenizer.vocabulary, semitones)[inner_pitches]
    far = [float((logits[..., inner_pitches] - moved[..., to]).abs().max()) for to in (target, inner_pitches)]
    assert far[0] < 0.1  # the mean over the axis hears the edges
    assert far[1] > 5 * far[0]


def test_a_key_alone_moves_the_degrees():
    tokenizer = registry().make("tokenizers", "voices")
    module, inputs = network(tokenizer), read(tokenizer, MUSIC)
    other = inputs.clone()
    other[inputs == tokenizer.vocabulary.index("Key_Dm")] = tokenizer.vocabulary.index("Key_Am")
    with torch.no_grad():
        assert not torch.allclose(module(inputs)[1][0], module(other)[1][0], atol=0.01)


def test_a_register_tells_octaves_apart():
    tokenizer = registry().make("tokenizers", "voices")
    inputs, inner, found = read(tokenizer, MUSIC)[:, :1], slice(24, 36), []
    for register in (False, True):
        with torch.no_grad():
            hidden = network(tokenizer, register=register)(inputs)[1][0]
        found.append(torch.allclose(hidden[:, :, inner], hidden.roll(12, 2)[:, :, inner], atol=1e-4))
    assert found == [True, False]


def test_each_key_has_a_chance_of_its_own():
    tokenizer = registry().make("tokenizers", "voices")
    module, inputs = network(tokenizer), read(tokenizer, MUSIC)
    with torch.no_grad():
        logits = module(inputs)[0][0, -1]
    assert len(logits[tokenizer.token_info.key >= 0].unique()) == 24


# --- convolutions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 3, 7])
def test_all_convolutions_are_that_of_torch(size):
    torch.manual_seed(0)
    x, kernel = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(4, size, 3, dtype=torch.float64)
    expected = torch.nn.functional.conv1d(x.transpose(1, 2), kernel.transpose(1, 2), padding=size // 2).transpose(1, 2)
    assert torch.allclose(convolve(x, kernel), expected)
    assert torch.allclose(convolve_few(x, kernel), expected)
    assert torch.allclose(PitchProduct(5).multiply(x.flatten(0, 1), kernel), expected.flatten(0, 1))


@needs_compiler
@pytest.mark.parametrize("size", [1, 3])
def test_compiled_layers_have_the_gradients_of_steps_in_torch(size, monkeypatch):
    tokenizer = registry().make("tokenizers", "voices")
    module, inputs = network(tokenizer, recurrent_kernel=size).double(), read(tokenizer, MUSIC)

    def differentiate():
        module.zero_grad()
        logits, state = module(inputs)
        (logits.square().sum() + state[0].sum() + state[1].square().sum()).backward()
        return [parameter.grad.clone() for parameter in module.parameters()]

    found = differentiate()
    monkeypatch.setattr(compiled, "is_available", lambda number, device: False)
    assert all(torch.allclose(one, other) for one, other in zip(found, differentiate(), strict=True))


# --- networks ---------------------------------------------------------------------------------------------------------


def test_a_long_piece_is_the_same_step_by_step_and_with_gradients():
    tokenizer = registry().make("tokenizers", "voices")
    module = network(tokenizer, recurrent_kernel=1).double()
    inputs = read(tokenizer, MUSIC).repeat(1, 3, 1)  # more than are computed at once
    whole, _ = module(inputs)
    read_by, state = [], None
    with torch.no_grad():
        for part in inputs.split(1, dim=1):
            logits, state = module(part, state)
            read_by.append(logits)
        assert torch.allclose(torch.cat(read_by, dim=1), whole)
        assert torch.allclose(module(inputs)[0], whole)


def test_in_bf16_states_are_in_fp32_and_gradients_are_finite():
    tokenizer = registry().make("tokenizers", "voices")
    module, inputs = network(tokenizer), read(tokenizer, MUSIC)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, state = module(inputs)
        logits.float().logsumexp(-1).sum().backward()
    assert {part.dtype for part in state} == {torch.float32}
    assert torch.allclose(logits.float(), module(inputs)[0], atol=0.1)
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())


@needs_compiler
def test_a_step_runs_in_c():
    assert explain(make_random_model("convlstm", "voices", **SMALL)) == ""


def test_tokens_without_pitches_are_refused():
    tokenizer = registry().make("tokenizers", "drums")
    known = (tokenizer.grammar.columns, len(tokenizer.vocabulary), tokenizer.token_info)
    with pytest.raises(BadOption, match=r"^convlstm lays music on an axis of pitches, and .* have none\.$"):
        build_new_network(registry().make("architectures", "convlstm"), *known)


@pytest.mark.parametrize("options", [{"kernel": 4}, {"recurrent_kernel": 27}, {"hidden_size": 0}], ids=str)
def test_options_that_make_no_network_are_refused(options):
    with pytest.raises(BadOption, match="must be"):
        registry().make("architectures", "convlstm", **options)
