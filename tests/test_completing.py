"""The command line knows what plugins offer: names are completed, options grouped in help; one schema is for all."""

import json

import pytest
from click.shell_completion import ShellComplete

from composer.cli import cli
from composer.cli.options import DARING, RULES
from composer.errors import BadOption
from composer.plugins.registry import registry


def completed(*words):
    *typed, incomplete = words
    return [item.value for item in ShellComplete(cli, {}, "composer", "_X").get_completions(typed, incomplete)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("generate", "--model", "ch"), ["chorales"]),
        (("generate", "x.mid", "--backend", "n"), ["native", "numpy"]),
        (("train", "tu"), ["tunes"]),
        (("train", "chorales", "--architecture", "mini"), []),
        (("train", "chorales", "--architecture", "min"), ["mingru", "minlstm"]),
        (("train", "chorales", "--tokenizer", "v"), ["voices"]),
        (("batch", "run", "jobs.toml", "--executor", "po"), ["pool"]),
        (("evaluate", "chor"), ["chorales"]),
        (("evaluate", "chorales", "tun"), ["tunes"]),
        (("models", "show", "tu"), ["tunes"]),
        (("generate", "dir/x.mu"), ["dir/x.musicxml"]),
        (("generate", "--top-"), ["--top-k", "--top-p"]),
        (("generate", "x.mid", "--transform", "h"), ["humanize"]),
        (("generate", "x.mid", "--transform", "quantize:grid=4,s"), ["quantize:grid=4,strength="]),
        (("export", "x.mid", "y.mid", "--transform", "transpose:s"), ["transpose:semitones="]),
        (("vary", "x.mid", "y/", "--rule", "ends"), ["ends-on-tonic"]),
        (("plugins", "check", "nat"), ["native"]),
        (("plugins", "show", "top-"), ["top-k", "top-p"]),
        (("plugins", "new", "x", "--kind", "sa"), ["sampler"]),
        (("train", "chorales", "--optimiser", "ad"), ["adam", "adamw"]),
        (("train", "chorales", "--augment", "oct"), ["octave"]),
        (("--without", "nati"), ["native"]),
    ],
)
def test_names_are_completed(words, found):
    assert completed(*words) == found


def test_where_no_name_fits_files_are_completed():
    (item,) = ShellComplete(cli, {}, "composer", "_X").get_completions(["generate", "--model"], "mine")
    assert item.type == "file"


def test_help_shows_the_options_of_things_under_headings(run):
    text = run("generate", "--help").out
    own, rest = text.split(f"\n{RULES}:\n")
    rules, daring = rest.split(f"\n{DARING}:\n")
    assert "--bars" in own
    assert "--help" in own
    assert "--top-p" in daring
    assert "--rhythm" in rules
    headings = [line for line in run("train", "--help").out.splitlines() if line.endswith("s:") and line[0] != " "]
    things = ["Architectures:", "Tokenizers:", "Datasets:", "Objectives:", "Optimisers:", "Schedules:"]
    assert headings == ["Options:", *things]


@pytest.mark.parametrize("value", ["much", "1.5"])
def test_a_wrong_value_is_refused_alike_on_the_command_line_in_a_recipe_and_in_a_file_of_jobs(value, run, tmp_path):
    """One schema, the signature of what a plugin offers, says what an option is."""
    sentence = f"sampler 'top-k': 'k' is '{value}', which is not int."
    with pytest.raises(BadOption) as made:
        registry().make("samplers", "top-k", k=value)
    assert str(made.value) == sentence
    assert sentence in run("generate", tmp_path / "x.mid", "--model", "tunes", "--top-k", value).err
    (tmp_path / "jobs.jsonl").write_text(json.dumps({"model": "tunes", "top-k": value, "bars": 1}))
    assert "which is not int" in run("batch", tmp_path / "jobs.jsonl", "--out", tmp_path / "out", "--plan").err
    recipe = f'dataset = "tunes"\n[architecture]\nname = "lstm"\nlayers = "{value}"\n'
    (tmp_path / "recipe.toml").write_text(recipe)
    told = run("train", tmp_path / "recipe.toml", "--out", tmp_path / "x.safetensors").err
    assert f"architecture 'lstm': 'layers' is '{value}', which is not int." in told
