"""What a training is made of: its parts by name, in recipes and on the command line, and what they do to a run."""

import json
import tomllib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from composer.errors import BadModelFile, BadRecipe, RunWarning, TrainingFailed
from composer.model import load
from composer.plugins.registry import registry
from composer.request import Spec
from composer.training import loop, recipe_file
from composer.training.asking import train as train_in_python
from composer.training.loop import Settings
from composer.training.methods import Method
from composer_tunes.dataset import Tunes

SMALL = ["--architecture", "gru", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8]
STEPS = ["--steps", 6, "--evaluations", 2, "--chunk", 64, "--device", "cpu"]
SETTINGS = Settings(steps=24, evaluations=3, batch_size=4, chunk=32, learning_rate=0.02, device="cpu")


@pytest.fixture(scope="module")
def gru():
    """A small architecture with dropout, so that random numbers matter."""
    return registry().make("architectures", "gru", hidden_size=12, layers=1, embedding_size=12, dropout=0.2)


def printed(run, *arguments):
    """What `--print-recipe` prints, as values."""
    ran = run(*(("train",) if arguments[:1] != ("finetune",) else ()), *arguments, "--print-recipe")
    assert (ran.status, ran.err) == (0, "")
    return tomllib.loads(ran.out)


# --- on the command line and in recipes -------------------------------------------------------------------------------


def test_parts_and_their_options_are_named_as_an_architecture_is(run):
    found = printed(run, "chorales", "--optimiser", "sgd", "--momentum", 0.5, "--schedule", "wsd", "--decay", 0.3)
    assert found["optimiser"] == {"name": "sgd", "momentum": 0.5, "nesterov": False, "weight_decay": 0.0}
    assert (found["schedule"]["name"], found["schedule"]["decay"]) == ("wsd", 0.3)
    assert found["objective"] == {"name": "cross-entropy"}


def test_a_part_may_be_typed_with_its_options(run):
    typed = ["--objective", "label-smoothing:0.2", "--optimiser", "sgd:momentum=0.5,nesterov=yes"]
    found = printed(run, "chorales", *typed)
    assert found["objective"] == {"name": "label-smoothing", "amount": 0.2}
    assert (found["optimiser"]["momentum"], found["optimiser"]["nesterov"]) == (0.5, True)


def test_what_once_was_an_option_of_the_loop_still_is_one(run):
    found = printed(run, "chorales", "--weight-decay", 0.2, "--warmup", 0.1, "--transpose", 3)
    assert (found["optimiser"]["weight_decay"], found["schedule"]["warmup"]) == (0.2, 0.1)
    assert found["augmentations"] == {"transpose": {"reach": 3}}
    assert printed(run, "chorales", "--transpose", 0)["augmentations"] == {"transpose": False}


def test_augmentations_may_be_several(run):
    found = printed(run, "chorales", "--augment", "octave", "--augment", "drop-voice:count=2", "--augment-share", 0.2)
    assert list(found["augmentations"]) == ["transpose", "octave", "drop-voice"]
    assert found["augmentations"]["drop-voice"]["count"] == 2
    assert found["training"]["augment_share"] == 0.2


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["--momentum", 0.5], "--momentum is not an option of"),
        (["--optimiser", "adma"], "no plugin offers the optimiser 'adma': did you mean 'adam'?"),
        (["--optimiser", "sgd:momentun=1"], "optimiser 'sgd' has no option 'momentun': did you mean 'momentum'?"),
        (["--optimiser", "sgd", "--momentum", 1.5], "momentum must be at least 0 and less than 1"),
        (["--schedule", "wsd", "--warmup", 0.9], "warmup and decay must be 1 together at most"),
        (["--objective", "label-smoothing:1"], "amount must be at least 0 and less than 1"),
        (["--augment", "octve"], "no plugin offers the transform 'octve': did you mean 'octave'?"),
        (["--optimiser", "sgd:momentum=0.5", "--momentum", 0.8], "'sgd:momentum=0.5' states 'momentum' already"),
        (["--augment", "octave:1", "--augment", "octave:2"], "the augmentation 'octave' is given twice; give it once."),
        (["--augment", "transpose:3", "--transpose", 2], "'transpose' is given twice"),
        (["--augment-share", 2], "augment_share must be from 0 to 1"),
    ],
)
def test_a_part_that_is_mistyped_is_one_sentence(run, typed, sentence):
    ran = run("train", "chorales", *typed, "--print-recipe")
    assert ran.status == 2
    assert sentence in ran.err


