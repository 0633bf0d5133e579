"""Conditions: datasets label their pieces, models are told the labels, and users ask for them."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from music import line, score

import composer
from composer.cli import cli
from composer.data.batches import IGNORED, Stream
from composer.data.corpus import build
from composer.data.labels import LEAST_PIECES, MOST_VALUES, fit_conditions
from composer.errors import BadModelFile, BadOption, RunWarning
from composer.io.formats import write
from composer.model import load, save
from composer.music.merging import splice
from composer.music.score import Score
from composer.music.score_json import score_from_json, score_to_json
from composer.music.sections import cut_section, join_sections
from composer.plugins.registry import registry
from composer.request import Request
from composer.testing import BrokenRule, check_conditioned, check_dataset
from composer.testing.sequences import SAMPLES
from composer.tokens.conditions import NONE, Conditioned, add_conditions
from composer.tokens.jit import compile_grammar
from composer.tokens.jit.grammars import CompiledTokenizer
from composer.training.evaluation import compute_token_nats
from composer.training.loop import Settings, make_training_stream
from composer.types import Piece, SupportsFrames, SupportsStates, SupportsTranspose
from composer_remi.tokenizer import Remi
from composer_voices.tokenizer import Voices

TUNE = Voices(names=("Tune",), steps_per_quarter=1, lowest=48, highest=84, time_signatures=("4/4",))
STYLES = {"deep": 48, "high": 72}
"""Styles of music, and the lowest pitch of each: none has a pitch of the other."""
SMALL = {"steps_per_quarter": 1, "lowest": 48, "highest": 84, "names": "Tune", "time_signatures": "4/4"}
SMALL |= {"hidden_size": 32, "embedding_size": 12, "layers": 1, "dropout": 0.0, "tokenizer": "voices"}
TINY = [f"--{name.replace('_', '-')}={value}" for name, value in SMALL.items()] + ["--steps=4", "--evaluations=2"]


def tune(style, number, **fields):
    """A tune of two bars in a style."""
    pitches = STYLES[style] + np.random.default_rng((number, STYLES[style])).integers(0, 12, 8)
    return score(line(*((int(pitch), 1) for pitch in pitches)), **fields)


@dataclass(frozen=True)
class Styles:
    """Tunes of two styles, labelled with these; every fifth has no label."""

    count: int = 40
    odd: tuple[tuple[str, str], ...] = ()  # other labels, of all tunes
    title = licence = source = citation = "made by a test"
    tokenizer, tokenizer_options, training_options, suggested = "voices", {}, {}, {}

    def list_sources(self):
        return [f"{style} {number}" for style in STYLES for number in range(self.count)]

    def fingerprint(self, source):
        return source

    def read(self, source):
        style, number = source.split()
        yield source, tune(style, int(number), labels=self.odd or ((("style", style),) if int(number) % 5 else ()))


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    """The tunes in tokens with their style, and the tokenizer."""
    cache = tmp_path_factory.mktemp("styles")
    tokenizer = fit_conditions(TUNE, ["style"], lambda: build(Styles(), TUNE, cache=cache))
    return build(Styles(), tokenizer, cache=cache), tokenizer


def write_folders(folder, styles=STYLES, count=30):
    for style in styles:
        (folder / style).mkdir(parents=True)
        for number in range(count):
            write([Piece(tune("deep" if style == "deep" else "high", number))], folder / style / f"{number}.mid")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small model that was told the style of its pieces, by the names of their folders."""
    folder = tmp_path_factory.mktemp("trained")
    write_folders(folder / "music")
    options = {"steps": 150, "evaluations": 2, "transpose": 0, "learning_rate": 0.02, "batch_size": 8}
    options |= {"architecture": "gru", "labels": "style", "conditions": ["style"]}
    out = folder / "styles.safetensors"
    composer.train(f"folder:{folder}/music", out=out, workers=1, **SMALL, **options)
    return out


