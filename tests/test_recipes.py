"""Recipes: every choice in one file, which is read as it was written and whose every mistake is one sentence."""

import os
import tomllib
from dataclasses import asdict

import pytest

from composer.errors import BadRecipe
from composer.model import load
from composer.plugins.registry import registry
from composer.training import recipe_file, recipes
from composer.training.loop import Settings

SMALL = """
[architecture]
name = "gru"
hidden_size = 8
layers = 1
embedding_size = 8

[training]
steps = 6
evaluations = 2
chunk = 64
"""


def written(here, text):
    (here / "r.toml").write_text(text, encoding="utf-8")
    return "r.toml"


def printed(run, *arguments):
    """What `--print-recipe` prints, as values."""
    ran = run("train", *arguments, "--print-recipe")
    assert (ran.status, ran.err) == (0, "")
    return tomllib.loads(ran.out)


# --- printing ---------------------------------------------------------------------------------------------------------


def test_the_defaults_are_printed_as_a_recipe(run):
    found = printed(run)
    assert found["training"] == asdict(Settings())
    lstm = asdict(registry().make("architectures", "lstm"))
    assert found["architecture"] == {"name": "lstm", **lstm}
    assert found["half"] is True


def test_a_printed_recipe_shows_what_was_chosen(run):
    found = printed(run, "folder:~/midi", "--architecture", "gru", "--steps", 100, "--drums-by-name", "--full")
    assert found["dataset"] == "folder:~/midi"
    usual = {"labels": [], "licence": "the user's own files; licence not stated"}
    assert found["dataset_options"] == {"drums_by_name": True, "pedal": "extend", **usual}
    assert (found["architecture"]["name"], found["training"]["steps"], found["half"]) == ("gru", 100, False)
    assert found["tokenizer"]["name"] == "remi"


def test_the_tokenizer_is_the_one_that_the_dataset_suggests(run):
    found = printed(run, "chorales")["tokenizer"]
    assert (found["name"], found["relative"]) == ("voices", True)


def test_each_option_is_explained(run):
    shown = run("train", "--print-recipe").out
    assert "# updates of the weights, of about batch_size x chunk tokens each" in shown
    assert "# width of each recurrent layer" in shown


@pytest.mark.parametrize("name", registry().list_names("architectures"))
@pytest.mark.parametrize("tokenizer", registry().list_names("tokenizers"))
def test_what_is_printed_is_read_back(run, tmp_path, name, tokenizer):
    ran = run("train", "folder:x", "--architecture", name, "--tokenizer", tokenizer, "--print-recipe")
    (tmp_path / "r.toml").write_text(ran.out, encoding="utf-8")
    assert run("train", tmp_path / "r.toml", "--print-recipe").out == ran.out


@pytest.mark.parametrize(
    "path", ['with "quotes" \\ and spaces', "Übung 音楽 🎵", "tab\tnewline\n\x7f\x01", "# [no] = comment", "'''"]
)
def test_any_text_is_written_and_read_back(path):
    plain = {"dataset": f"folder:{path}", "dataset_options": {"drums_by_name": True}}
    assert tomllib.loads(recipe_file.format_recipe(plain)) == plain


def test_a_text_that_toml_cannot_hold_is_refused():
    with pytest.raises(BadRecipe, match="cannot be written in a recipe"):
        recipe_file.format_recipe({"dataset": "folder:\udce9"})


# --- following --------------------------------------------------------------------------------------------------------


def test_a_recipe_is_followed(run, here):
    recipe = written(here, f'dataset = "folder:../tunes"\nout = "mine.safetensors"\nhalf = false\n{SMALL}')
    assert run("train", recipe).status == 0
    model = load(here / "mine.safetensors")
    assert (model.architecture.name, model.architecture.options["hidden_size"]) == ("gru", 8)
    assert {array.dtype.name for array in model.weights.values()} == {"float32"}
    assert model.card["training"]["steps"] >= 6


