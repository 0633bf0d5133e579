"""Callbacks: what listens to a run hears of all of it, and can neither change it nor end it."""

import json
import tomllib
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from walks import Walks

from composer.errors import CannotWrite, RunWarning
from composer.model import load
from composer.plugins.registry import registry
from composer.testing import BrokenRule, check_callback
from composer.training.loop import Settings
from composer.training.recipes import Recipe
from composer.training.train import train_recipe
from composer.types import Callback

SETTINGS = Settings(steps=24, evaluations=4, batch_size=4, chunk=32, device="cpu", precision="float32")
EVENTS = ("start", "step", "validation", "checkpoint", "end")


@pytest.fixture(scope="module")
def small():
    """A small architecture with dropout, so that random numbers matter."""
    return registry().make("architectures", "gru", hidden_size=8, layers=1, embedding_size=8, dropout=0.2)


@pytest.fixture
def train(corpus, tokenizer, small, tmp_path, monkeypatch):
    """Train with callbacks; the model, and what was warned of."""
    monkeypatch.setattr("composer.training.loop.REPORT_EVERY", 0)

    def trained(callbacks, *, kept=True, settings=SETTINGS):
        recipe = Recipe(Walks(), "voices", tokenizer, "gru", small, settings)
        folder = tmp_path / "run" if kept else None
        (tmp_path / "run").mkdir(exist_ok=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RunWarning)
            model = train_recipe(recipe, corpus, tmp_path / "mine.safetensors", callbacks=callbacks, folder=folder)
        said = [str(one.message) for one in caught if issubclass(one.category, RunWarning)]
        return SimpleNamespace(model=model, said=said)

    return trained


def course(folder):
    return [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]


@dataclass
class Heard(Callback):
    """Notes what it hears."""

    found: list = field(default_factory=list)

    def on_start(self, run):
        self.found.append(("start", run))

    def on_step(self, run):
        self.found.append(("step", run))

    def on_validation(self, run):
        self.found.append(("validation", run))
        return {"heard": len(self.found), "step": -1}

    def on_checkpoint(self, run):
        self.found.append(("checkpoint", run))

    def on_end(self, run):
        self.found.append(("end", run))
        self.model = run.model()


class Meddling(Callback):
    """Changes whatever it can reach, and says so."""

    def _meddle(self, run):
        import torch

        for array in run.model().weights.values():
            array[...] = 0
        for value in vars(run.corpus).values():  # what has been read of it
            for array in value.values() if isinstance(value, dict) else [value]:
                if isinstance(array, np.ndarray) and array.flags.writeable:
                    array[...] = array[0]
        torch.manual_seed(1)
        torch.set_grad_enabled(False)
        torch.set_num_threads(torch.get_num_threads() + 1)

    on_start = on_step = on_validation = on_checkpoint = on_end = _meddle


def failing(event, error):
    """A callback that raises at every moment of that kind, and what it has heard."""
    heard = Heard()

    def fail(run):
        heard.found.append((event, run))
        raise error

    setattr(heard, f"on_{event}", fail)
    return heard


# --- listening --------------------------------------------------------------------------------------------------------


def test_a_callback_hears_of_every_moment_in_its_order(train, tmp_path):
    heard = Heard()
    model = train({"heard": heard}).model
    events = [event for event, _ in heard.found]
    assert (events[0], events[-1]) == ("start", "end")
    assert events.count("validation") == 4
    assert events.count("step") >= 4
    assert all(events[n + 1] == "checkpoint" for n, event in enumerate(events) if event == "validation")
    assert [run.progress.step for event, run in heard.found if event == "validation"] == [
        line["step"] for line in course(tmp_path)
    ]
    assert all(run.folder == tmp_path / "run" and run.seed == 0 for _, run in heard.found)
    assert heard.model.hash == model.hash  # the best one


def test_its_figures_go_into_the_metrics_and_replace_none(train, tmp_path):
    train({"heard": Heard()})
    lines = course(tmp_path)
    assert all(list(line)[-1] == "heard" for line in lines)
    assert all(line["step"] > 0 for line in lines)


def test_a_run_that_was_stopped_starts_again_for_it(train):
    heard, stopping = Heard(), failing("checkpoint", KeyboardInterrupt())
    assert train({"it": stopping}).model.card["training"]["interrupted"]
    assert [event for event, _ in stopping.found][-1] == "end"
    train({"heard": heard})
    assert heard.found[0][0] == "start"
    first = heard.found[0][1].progress
    assert first.step > 0
    assert first.valid == first.best
    assert [event for event, _ in heard.found].count("validation") == 3