@pytest.fixture
def here(tmp_path, monkeypatch, trained):
    shutil.copy(trained, tmp_path / "styles.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find_styles(piece):
    """The styles that have the pitches of a piece."""
    pitches = np.concatenate([track.notes["pitch"] for track in piece.tracks])
    return {style for style, lowest in STYLES.items() if ((pitches >= lowest) & (pitches < lowest + 12)).any()}


# --- labels of scores -------------------------------------------------------------------------------------------------


def test_labels_are_sorted_and_clean_and_none_is_empty():
    found = Score(labels=(("style", " funk\n"), ("mood", "wild"), ("era", ""))).labels
    assert found == (("mood", "wild"), ("style", "funk"))
    assert Score(labels={"style": "funk"}).labels == (("style", "funk"),)


def test_what_copies_a_score_keeps_its_labels():
    labelled = tune("deep", 1, labels=(("style", "deep"),))
    assert score_from_json(json.loads(json.dumps(score_to_json(labelled)))) == labelled
    assert cut_section(labelled, 0, 960).labels == join_sections([labelled] * 2, 3840).labels == labelled.labels
    other = replace(labelled, labels=(("style", "high"),))
    assert splice(labelled, labelled, replace(labelled, labels=()), ()).labels == labelled.labels
    assert splice(labelled, labelled, other, ()).labels == other.labels


def test_a_score_without_labels_is_written_as_ever():
    assert "labels" not in score_to_json(tune("deep", 1))


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", [TUNE, Remi(steps_per_quarter=2), registry().make("tokenizers", "frames")])
def test_any_tokenizer_keeps_its_contract_with_conditions(tokenizer):
    scores = [tune("deep", 1)] if tokenizer is TUNE else [SAMPLES["one note"], SAMPLES["a tune with a rest"]]
    check_conditioned(tokenizer, scores, rows=30)
    told = add_conditions(tokenizer, (("style", ("funk",)),))
    assert isinstance(told.grammar, SupportsStates) == isinstance(tokenizer.grammar, SupportsStates)
    assert isinstance(told, SupportsFrames) == isinstance(tokenizer, SupportsFrames)
    assert isinstance(told, SupportsTranspose) == isinstance(tokenizer, SupportsTranspose)


def test_a_grammar_is_compiled_with_its_conditions():
    assert isinstance(compile_grammar(add_conditions(TUNE, (("style", ("funk",)),))), CompiledTokenizer)


def test_labels_are_tokens_before_a_piece_in_the_order_of_the_conditions():
    told = add_conditions(TUNE, (("style", ("deep", "high")), ("mood", ("wild",))))
    tokens = told.encode(tune("deep", 1, labels=(("mood", "odd"), ("style", "high"))))
    assert [told.vocabulary[token] for token in tokens[:2]] == ["Condition_style=high", "Condition_mood="]
    assert tokens[2:].tolist() == TUNE.encode(tune("deep", 1)).tolist()
    assert told.decode(tokens).labels == (("style", "high"),)


def test_the_model_sees_the_label_at_every_step():
    told = add_conditions(TUNE, (("style", ("deep", "high")),))
    column = [c.name for c in told.grammar.columns].index("condition style")
    tokens = told.encode(tune("high", 1, labels=(("style", "high"),)))
    inputs = told.grammar.make_inputs(told.grammar.compute_states(tokens))
    assert inputs[:, column].tolist() == [0] + [3] * (len(inputs) - 1)


class Forgetful(Conditioned):
    """A tokenizer that loses the label of wild pieces."""

    def decode(self, tokens):
        found = super().decode(tokens)
        return replace(found, labels=tuple(label for label in found.labels if label[1] != "wild"))


def test_a_tokenizer_that_loses_labels_is_found(monkeypatch):
    monkeypatch.setattr("composer.testing.conditions.add_conditions", Forgetful)
    with pytest.raises(BrokenRule, match="labels come back"):
        check_conditioned(TUNE, [tune("deep", number) for number in range(3)], rows=3)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [((("My Style", "funk"),), "a name that can be an option"), ((("style", "funk" * 20),), "at most 60 characters")],
)
def test_a_dataset_whose_labels_cannot_be_conditions_is_found(labels, rule):
    check_dataset(Styles())
    with pytest.raises(BrokenRule, match=rule):
        check_dataset(Styles(odd=labels))


# --- training ---------------------------------------------------------------------------------------------------------


def test_values_are_those_of_the_training_pieces(styles):
    music, tokenizer = styles
    assert tokenizer.conditions == (("style", ("deep", "high")),)
    assert [value for value in music.labels["style"] if value][:3] == ["deep"] * 3