def test_the_command_line_goes_before_the_recipe(run, here):
    recipe = written(here, f'dataset = "chorales"\nout = "mine.safetensors"\n{SMALL}')
    options = ["--dataset", "folder:../tunes", "--out", "other.safetensors", "--steps", 2, "--hidden-size", 9, "--full"]
    assert run("train", recipe, *options).status == 0
    assert sorted(path.name for path in here.iterdir()) == ["other.safetensors", "r.toml"]
    model = load(here / "other.safetensors")
    assert model.card["recipe"]["training"]["steps"] == 2
    assert model.card["recipe"]["training"]["chunk"] == 64
    assert (model.architecture.options["hidden_size"], model.architecture.options["layers"]) == (9, 1)


def test_another_architecture_keeps_the_options_that_it_has_too(run, here):
    recipe = written(here, f'dataset = "folder:../tunes"\n{SMALL}')
    found = printed(run, recipe, "--architecture", "lstm")["architecture"]
    assert (found["name"], found["hidden_size"]) == ("lstm", 8)


def test_another_tokenizer_drops_the_options_that_it_has_not(run, here):
    table = '[tokenizer]\nname = "voices"\nrelative = true\nsteps_per_quarter = 4\n'
    found = printed(run, written(here, f'dataset = "chorales"\n{table}'), "--tokenizer", "remi")["tokenizer"]
    assert (found["name"], found["steps_per_quarter"]) == ("remi", 4)
    assert "relative" not in found


def test_a_model_can_be_made_again_from_its_card(run, here):
    assert run("train", written(here, f'dataset = "folder:../tunes"\nout = "a.safetensors"\n{SMALL}')).status == 0
    first = load(here / "a.safetensors")
    again = written(here, recipe_file.format_recipe(first.card["recipe"]))
    assert run("train", again, "--out", "b.safetensors").status == 0
    assert load(here / "b.safetensors").hash == first.hash


def test_the_card_keeps_the_line_that_was_typed(run, here, monkeypatch):
    typed = ["train", written(here, f'dataset = "folder:../tunes"\n{SMALL}'), "--out", "a.safetensors"]
    monkeypatch.setattr("sys.argv", ["composer", *typed])
    assert run(*typed).status == 0
    assert load(here / "a.safetensors").card["command"] == "composer train r.toml --out a.safetensors"


