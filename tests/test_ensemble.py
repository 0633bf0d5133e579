"""Several models as one: the architecture `ensemble`, and `composer combine`."""

import numpy as np
import pytest
import torch

from composer.errors import RunWarning
from composer.model import load
from composer_ensemble.options import Ensemble

SMALL = ("--tokenizer", "voices", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--device", "cpu")
TRAIN = ("train", "folder:../tunes", *SMALL, "--steps", 4, "--evaluations", 1)


@pytest.fixture
def both(run, here):
    """A folder with a small GRU and a small LSTM, and the two combined."""
    for name in ("gru", "lstm"):
        assert run(*TRAIN, "--architecture", name, "--out", f"{name}.safetensors").status == 0
    said = run("combine", "gru.safetensors", "lstm.safetensors", "--out", "both.safetensors")
    assert said.status == 0, said.err
    assert "Test split:" in said.out
    return here


def test_the_chances_are_the_product_of_those_of_the_members(both):
    one, other, joined = (load(both / f"{name}.safetensors") for name in ("gru", "lstm", "both"))
    sizes = [column.size for column in joined.make_tokenizer().grammar.columns]
    inputs = torch.stack([torch.randint(0, size, (2, 9)) for size in sizes], dim=-1)
    with torch.no_grad():
        found, expected = (
            joined.make_module()(inputs)[0].softmax(-1),
            one.make_module()(inputs)[0].softmax(-1) * other.make_module()(inputs)[0].softmax(-1),
        )
    expected = expected.sqrt()
    torch.testing.assert_close(found, expected / expected.sum(-1, keepdim=True))


def test_what_is_combined_writes_music_and_says_what_it_is_made_of(both, run):
    assert run("generate", "piece.mid", "--model", "both.safetensors", "--bars", 2, "--seed", 1).status == 0
    card = load(both / "both.safetensors").card
    members = [load(both / f"{name}.safetensors") for name in ("gru", "lstm")]
    assert [member["hash"] for member in card["members"]] == [member.hash for member in members]
    assert card["parameters"] == sum(member.card["parameters"] for member in members)
    assert card["licence"] == members[0].card["licence"]
    assert card["test"]["pieces"] == members[0].card["test"]["pieces"]
    assert np.isfinite(card["test"]["nats_per_note"])


def test_models_whose_music_is_gone_are_combined_without_figures(both, run):
    (both.parent / "tunes").rename(both.parent / "elsewhere")
    with pytest.warns(RunWarning, match="the music of the models is not here"):
        assert run("combine", "gru.safetensors", "lstm.safetensors", "--out", "new.safetensors").status == 0
    assert "test" not in load(both / "new.safetensors").card


def test_what_cannot_be_combined_is_refused_in_a_sentence(both, run):
    def ask(*names, out="new.safetensors"):
        return run("combine", *names, "--out", out).err

    assert "needs two models at least" in ask("gru.safetensors")
    assert "is an ensemble already; name its members" in ask("gru.safetensors", "both.safetensors")
    assert "chorales: has another tokenizer than gru.safetensors" in ask("gru.safetensors", "chorales")
    assert "ends in .safetensors" in ask("gru.safetensors", "lstm.safetensors", out="new.mid")
    assert "exists" in ask("gru.safetensors", "lstm.safetensors", out="both.safetensors")
    assert not (both / "new.safetensors").exists()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (("gru",), "needs two members at least"),
        (("gru", "ensemble"), "cannot be a member of another"),
        (("gru", "grew"), "no plugin offers the architecture 'grew'"),
        (("gru", "lstm:layers=x"), "layers"),
    ],
)
def test_members_that_are_none_are_refused(members, said):
    with pytest.raises(ValueError, match=said):
        Ensemble(members)