@pytest.mark.parametrize("transpose", [0, 4])
def test_an_old_recipe_is_read_as_before(run, tmp_path, transpose):
    old = f"[training]\nsteps = 7\nweight_decay = 0.05\nwarmup = 0.2\ntranspose = {transpose}\n"
    (tmp_path / "old.toml").write_text(f'dataset = "chorales"\n{old}')
    found = printed(run, tmp_path / "old.toml")
    assert (found["optimiser"]["weight_decay"], found["schedule"]["warmup"]) == (0.05, 0.2)
    assert found["augmentations"] == {"transpose": {"reach": transpose} if transpose else False}
    assert found["training"]["steps"] == 7
    assert not {"weight_decay", "warmup", "transpose"} & set(found["training"])


def test_an_option_in_its_old_place_and_its_new_one_is_refused(tmp_path):
    (tmp_path / "both.toml").write_text("[training]\nwarmup = 0.2\n[schedule]\nwarmup = 0.1\n")
    with pytest.raises(BadRecipe, match=r"'warmup' is in \[training\] and in \[schedule\]; leave out the former"):
        recipe_file.read_recipe(tmp_path / "both.toml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[augmentations]\noctave = 3\n", r"\[augmentations\] has a 'octave' that is no table"),
        ("[augmentations.octave]\nvoise = 3\n", "transform 'octave' has no option 'voise': did you mean 'voice'"),
        ("[optimiser]\nname = 3\n", r"the 'name' in \[optimiser\] is 3, which is not a text"),
        ("[optimiser]\nname = 'lion'\nmomentum = 0.5\n", "optimiser 'lion' has no option 'momentum'"),
    ],
)
def test_a_recipe_with_a_mistaken_part_is_refused(tmp_path, text, sentence):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(BadRecipe, match=sentence):
        recipe_file.read_recipe(tmp_path / "r.toml")


@pytest.mark.parametrize("typed", [["--transpose", 0], ["--optimiser", "lion", "--augment", "octave:2"]], ids=str)
def test_parts_are_printed_and_read_back(run, tmp_path, typed):
    ran = run("train", "chorales", *typed, "--print-recipe")
    (tmp_path / "r.toml").write_text(ran.out, encoding="utf-8")
    assert run("train", tmp_path / "r.toml", "--print-recipe").out == ran.out


def test_another_optimiser_keeps_the_options_that_it_has_too(run, tmp_path):
    (tmp_path / "r.toml").write_text('dataset = "chorales"\n[optimiser]\nweight_decay = 0.3\nbeta1 = 0.8\n')
    found = printed(run, tmp_path / "r.toml", "--optimiser", "sgd")["optimiser"]
    assert (found["name"], found["weight_decay"]) == ("sgd", 0.3)
    assert "beta1" not in found


def test_a_dataset_suggests_that_its_pieces_are_not_transposed():
    assert Tunes.training_options["transpose"] == 0
    plain = {"dataset": "tunes", "architecture": {"name": "gru"}}
    assert recipe_file.make_recipe(plain).method.augmentations == ()
    chosen = {**plain, "augmentations": {"transpose": {"reach": 2}}}
    (found,) = recipe_file.make_recipe(chosen).method.augmentations
    assert found.options["reach"] == 2


def test_finetuning_has_parts_too_and_a_longer_warm_up(run, model_file):
    found = printed(run, "finetune", model_file, "chorales", "--optimiser", "lion", "--transpose", 1)
    assert (found["optimiser"]["name"], found["schedule"]["warmup"]) == ("lion", 0.1)
    assert found["augmentations"]["transpose"]["reach"] == 1