def test_a_recipe_can_be_made_of_things_and_back(tokenizer):
    plain = {
        "dataset": "folder:x",
        "tokenizer": {"name": "voices", **asdict(tokenizer)},
        "architecture": {"name": "lstm", "layers": 3},
        "training": {"seed": 5, "learning_rate": 1},
    }
    recipe = recipe_file.make_recipe(plain)
    assert (recipe.tokenizer, recipe.architecture.layers, recipe.settings.seed) == (tokenizer, 3, 5)
    assert recipe_file.make_recipe(recipes.convert_to_plain(recipe, "folder:x")) == recipe


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
        ("\x00", "is not TOML"),
        ("x = " + "[" * 100_000, "is not TOML"),
        ('datset = "chorales"', "a recipe has no 'datset': did you mean 'dataset'?"),
        ('"\\u001b[2J" = 1', "a recipe has no '\\x1b[2J'"),
        ("dataset = 7", "'dataset' is 7, which is not a text."),
        ("half = 1", "'half' is 1, which is not true or false."),
        ('training = "long"', "'training' is 'long', which is not a table."),
        ('dataset = "chorals"', "did you mean 'chorales'?"),
        ('dataset = "folder:x"\n[dataset_options]\ndrum_by_name = true', "did you mean 'drums_by_name'?"),
        ("[architecture]\nlayers = 2", "[architecture] needs the 'name' of an architecture."),
        ("[tokenizer]\nname = 1", "[tokenizer] needs the 'name' of a tokenizer."),
        ('[architecture]\nname = "lsmt"', "did you mean 'lstm'?"),
        ('[architecture]\nname = "lstm"\nhiden_size = 3', "did you mean 'hidden_size'?"),
        ('[architecture]\nname = "lstm"\nkind = 3', "architecture 'lstm' has no option 'kind'"),
        ('[architecture]\nname = "lstm"\nhidden_size = 2.5', "'hidden_size' is 2.5, which is not int."),
        ('[architecture]\nname = "lstm"\ndropout = true', "'dropout' is True, which is not float."),
        ('[architecture]\nname = "lstm"\nlayers = 0', "must be at least 1"),
        ('begin_from = "chorales"\n[architecture]\nname = "lstm"', "brings its own architecture; leave out [architec"),
        ("begin_from = 3", "'begin_from' is 3, which is not a text."),
        ("[training]\nstep = 3", "[training] has no 'step': did you mean 'steps'?"),
        ('[training]\nsteps = "many"', "[training]: 'steps' is 'many', which is not int."),
        ("[training]\nsteps = 0", "must be at least 1"),
        ("[training]\nseed = 1979-05-27", "'seed' is datetime.date(1979, 5, 27), which is not int."),
    ],
    ids=lambda text: text[:30],
)
def test_a_mistake_in_a_recipe_is_one_sentence_that_names_the_file(run, here, text, said):
    ran = run("train", written(here, text), "--out", "x.safetensors")
    assert (ran.status, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert line.startswith("composer: r.toml: ")
    assert said in line
    assert sorted(path.name for path in here.iterdir()) == ["r.toml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.toml"], "none.toml: no such file."),
        (["folder:../tunes", "--dataset", "chorales"], "two datasets are named; --dataset goes with a recipe."),
        ([], "Missing argument 'DATASET'"),
        (["r.toml"], "Missing option '--out'"),
        (["r.toml", "--out", "x.safetensors", "--relative"], "--relative is not an option of folder, remi, lstm"),
    ],
    ids=str,
)
def test_a_mistake_beside_a_recipe_is_one_sentence(run, here, arguments, said):
    written(here, 'dataset = "folder:../tunes"')
    ran = run("train", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err


def test_what_is_far_too_long_is_cut_in_the_sentence(run, here):
    text = f'[tokenizer]\nname = "voices"\ntime_signatures = ["{"9" * 5000}"]'
    (line,) = run("train", written(here, text)).err.splitlines()
    assert "'9999" in line
    assert len(line) < 500


def test_options_of_a_dataset_that_is_not_named_are_written():
    plain = {"dataset_options": {"count": 3}}
    assert tomllib.loads(recipe_file.format_recipe(plain)) == plain


def test_a_file_that_is_no_text_is_refused(run, here):
    (here / "r.toml").write_bytes(b"\xff\xfe\x00")
    assert "r.toml: is not TOML" in run("train", "r.toml").err


def test_a_file_of_any_length_is_refused_at_once(run, here):
    assert "r.toml: is larger than 1 MiB." in run("train", written(here, "# " + "x" * 2**21)).err


HOSTILE = {
    "a." * 40_000 + "a = 1": "is not TOML (a key has more than 8 parts).",
    "half = " + "[" * 100_000: "is not TOML (it is nested too deeply).",
    "half = [" + "{}," * 300_000 + "]": "is not TOML (it holds more than 250,000 values).",
    "[training]\nsteps = 0x" + "f" * 450: "'steps' is a number of 1,800 bits; 64 are the most.",
    "[training]\nsteps = 1979-05-27": "'steps' is datetime.date(1979, 5, 27), which is not int.",
    "[training]\nlearning_rate = nan": "learning_rate and clip must be positive",
    "begin_from = '~nobody-is-called-so/x.safetensors'": "~nobody-is-called-so/x.safetensors: no such file.",
    f"begin_from = '{'x' * 300}.safetensors'": "xxx…: ",
    "dataset = 'folder:~nobody-is-called-so'": "~nobody-is-called-so: there is no such folder",
    f"dataset = 'folder:{'x' * 300}'": "there is no such folder",
    f"[architecture]\nname = 'lstm'\nhidden_size = {2**60}": "cannot be made with these sizes",
    "[architecture]\nname = 'lstm'\nlayers = 1_000_000_000": "cannot be made with these sizes (it would take more than",
}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:30])
def test_a_recipe_from_anybody_is_one_sentence(run, here, text):
    usual = "" if "dataset" in text else "dataset = 'folder:../tunes'\n"
    ran = run("train", written(here, usual + text), "--out", "x.safetensors")
    assert ran.status == 2
    assert HOSTILE[text] in ran.err.splitlines()[-1]
    assert ran.err.splitlines()[-1].endswith((".", "?"))
    assert not (here / "x.safetensors").exists()


def test_a_pipe_is_no_recipe(run, here):
    os.mkfifo(here / "p.toml")
    assert run("train", "p.toml", "--out", "x.safetensors").err == "composer: p.toml: is a named pipe, not a file.\n"