@dataclass(frozen=True)
class Labelled(Styles):
    """Tunes whose labels are their numbers modulo `values`."""

    values: int = 1

    def read(self, source):
        style, number = source.split()
        yield source, tune(style, int(number), labels=(("number", str(int(number) % self.values)),))


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("styl", 2, "no piece is labelled with 'styl': "),
        ("number", 1000, f"no number is that of {LEAST_PIECES} training pieces"),
        ("My Number", 2, "'My Number' cannot be a condition"),
    ],
)
def test_labels_that_cannot_be_conditions_are_refused(name, values, sentence, tmp_path):
    music = build(Labelled(values=values), TUNE, cache=tmp_path)
    with pytest.raises(BadOption, match=sentence):
        fit_conditions(TUNE, [name], lambda: music)


def test_too_many_values_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("composer.data.labels.MOST_VALUES", 3)
    music = build(Labelled(values=4), TUNE, cache=tmp_path)
    with pytest.raises(BadOption, match="the label 'number' has 4 values; 3 are the most of a condition"):
        fit_conditions(TUNE, ["number"], lambda: music)
    assert MOST_VALUES == 256


def test_a_label_is_forgotten_in_a_share_of_the_pieces_the_same_ones_each_time(styles):
    music, tokenizer = styles
    pieces = music.split("train")
    none, column = tokenizer.vocabulary.index("Condition_style="), -1

    def count_none(forget):
        stream = Stream(music, tokenizer, pieces, batch_size=8, chunk=64, forget=forget)
        chunks = [next(stream.cut_chunks(number)) for number in range(20 * stream.batches)]
        tokens = np.concatenate([chunk.inputs[:, 1, 0] for chunk in chunks])
        seen = np.concatenate([chunk.inputs[:, 5, column] for chunk in chunks])
        assert ((tokens == none) == (seen == 1)).all()
        return float((tokens == none).mean()), tokens.tolist()

    (plain, _), (some, tokens), (all_, _) = map(count_none, (0.0, 0.25, 1.0))
    assert some == pytest.approx(plain + 0.25 * (1 - plain), abs=0.04)
    assert all_ == 1
    assert count_none(0.25)[1] == tokens
    assert make_training_stream(music, tokenizer, Settings(forget_labels=0.3)).forget == 0.3


def test_labels_are_given_and_cost_nothing(styles, trained):
    music, tokenizer = styles
    chunk = next(Stream(music, tokenizer, music.split("test")).cut_chunks(0))
    assert (chunk.targets[:, 0] == IGNORED).all()
    assert (chunk.targets[:, 1] != IGNORED).all()
    model = load(trained)
    for _, nats in compute_token_nats(model.make_module(), music, model.make_tokenizer(), music.split("test")):
        assert (nats[:, 0] == 0).all()
        assert (nats[:, 1] > 0).any()


LITTLE = (
    "9 pieces are little to learn from: the model may copy, which `composer originality` shows, and its figures are of "
    "1 and 1 held-out pieces alone."
)