def test_the_help_of_finetuning_shows_its_own_warm_up(run):
    rows = [" ".join(run(name, "--help").out.split()) for name in ("train", "finetune")]
    assert "[cosine] share of all steps in which the rate rises, 0.1 unless given" in rows[1]
    assert "[cosine] share of all steps in which the rate rises, 0.1 unless given" not in rows[0]


def test_parts_are_named_in_python_as_on_the_command_line(here):
    options = {"steps": 2, "evaluations": 1, "hidden_size": 8, "layers": 1, "device": "cpu"}
    parts = {"optimiser": "sgd:nesterov=yes", "schedule": "linear", "augment": "octave", "transpose": 0}
    made = train_in_python("folder:../tunes", out="a.safetensors", **options, **parts, momentum=0.5)
    recipe = made.model.card["recipe"]
    assert (recipe["optimiser"]["momentum"], recipe["optimiser"]["nesterov"]) == (0.5, True)
    assert (recipe["schedule"]["name"], recipe["augmentations"]["transpose"]) == ("linear", False)
    assert "octave" in recipe["augmentations"]


def test_settings_that_nothing_uses_are_told(run, here):
    typed = ["folder:../tunes", "--tokenizer", "voices", *SMALL, "--steps", 2, "--evaluations", 1, "--force"]
    unused = ["--augment-share", 0.2, "--forget-labels", 0.3]
    with pytest.warns(RunWarning) as caught:
        assert run("train", *typed, *unused, "--out", "a.safetensors").status == 0
    assert [str(one.message) for one in caught if "changes nothing" in str(one.message)] == [
        "'augment_share' changes nothing: all pieces are transposed, and no other augmentation is named.",
        "'forget_labels' changes nothing: the model has no conditions.",
    ]


def test_the_card_and_the_metrics_say_what_was_minimised(run, here):
    typed = ["--objective", "label-smoothing:0.3", "--optimiser", "sgd", "--augment", "octave"]
    ran = run("train", "folder:../tunes", "--tokenizer", "voices", *SMALL, *STEPS, *typed, "--out", "a.safetensors",
              "--run", "run")  # fmt: skip
    assert ran.status == 0
    assert " smoothed nats/note · valid " in ran.err
    recipe = load(here / "a.safetensors").card["recipe"]
    assert recipe["objective"] == {"name": "label-smoothing", "amount": 0.3}
    assert list(recipe["augmentations"]) == ["transpose", "octave"]
    lines = [json.loads(line) for line in (here / "run/metrics.jsonl").read_text().splitlines()]
    assert {line["train_unit"] for line in lines} == {"smoothed nats per note"}
    assert tomllib.loads((here / "run/recipe.toml").read_text())["optimiser"]["name"] == "sgd"
    assert run("train", "--resume", "run").status == 0


# --- what they do -----------------------------------------------------------------------------------------------------


def train(corpus, tokenizer, architecture, method, settings=SETTINGS, **options):
    return loop.train(corpus, tokenizer, architecture, settings, method, **options)


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_validation_counts_plain_nats_whatever_is_minimised(corpus, tokenizer, gru):
    still = replace(SETTINGS, learning_rate=1e-30, evaluations=1)
    plain, smooth = (
        train(corpus, tokenizer, gru, Method(objective=Spec(name), optimiser=Spec("adam")), still).history[0]
        for name in ("cross-entropy", "label-smoothing")
    )
    assert plain.valid == smooth.valid
    assert plain.train != smooth.train


def fail_at(validation):
    """A listener that raises at that validation, counted from 1."""
    seen = []

    def listen(moment):
        if moment.event == "validation":
            seen.append(moment)
            if len(seen) == validation:
                raise RuntimeError("power cut")

    return listen