def test_without_a_folder_there_is_nothing_but_a_folder_missing(train):
    heard = Heard()
    train({"heard": heard}, kept=False)
    assert {event for event, _ in heard.found} == {*EVENTS} - {"checkpoint"}
    assert all(run.folder is None for _, run in heard.found)


# --- what it cannot do ------------------------------------------------------------------------------------------------


def test_a_callback_that_meddles_with_everything_changes_no_bit(train):
    import torch

    alone, threads = train({}, kept=False).model, torch.get_num_threads()
    meddled = train({"meddling": Meddling()})
    assert meddled.said == []
    assert meddled.model.hash == alone.hash
    assert meddled.model.card["test"] == alone.card["test"]
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("error", [RuntimeError("no\nnetwork"), SystemExit(3)], ids=["raises", "exits"])
def test_one_that_fails_is_reported_once_and_dropped_and_the_run_goes_on(train, event, error):
    alone = train({}, kept=False).model
    bad, good = failing(event, error), Heard()
    ran = train({"bad": bad, "good": good})
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    assert ran.said == [f"the callback 'bad' failed and is dropped, the run goes on: {text}."]
    assert [one for one, _ in bad.found].count(event) == 1
    assert bad.found[-1][0] == event
    assert good.found[-1][0] == "end"
    assert ran.model.hash == alone.hash


@pytest.mark.parametrize("figures", [{"x": b""}, 5, {"x": np.float32(1)}], ids=str)
def test_figures_that_no_line_can_hold_are_a_fault_of_the_callback(train, tmp_path, figures):
    bad = Heard()
    bad.on_validation = lambda run: figures
    (said,) = train({"bad": bad}).said
    assert said.startswith("the callback 'bad' failed and is dropped")
    assert len(course(tmp_path)) == 4


def test_a_run_that_is_stopped_at_its_very_end_keeps_its_model(train):
    stopping = failing("end", KeyboardInterrupt())
    assert not train({"stopping": stopping}).model.card["training"]["interrupted"]


def test_the_model_of_a_moment_is_another_one_for_everybody(train):
    models = []

    class Taking(Callback):
        def on_validation(self, run):
            models.extend([run.model(), run.model()])

    train({"taking": Taking()}, settings=replace(SETTINGS, evaluations=1))
    one, other = models
    assert one.hash == other.hash
    assert not any(np.shares_memory(one.weights[name], other.weights[name]) for name in one.weights)


# --- the command line and recipes -------------------------------------------------------------------------------------