def test_training_says_which_flag_a_condition_gets_and_which_values_it_cannot_learn(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folders(Path("music"), count=5)
    write_folders(Path("music/more"), styles=["rare"], count=1)
    Path("music/more/rare").rename("music/rare")
    line = ["train", "folder:music", "--labels", "key", "--condition", "key", "--out", "x.safetensors", *TINY]
    with pytest.warns(RunWarning) as told:
        assert run(*line).status == 0
    assert [str(warning.message) for warning in told] == [
        "--key is another option already: ask for the key by --condition-key.",
        "pieces whose key the model does not know count as unlabelled: rare (1).",
        LITTLE,
    ]
    assert run("generate", "x.mid", "--model", "x.safetensors", "--condition-key", "deep", "--bars", 1).status == 0


def test_a_recipe_names_conditions_and_a_run_with_them_is_resumed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folders(Path("music"), count=8)
    ran = run("train", "folder:music", "--labels", "style", "--condition", "style", *TINY, "--print-recipe")
    assert 'conditions = ["style"]' in ran.out
    Path("recipe.toml").write_text(ran.out)
    assert run("train", "recipe.toml", "--out", "x.safetensors", "--run", "run/").status == 0
    assert run("train", "--resume", "run/", "--out", "y.safetensors").status == 0
    assert load(Path("y.safetensors")).conditions == (("style", ("deep", "high")),)
    assert load(Path("y.safetensors")).hash == load(Path("x.safetensors")).hash


def test_finetuning_keeps_the_conditions_and_new_values_become_none(run, here):
    write_folders(here / "new", styles=["deep", "odd"], count=4)
    line = ["finetune", "styles.safetensors", "folder:new", "--labels", "style", "--out", "mine.safetensors"]
    with pytest.warns(RunWarning, match=r"whose style the model does not know count as unlabelled: odd \(4\)\."):
        assert run(*line, "--steps", 2, "--evaluations", 1).status == 0
    assert load(here / "mine.safetensors").conditions == (("style", ("deep", "high")),)
    Path("recipe.toml").write_text('begin_from = "styles.safetensors"\nconditions = ["style"]\n')
    assert "brings its own conditions" in run("train", "recipe.toml", "--out", "x.safetensors").err


# --- model files ------------------------------------------------------------------------------------------------------


def test_a_model_file_keeps_the_conditions_and_one_without_them_its_hash(trained):
    model = load(trained)
    assert isinstance(model.make_tokenizer(), Conditioned)
    plain = replace(model, conditions=(), vocabulary=model.vocabulary[:-3])
    assert plain.hash != model.hash
    assert model.card["conditions"]["style"].keys() == {"deep", "high"}
    assert (model.tokenizer.name, "inner" in model.tokenizer.options) == ("voices", False)


@pytest.mark.parametrize(
    "conditions", [[["style"]], [["we ird", ["a"]]], [["style", ["a", "a"]]], [["style", [3]]], 3, [["s", ["\x1b[2J"]]]]
)
def test_a_model_file_with_odd_conditions_is_refused(conditions, trained, tmp_path):
    save(replace(load(trained), conditions=conditions), tmp_path / "odd.safetensors")
    with pytest.raises(BadModelFile, match="its header is not one of a model"):
        load(tmp_path / "odd.safetensors")


# --- asking -----------------------------------------------------------------------------------------------------------


def test_a_model_follows_the_label_that_is_asked_for(trained):
    model = composer.open_model(trained)
    for style in STYLES:
        pieces = model.generate(style=style, count=40, bars=2, seed=3)
        assert np.mean([find_styles(piece.score) == {style} for piece in pieces]) >= 0.85
        assert {piece.score.labels for piece in pieces} == {(("style", style),)}


def test_without_a_label_a_model_writes_both(trained):
    pieces = composer.open_model(trained).generate(count=40, bars=1, seed=3)
    assert set.union(*(find_styles(piece.score) for piece in pieces)) == set(STYLES)
    assert all(piece.score.labels == () for piece in pieces)


def test_a_piece_with_a_label_is_the_same_in_a_batch_and_made_again(trained):
    model = composer.open_model(trained)
    alone = model.generate(style="high", bars=2, seed=3, index=2)
    assert model.generate(style="high", bars=2, seed=3, count=3)[2].score == alone.score
    assert model.regenerate(alone).score == alone.score
    assert alone.provenance["request"]["conditions"] == {"style": "high"}
    bars = [event.pitch for bar in model.stream(style="high", bars=2, seed=3) for event in bar.events if event.velocity]
    assert bars == model.generate(style="high", bars=2, seed=3).score.tracks[0].notes["pitch"].tolist()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"style": "hihg"}, "this model has no style 'hihg': did you mean 'high'?"),
        ({"stile": "high"}, "generate has no option 'stile': did you mean 'style'?"),
        ({"style": 3}, "'style' is 3, and must be a text."),
    ],
)
def test_a_wrong_name_or_value_is_refused_with_the_nearest(asked, sentence, trained):
    with pytest.raises(BadOption, match=sentence.replace("?", r"\?")):
        composer.open_model(trained).generate(**asked)


def test_a_model_without_conditions_refuses_them(model_file):
    with pytest.raises(BadOption, match="this model has no condition 'style': it was trained without any"):
        composer.open_model(model_file).resolve(Request(conditions=(("style", "funk"),)))


def test_requests_keep_conditions():
    request = Request(conditions=(("mood", ""), ("style", "funk")))
    assert request.to_json() == {"conditions": {"mood": "", "style": "funk"}}
    assert Request.from_json(request.to_json()) == request
    assert "conditions" not in Request().to_json()
    with pytest.raises(BadOption, match="names of labels"):
        Request(conditions=(("style", 3),))