@pytest.mark.parametrize("name", registry().list_names("optimisers"))
def test_a_run_with_any_optimiser_goes_on_to_the_bit(corpus, tokenizer, gru, tmp_path, name):
    method = Method(optimiser=Spec(name), augmentations=(Spec("transpose", {"reach": 2}), Spec("octave")))
    whole = train(corpus, tokenizer, gru, method)
    with pytest.raises(RuntimeError, match="power cut"):
        train(corpus, tokenizer, gru, method, listeners=[fail_at(2)], folder=tmp_path)
    assert equal(train(corpus, tokenizer, gru, method, folder=tmp_path).weights, whole.weights)


def test_a_checkpoint_of_another_method_is_refused(corpus, tokenizer, gru, tmp_path):
    with pytest.raises(RuntimeError, match="power cut"):
        train(corpus, tokenizer, gru, Method(), listeners=[fail_at(2)], folder=tmp_path)
    for other in (Method(optimiser=Spec("sgd")), Method(augmentations=()), Method(schedule=Spec("linear"))):
        with pytest.raises(BadModelFile, match="was begun with other method; delete it to start anew"):
            train(corpus, tokenizer, gru, other, folder=tmp_path)


@dataclass(frozen=True)
class Poisoned:
    """An architecture of which one gradient, in the middle of a run, is no number."""

    inner: Any

    def build_module(self, column_sizes, vocabulary_size):
        module = self.inner.build_module(column_sizes, vocabulary_size)
        updates = iter(range(10_000))
        next(module.parameters()).register_hook(lambda found: found * (float("nan") if next(updates) == 12 else 1))
        return module


@pytest.mark.parametrize("name", ["sgd", "muon", "lion"])
def test_a_gradient_that_is_no_number_reaches_no_weight_with_any_optimiser(corpus, tokenizer, gru, monkeypatch, name):
    import torch

    runs, begin = [], loop._start
    monkeypatch.setattr(loop, "_start", lambda *those: runs.append(begin(*those)) or runs[0])
    found = train(corpus, tokenizer, Poisoned(gru), Method(optimiser=Spec(name)), replace(SETTINGS, evaluations=6))
    assert "became NaN" in found.failure
    (run,) = runs
    assert all(torch.isfinite(tensor).all() for tensor in run.module.state_dict().values())
    state = [value for part in run.optimiser.state_dict()["state"].values() for value in part.values()]
    assert all(torch.isfinite(tensor).all() for tensor in state if tensor is not None)


def test_an_augmentation_that_fails_ends_the_run_in_a_sentence(corpus, tokenizer, gru, monkeypatch):
    octave = registry().get_offer("transforms", "octave").load_thing()
    monkeypatch.setattr(octave, "__call__", lambda *_: 1 / 0)
    with pytest.raises(TrainingFailed, match=r"the augmentation Octave failed \(ZeroDivisionError: division by zero\)"):
        train(corpus, tokenizer, gru, Method(augmentations=(Spec("octave"),)), replace(SETTINGS, augment_share=1.0))


@pytest.mark.parametrize("name", registry().list_names("schedules"))
def test_a_rate_rises_to_the_highest_and_never_again_after_it_fell(name):
    schedule = registry().make("schedules", name, warmup=0.1)
    rates = [schedule.compute_rate(step, 1000, 0.5) for step in range(1001)]
    assert rates[49] == pytest.approx(0.25)
    assert max(rates) == rates[100] == 0.5
    assert rates[100:] == sorted(rates[100:], reverse=True)
    last = {"constant": 0.5, "cosine": 0.005, "linear": 0.0, "wsd": 0.0}
    assert rates[1000] == pytest.approx(last[name])
    if name == "wsd":
        assert (rates[800], rates[900]) == (0.5, pytest.approx(0.25))


def test_smoothed_labels_are_a_mixture_of_the_label_and_of_all_tokens():
    import torch

    logits, targets = torch.tensor([[2.0, 0.0, -1.0, 0.5]]), torch.tensor([1])
    nats = -torch.log_softmax(logits, -1)[0]
    found = registry().make("objectives", "label-smoothing", amount=0.2)(logits, targets)
    assert found.item() == pytest.approx(float(0.8 * nats[1] + 0.2 * nats.mean()), rel=1e-6)