SMALL = ["--architecture", "gru", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--chunk", 32]
LINE = ["train", "folder:../tunes", "--tokenizer", "voices", *SMALL, "--steps", 12, "--evaluations", 2]
LINE += ["--device", "cpu", "--workers", 1, "--out", "mine.safetensors"]


def test_callbacks_with_options_are_kept_in_the_recipe_of_the_run(run, here):
    asked = ["--callback", "originality", "--callback-option", "originality.pieces=2"]
    assert run(*LINE, "--run", "run", *asked, "--callback-option", "samples.bars=2").status == 0
    recipe = tomllib.loads((here / "run/recipe.toml").read_text())
    assert recipe["callbacks"] == {"originality": {"pieces": 2}, "samples": {"bars": 2}}
    assert "callbacks" not in load(here / "mine.safetensors").card["recipe"]
    assert all("copied_share" in line for line in course(here))


def test_a_run_goes_on_with_its_callbacks_and_more(run, here, monkeypatch):
    from composer.training import train

    seen = []
    real = train.train_recipe
    monkeypatch.setattr(train, "train_recipe", lambda *a, **o: (seen.append(o["callbacks"]), real(*a, **o))[1])
    assert run(*LINE, "--run", "run", "--callback-option", "samples.bars=2").status == 0
    assert run("train", "--resume", "run", "--originality", "--workers", 1).status == 0
    assert [sorted(one) for one in seen] == [["samples"], ["originality", "samples"]]
    assert seen[1]["samples"].bars == 2


def test_a_recipe_names_callbacks_and_leaves_out_samples(run, here):
    said = run(*LINE, "--run", "run", "--callback", "originality", "--no-callback", "samples", "--print-recipe")
    assert tomllib.loads(said.out)["callbacks"] == {"originality": True, "samples": False}
    (here / "r.toml").write_text(said.out)
    assert run("train", "r.toml", "--workers", 1).status == 0
    assert not (here / "run/samples").exists()
    assert all("copied_share" in line for line in course(here))


def test_a_recipe_without_callbacks_says_nothing_of_them(run, here):
    assert "callback" not in run(*LINE, "--run", "run", "--print-recipe").out


def test_callbacks_of_another_plugin_are_left_out_with_it(run, here):
    assert run("--without", "callbacks", *LINE, "--run", "run").status == 0
    assert not (here / "run/samples").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--callback", "sampels"], "no plugin offers the callback 'sampels': did you mean 'samples'?"),
        (["--no-callback", "x"], "no plugin offers the callback 'x'"),
        (["--callback-option", "samples.baars=2"], "callback 'samples' has no option 'baars': did you mean 'bars'?"),
        (["--callback-option", "samples.bars=x"], "bars"),
        (
            ["--callback-option", "samples"],
            "invalid callback option 'samples': expected NAME.OPTION=VALUE, such as samples.bars=4.",
        ),
        (["--callback-option", "originality.bars=2"], "is not chosen; give --callback originality."),
        (["--no-callback", "samples", "--callback-option", "samples.bars=2"], "give --callback samples."),
    ],
    ids=str,
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(run, here, arguments, said):
    ran = run(*LINE, "--run", "run", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert list(here.iterdir()) == []


def test_samples_need_a_folder(run, here):
    assert (
        "the callback samples writes into the folder of a run; give --run as well."
        in run(*LINE, "--callback", "samples").err
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("samples = 3", "[callbacks] has a 'samples' that is no table of options, nor true or false."),
        ("sample = true", "no plugin offers the callback 'sample': did you mean 'samples'?"),
        ("samples.bar = 3", "callback 'samples' has no option 'bar': did you mean 'bars'?"),
    ],
)
def test_a_mistake_in_a_recipe_is_one_sentence(run, here, table, said):
    (here / "r.toml").write_text(f'dataset = "folder:../tunes"\n[callbacks]\n{table}\n')
    ran = run("train", "r.toml", "--run", "run", "--out", "mine.safetensors")
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_help_shows_how_options_are_given(run):
    assert "--callback-option samples.bars=" in run("plugins", "show", "samples").out
    assert "--callback NAME" in run("train", "--help").out
    assert "--callback NAME" in run("finetune", "--help").out


# --- the contract -----------------------------------------------------------------------------------------------------


class Faulty(Callback):
    """A callback with a fault."""

    def __init__(self, fault):
        self.fault = fault

    @property
    def writes(self):
        return () if self.fault == "needs a folder" else ("mine.txt",)

    def on_step(self, run):
        if self.fault == "raises":
            raise ValueError("no step")

    def on_validation(self, run):
        if self.fault == "figures":
            return {"weights": run.model().weights}
        place = Path("here.txt") if self.fault == "elsewhere" else run.file("mine.txt")
        place.write_text("validated")
        if self.fault == "unnamed":
            run.file("other.txt").write_text("validated")
        return None


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("raises", "a callback raises nothing; here it raised ValueError: no step"),
        ("figures", "a callback raises nothing; here it raised TypeError"),
        ("elsewhere", "a callback writes into the folder of the run, and not where it is called"),
        ("unnamed", "in the folder of a run; not so other.txt"),
        ("needs a folder", "a callback raises nothing; here it raised this run is kept in no folder"),
    ],
)
def test_a_callback_with_a_fault_breaks_a_rule(tmp_path, fault, rule):
    with pytest.raises(BrokenRule) as caught:
        check_callback(Faulty(fault), tmp_path)
    assert rule in str(caught.value)


def test_a_callback_with_a_misspelt_method_breaks_a_rule(tmp_path):
    class Misspelt(Callback):
        def on_validated(self, run):
            return {}

    with pytest.raises(BrokenRule, match=r"or is never called; did you mean 'on_validation'\?"):
        check_callback(Misspelt(), tmp_path)


def test_a_callback_without_a_fault_breaks_none(tmp_path):
    check_callback(Faulty(""), tmp_path)


def test_a_file_of_a_callback_leads_nowhere_else(train, tmp_path):
    heard = Heard()
    train({"heard": heard})
    run = heard.found[0][1]
    assert run.file("a.csv") == tmp_path / "run/a.csv"
    for name in ("../a.csv", "/etc/a.csv", ".."):
        with pytest.raises(CannotWrite, match=r"invalid file name '.*' in it"):
            run.file(name)