def test_the_commands_have_an_option_for_each_condition(run, here):
    model = ("--model", "styles.safetensors")
    assert run("generate", "x.mid", *model, "--style", "deep", "--bars", 2, "--seed", 1).status == 0
    x = composer.read("x.mid")
    assert (x.score.labels, find_styles(x.score)) == ((("style", "deep"),), {"deep"})
    assert "did you mean 'deep'?" in run("generate", "y.mid", *model, "--style", "dep").err
    assert "(Did you mean one of:" in (told := run("generate", "y.mid", *model, "--styl", "deep").err)
    assert "'--style'" in told
    assert "unknown model 'nope'" in run("generate", "y.mid", "--model", "nope", "--style", "deep").err
    assert run("generate", "y.mid", *model, "--style", NONE, "--bars", 1).status == 0
    help_ = run("generate", "--help", *model).out
    assert "Conditions of styles.safetensors:\n  --style TEXT  deep (" in help_
    assert "--style" not in run("generate", "--help").out
    assert "style\n    deep" in run("models", "show", "styles.safetensors").out


def test_given_pieces_keep_their_label_unless_another_is_asked_for(run, here):
    model = composer.open_model("styles.safetensors")
    model.generate(style="deep", bars=3, seed=2).write("deep.mid")
    few = ("--particles", 4, "--seed", 1)
    assert run("fill", "deep.mid", "same.mid", "--bars", "2-3", *few).status == 0
    assert find_styles(composer.read("same.mid").score) == {"deep"}
    assert run("fill", "deep.mid", "other.mid", "--bars", "2-3", "--style", "high", *few).status == 0
    other = composer.read("other.mid").score
    assert (other.labels, find_styles(other)) == ((("style", "high"),), {"deep", "high"})
    assert run("vary", "deep.mid", "out/", "--count", 1, "--keep", 0.3, *few).status == 0
    (varied,) = Path("out").glob("*.mid")
    assert composer.read(varied).provenance["request"]["conditions"] == {"style": "deep"}
    more = model.generate(primer="deep.mid", bars=1, seed=1)
    assert (more.score.labels, find_styles(more.score)) == ((("style", "deep"),), {"deep"})
    moved = model.generate(primer="deep.mid", bars=2, seed=1, style="high")
    assert (moved.score.labels, find_styles(moved.score)) == ((("style", "high"),), {"deep", "high"})
    assert model.regenerate(moved).score == moved.score
    form = model.generate(form="AB", bars=1, seed=1, style="high")
    assert (form.score.labels, find_styles(form.score)) == ((("style", "high"),), {"high"})


def test_names_and_values_of_conditions_are_completed(here):
    def complete(*words):
        *typed, incomplete = words
        return [item.value for item in ShellComplete(cli, {}, "composer", "_X").get_completions(typed, incomplete)]

    line = ("generate", "x.mid", "--model", "styles.safetensors")
    assert complete(*line, "--sty") == ["--style"]
    assert complete(*line, "--style", "d") == ["deep"]


def test_jobs_have_conditions_and_grids_of_them(run, here):
    job = {"model": "styles.safetensors", "bars": 1, "file": "{style}", "conditions": {"style": ["deep", "high"]}}
    Path("jobs.jsonl").write_text(json.dumps(job))
    assert run("batch", "jobs.jsonl", "--out", "out", "--executor", "here").status == 0
    found = {path.stem: find_styles(composer.read(path).score) for path in Path("out").rglob("*.mid")}
    assert found == {style: {style} for style in STYLES}
    for odd, sentence in (({"style": "hihg"}, "did you mean 'high'?"), ({"style": 3}, "is a text")):
        Path("jobs.jsonl").write_text(json.dumps({**job, "conditions": odd}))
        assert sentence in run("batch", "jobs.jsonl", "--out", "other").err


# --- our datasets -----------------------------------------------------------------------------------------------------


def test_subfolders_name_labels(tmp_path):
    write_folders(tmp_path / "music" / "early", count=1)
    write([Piece(tune("deep", 1))], tmp_path / "music" / "loose.mid")
    dataset = registry().make("datasets", "folder", path=str(tmp_path / "music"), labels=("era", "style"))
    found = {name: piece.labels for source in dataset.list_sources() for name, piece in dataset.read(source)}
    assert found == {
        "early/deep/0.mid": (("era", "early"), ("style", "deep")),
        "early/high/0.mid": (("era", "early"), ("style", "high")),
        "loose.mid": (),
    }
    check_dataset(dataset)


def test_tunes_are_labelled_with_their_dance():
    dataset = registry().make("datasets", "tunes")
    pieces = [piece for source in dataset.list_sources()[::40] for _, piece in dataset.read(source)]
    found = {dict(piece.labels).get("dance") for piece in pieces if isinstance(piece, Score)}
    assert {"jig", "reel"} <= found
    assert all(dance == dance.lower() for dance in found if dance)
