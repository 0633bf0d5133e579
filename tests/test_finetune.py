"""Finetuning: it begins with the model's own weights, a few files are enough, and the card says where it came from."""

import shutil
import tomllib
from dataclasses import replace

import pytest
from walks import walk

from composer.errors import BadModelFile, RunWarning
from composer.model import load
from composer.plugins.registry import registry
from composer.training.loop import FINETUNING, Settings, train
from composer.types import Piece

QUICK = ["--steps", 4, "--evaluations", 2, "--chunk", 64]


@pytest.fixture
def here(tmp_path, monkeypatch, model_file):
    """An empty folder to work in; beside it a model, and three pieces of much the same music."""
    shutil.copy(model_file, tmp_path / "walks.safetensors")
    pieces(tmp_path / "three", range(100, 103))
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def pieces(folder, numbers, **options):
    folder.mkdir()
    for number in numbers:
        registry().make("exporters", ".mid")([Piece(walk(number, **options))], folder / f"{number}.mid")


FINETUNE = ["finetune", "../walks.safetensors", "folder:../three", "--out", "mine.safetensors"]


def test_three_files_are_enough(run, here):
    with pytest.warns(RunWarning, match="1 piece is little to learn from: the model may copy"):
        ran = run(*FINETUNE, *QUICK)
    assert ran.status == 0
    assert "3 pieces kept (1 train, 1 valid, 1 test), 0 refused." in ran.err
    before, after = load(here.parent / "walks.safetensors"), load(here / "mine.safetensors")
    assert (after.tokenizer, after.architecture) == (before.tokenizer, before.architecture)
    assert after.hash != before.hash
    assert run("generate", "x.mid", "--model", "mine.safetensors", "--bars", 2).status == 0


def test_it_begins_with_the_weights_of_the_model(run, here):
    assert run(*FINETUNE, "--steps", 1, "--evaluations", 1, "--learning-rate", 1e-30).status == 0
    assert load(here / "mine.safetensors").hash == load(here.parent / "walks.safetensors").hash


def test_it_learns_what_is_new_in_the_music(run, here):
    pieces(here.parent / "higher", range(200, 212), shift=1)
    line = ["finetune", "../walks.safetensors", "folder:../higher", "--out", "mine.safetensors", "--transpose", 0]
    ran = run(*line, "--steps", 60, "--evaluations", 3, "--learning-rate", 0.01)
    card = load(here / "mine.safetensors").card
    before, after = card["finetuned_from"]["test"]["nats_per_note"], card["test"]["nats_per_note"]
    assert after < 0.8 * before
    assert f"Test split: {after:.3f} nats per note" in ran.out
    assert f", from {before:.3f} of ../walks.safetensors." in ran.out


def test_the_card_says_what_it_was_made_from(run, here):
    assert run(*FINETUNE, *QUICK).status == 0
    before, card = load(here.parent / "walks.safetensors"), load(here / "mine.safetensors").card
    origin = card["finetuned_from"]
    assert (origin["name"], origin["hash"]) == ("../walks.safetensors", before.hash)
    assert (origin["title"], origin["licence"]) == ("lstm on Random walks", "CC0-1.0")
    assert "CC0-1.0" in card["licence"]
    assert card["suggested"] == before.card["suggested"]
    assert card["recipe"]["begin_from"] == "../walks.safetensors"
    shown = run("models", "show", "mine.safetensors").out
    assert before.hash in shown


def test_its_steps_are_fewer_and_smaller(run, here):
    ran = run(*FINETUNE, "--print-recipe")
    found = tomllib.loads(ran.out)
    assert found["begin_from"] == "../walks.safetensors"
    assert not {"architecture", "tokenizer"} & set(found)
    assert found["training"]["steps"] == FINETUNING.steps < Settings().steps
    assert found["training"]["learning_rate"] == FINETUNING.learning_rate < Settings().learning_rate
    shown = run("finetune", "--help").out
    assert f"[default: {FINETUNING.steps}]" in shown
    assert "--hidden-size" not in shown


def test_a_recipe_may_begin_from_a_model(run, here):
    assert run(*FINETUNE, *QUICK).status == 0
    (here / "r.toml").write_text(run(*FINETUNE, *QUICK, "--print-recipe").out)
    assert run("train", "r.toml", "--out", "again.safetensors").status == 0
    assert load(here / "again.safetensors").hash == load(here / "mine.safetensors").hash


def test_it_goes_on_where_it_was_killed(run, here, monkeypatch):
    from composer.training import checkpoints

    def fail(*arguments):
        save(*arguments)
        raise RuntimeError("power cut")

    save = checkpoints.save
    with monkeypatch.context() as broken:
        broken.setattr(checkpoints, "save", fail)
        assert run(*FINETUNE, *QUICK, "--run", "run").status == 1
    model = here.parent / "walks.safetensors"
    shutil.move(model, here.parent / "gone")
    assert "no such file" in run("train", "--resume", "run").err
    shutil.copy(registry().offers["models"]["tunes"].make(), model)
    assert run("train", "--resume", "run").status == 2
    shutil.move(here.parent / "gone", model)
    assert run("train", "--resume", "run").status == 0
    assert run(*FINETUNE, *QUICK, "--out", "whole.safetensors").status == 0
    assert load(here / "mine.safetensors").hash == load(here / "whole.safetensors").hash


def test_a_run_that_began_from_another_model_is_refused(run, here):
    assert run(*FINETUNE, *QUICK, "--run", "run").status == 0
    shutil.copy(here / "mine.safetensors", here.parent / "walks.safetensors")
    assert "run: the model to begin from has changed since this run was begun" in run("train", "--resume", "run").err


def test_weights_of_another_shape_are_refused(corpus, tokenizer, lstm, player):
    wrong = {name: array[:3] for name, array in player.model.weights.items()}
    with pytest.raises(BadModelFile, match="the weights to begin with do not fit"):
        train(corpus, tokenizer, lstm, Settings(steps=1, evaluations=1, device="cpu"), beginning=wrong)


@pytest.mark.parametrize("options", [{"hidden_size": 2**40}, {"layers": 2**40}, {"embedding_size": 2**40}], ids=str)
def test_a_network_that_asks_for_more_than_its_weights_is_refused_before_it_is_built(
    corpus, tokenizer, lstm, player, options
):
    once = Settings(steps=1, evaluations=1, device="cpu")
    with pytest.raises(BadModelFile, match="the weights to begin with do not fit"):
        train(corpus, tokenizer, replace(lstm, **options), once, beginning=player.model.weights)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chorals", "folder:../three"], "unknown model 'chorals', and not a .safetensors file"),
        (["none.safetensors", "folder:../three"], "none.safetensors: no such file."),
        (["../walks.safetensors", "folder:../two"], "at least 3 are needed"),
        (["../walks.safetensors", "folder:../deep"], "no piece of folder:../deep can be used. Refused: "),
        (["../walks.safetensors", "folder:../three", "--hidden-size", 9], "No such option"),
        (["../walks.safetensors", "foldr:../three"], "did you mean 'folder'?"),
        (["../walks.safetensors"], "Missing argument 'DATASET'"),
    ],
    ids=str,
)
def test_a_mistake_is_one_sentence_and_writes_nothing(run, here, arguments, said):
    pieces(here.parent / "two", range(2))
    pieces(here.parent / "deep", range(4), shift=-36)
    ran = run("finetune", *arguments, "--out", "mine.safetensors")
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err
    assert list(here.iterdir()) == []


def test_a_place_to_write_to_is_asked_for(run, here):
    assert "Missing option '--out'" in run(*FINETUNE[:3]).err
