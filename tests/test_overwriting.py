"""What is there stays there: no command replaces a file unasked, and none, asked or not, replaces what it reads."""

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from music import drums, line, score

from composer.cli import cli
from composer.cli.options import PluginOption
from composer.errors import CannotWrite
from composer.io import formats, outputs
from composer.io.outputs import Outputs
from composer.model import find_model, load, save
from composer.storage import atomic
from composer.testing import make_random_model
from composer.types import Piece

MODEL = ["--model", "tunes"]
FEW = [*MODEL, "--particles", "2"]
SMALL = ["--tokenizer", "voices", "--architecture", "gru", "--hidden-size", "8", "--layers", "1"]
STEPS = ["--steps", "2", "--evaluations", "1", "--chunk", "32", "--device", "cpu"]
MINE = b"what somebody has made in weeks"


@dataclass(frozen=True)
class Writes:
    """A line that writes the file in its place `@`, which has a suffix, and files that it reads."""

    line: list
    suffix: str = ".mid"
    reads: tuple = ()


WRITES = {
    "generate outs": Writes(["generate", "@", *MODEL, "--bars", "1", "--primer", "in.mid"], reads=("in.mid",)),
    "fill outs": Writes(["fill", "in.mid", "@", "--bars", "1", *FEW], reads=("in.mid",)),
    "harmonize outs": Writes(
        ["harmonize", "in.mid", "@", "--model", "m.safetensors", "--particles", "2"], reads=("in.mid",)
    ),
    "accompany outs": Writes(
        ["accompany", "in.mid", "@", "--model", "m.safetensors", "--particles", "2"], reads=("in.mid",)
    ),
    "chords outs": Writes(
        ["chords", "in.mid", "@", "--model", "s.safetensors", "--particles", "2"], reads=("in.mid", "s.safetensors")
    ),
    "humanize outs": Writes(
        ["humanize", "beat.mid", "@", "--model", "d.safetensors", "--particles", "2"],
        reads=("beat.mid", "d.safetensors"),
    ),
    "regenerate outs": Writes(["regenerate", "made.mid", "@"], reads=("made.mid",)),
    "jam record": Writes(["jam", "--in", "in.mid", "--record", "@", "--fast", *MODEL], reads=("in.mid",)),
    "export outs": Writes(["export", "in.mid", "@"], reads=("in.mid", "in.mid.json")),
    "metrics plot": Writes(
        ["metrics", "in.mid", "music", "--metrics", "polyphony", "--plot", "@"], ".svg", ("in.mid", "music/1.mid")
    ),
    "evaluate plot": Writes(
        ["evaluate", "m.safetensors", "folder:tunes", "--metrics", "polyphony", "--count", "2", "--plot", "@"],
        ".svg",
        ("m.safetensors", "tunes/1.mid"),
    ),
    "train out": Writes(
        ["train", "folder:tunes", *SMALL, *STEPS, "--out", "@"], ".safetensors", ("tunes/1.mid", "tunes/5.mid")
    ),
    "finetune out": Writes(
        ["finetune", "m.safetensors", "folder:tunes", *STEPS, "--out", "@"],
        ".safetensors",
        ("m.safetensors", "tunes/1.mid"),
    ),
    "combine out": Writes(
        ["combine", "m.safetensors", "m.safetensors", "--out", "@"], ".safetensors", ("m.safetensors",)
    ),
    "batch gallery page": Writes(["batch", "gallery", "pieces", "@"], ".html", ("pieces/0000/000000.mid",)),
}
"""Every argument and option that names a file to write."""

OWN_RULES = {
    "vary out": "a folder; see below",
    "train run": "a folder that a run goes on in; see below",
    "finetune run": "the same",
    "train resume": "the same",
    "batch run out": "a folder that a batch goes on in; see test_batch_runs",
    "compare out": "a folder that a comparison goes on in; see below",
}
"""Those that name a folder, in which a command goes on where it was stopped."""

WRITE_NOTHING_NAMED = {
    "batch retry",  # goes on in the folder of a batch
    "batch status",
    "cache",
    "cache clear",
    "check",
    "datasets",
    "explain",
    "journal",
    "models",
    "models measure",  # puts a table into the model that it is for
    "models show",
    "originality",
    "play",
    "plugins",
    "presets",
    "plugins check",
    "plugins doctor",
    "plugins new",  # a folder, which is never replaced; see test_scaffold
    "plugins show",
}

NO_FILES = {
    "generate form_text",
    "evaluate names",
    "fill bars",
    "fill voice",
    "regenerate bars",
    "regenerate voice",
    "finetune model",
}
"""Words on a command line whose help speaks of writing, and that name none."""


def commands(group=cli, name=""):
    """Every command by the words that call it."""
    context = click.Context(group)
    for one in group.list_commands(context):
        command, called = group.get_command(context, one), f"{name} {one}".strip()
        yield called, command
        if isinstance(command, click.Group):
            yield from commands(command, called)


def to_write(command):
    """The parameters that are called, or told of, as what is written."""
    for parameter in command.get_params(click.Context(command)):
        text = isinstance(parameter.type, click.types.StringParamType | click.Path)
        told = re.search(r"\b(write|written|draw|keep|kept|save)\b", getattr(parameter, "help", None) or "", re.I)
        named = parameter.name in ("out", "outs", "output", "page", "plot", "report", "run")
        if text and (told or named) and not isinstance(parameter, PluginOption):
            yield parameter.name


def test_every_command_that_writes_is_held_to_this():
    found = dict(commands())
    named = {f"{name} {one}" for name, command in found.items() for one in to_write(command)} - NO_FILES
    assert named == WRITES.keys() | OWN_RULES.keys(), "say here what it writes, and let it pass `composer.io.outputs`"
    writing = {name for name in found if any(one.startswith(f"{name} ") for one in named)}
    assert found.keys() - writing - {"batch"} == WRITE_NOTHING_NAMED
    forced = {name for name, command in found.items() if any(one.name == "force" for one in command.params)}
    assert forced == {one.rpartition(" ")[0] for one in WRITES} | {"vary"}


# --- the place --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sheets_file(tmp_path_factory):
    """A model that writes chord symbols, and has learnt nothing."""
    path = tmp_path_factory.mktemp("sheets") / "s.safetensors"
    writing = {"steps_per_quarter": 4, "time_signatures": ("4/4",)}
    save(make_random_model("gru", "leadsheet", writing, hidden_size=8, embedding_size=8), path)
    return path


@pytest.fixture(scope="session")
def drums_file(tmp_path_factory):
    """A model that plays drums, and has learnt nothing."""
    path = tmp_path_factory.mktemp("drums") / "d.safetensors"
    save(make_random_model("gru", "drums", {"time_signatures": ("4/4",)}, hidden_size=8, embedding_size=8), path)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch, tunes, model_file, sheets_file, drums_file):
    """A folder with what the lines read: pieces, one that says what made it, music, three models."""
    monkeypatch.chdir(tmp_path)
    formats.write([Piece(score(line((60, 4), (64, 4), (67, 4), (72, 4))))], "in.mid")
    shutil.copytree(tunes, "music")
    shutil.copy(model_file, "m.safetensors")
    shutil.copy(sheets_file, "s.safetensors")
    shutil.copy(drums_file, "d.safetensors")
    formats.write([Piece(score(drums((0, 36), (1, 38))))], "beat.mid")
    Path("in.mid.json").write_text("{}")
    return tmp_path


@pytest.fixture(scope="session")
def batch_once(tmp_path_factory):
    """A batch of one piece, and a piece alone."""
    from composer.cli import run

    folder = tmp_path_factory.mktemp("batch")
    (folder / "jobs.toml").write_text('[[job]]\nmodel = "tunes"\nbars = 1\nseed = 1\n')
    assert run(["batch", str(folder / "jobs.toml"), "--out", str(folder / "pieces"), "--executor", "here"]) == 0
    assert run(["generate", str(folder / "made.mid"), *MODEL, "--bars", "1", "--seed", "1"]) == 0
    return folder


@pytest.fixture
def made(here, batch_once):
    """The same, with a batch and a piece that says what made it."""
    shutil.copytree(batch_once / "pieces", "pieces")
    shutil.copy(batch_once / "made.mid", "made.mid")
    return here


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(ran):
    """The sentence of a refusal."""
    assert (ran.status, ran.out) == (2, "")
    (said,) = ran.err.splitlines()
    return said


@pytest.fixture
def no_work(monkeypatch):
    """Begin nothing that takes long; modules imported meanwhile hold what stands for it, and are dropped."""

    def begun(*_, **__):
        raise AssertionError("the work was begun")

    for work in (
        "composer.generation.composer.open_model",
        "composer.io.formats.read",
        "composer.training.train.train_recipe",
        "composer.data.corpus.build",
        "composer.metrics.measure",
        "composer_batch.reports.write",
    ):
        monkeypatch.setattr(work, begun)
    before = set(sys.modules)
    yield
    for name in sys.modules.keys() - before:
        if name.startswith("composer"):
            parent, _, last = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(last, None)
            del sys.modules[name]


# --- every command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITES)
def test_a_file_that_is_there_is_refused_before_the_work(run, made, no_work, name):
    case = WRITES[name]
    there = f"there{case.suffix}"
    Path(there).write_bytes(MINE)
    before = content(made)
    ran = run(*(there if word == "@" else word for word in case.line))
    assert refusal(ran) == f"composer: {there} exists; choose another name, or give --force to replace it."
    assert content(made) == before


@pytest.mark.parametrize("name", WRITES)
def test_with_force_it_is_replaced(run, made, name):
    case = WRITES[name]
    there = Path(f"there{case.suffix}")
    there.write_bytes(MINE)
    assert run(*(there if word == "@" else word for word in case.line), "--force").status == 0
    assert there.read_bytes() != MINE
    assert there.stat().st_size > 60
    assert not list(made.rglob(".composer-*"))


@pytest.mark.parametrize("way", ["linked", "hard-linked"])
@pytest.mark.parametrize(("name", "read"), [(name, read) for name, case in WRITES.items() for read in case.reads])
def test_what_is_read_is_never_replaced_by_whatever_name(run, made, no_work, name, read, way):
    case = WRITES[name]
    there = Path(f"there{case.suffix}")
    if way == "linked":
        there.symlink_to(read)
    else:
        os.link(read, there)
    before = content(made)
    for more in ([], ["--force"]):
        said = refusal(run(*(there if word == "@" else word for word in case.line), *more))
        assert said == f"composer: {there} is read here, and not replaced even with --force; choose another name."
    assert content(made) == before


@pytest.mark.parametrize(
    "name", [name for name, case in WRITES.items() if case.reads and case.reads[0].endswith(case.suffix)]
)
def test_what_is_read_is_never_replaced_by_its_own_name(run, made, no_work, name):
    case = WRITES[name]
    before = content(made)
    for there in (case.reads[0], f"./{case.reads[0]}", f"music/../{case.reads[0]}", made / case.reads[0]):
        said = refusal(run(*(there if word == "@" else word for word in case.line), "--force"))
        assert " is read here, and not replaced even with --force; choose another name." in said
    assert content(made) == before


# --- the files of a piece ---------------------------------------------------------------------------------------------


def test_what_made_a_piece_is_a_file_like_any_other(run, here):
    Path("x.mid.json").write_bytes(MINE)
    words = ["export", "in.mid", "x.mid"]
    said = refusal(run(*words))
    expected = (
        "composer: x.mid.json, which goes with x.mid, exists; choose another name, or give --force to replace it."
    )
    assert said == expected
    assert Path("x.mid.json").read_bytes() == MINE
    assert not Path("x.mid").exists()


def test_a_piece_of_which_nothing_is_known_takes_away_what_was_told_of_another_and_no_other_file(run, here):
    assert run("generate", "x.mid", *MODEL, "--bars", "1").status == 0
    assert run("export", "in.mid", "x.mid", "--force").status == 0
    assert not Path("x.mid.json").exists()
    Path("x.mid.json").write_bytes(MINE)
    assert run("export", "in.mid", "x.mid", "--force").status == 0
    assert Path("x.mid.json").read_bytes() == MINE


def test_what_is_read_beside_a_piece_is_not_replaced(run, here):
    """A piece that was lost is made again from what lay beside it, under another name."""
    assert run("generate", "x.mid", *MODEL, "--bars", "1", "--seed", "1").status == 0
    Path("x.mid").unlink()
    before = content(here)
    said = refusal(run("regenerate", "x.mid.json", "x.mid", "--force"))
    assert said.startswith("composer: x.mid.json, which goes with x.mid, is read here, and not replaced even with")
    assert content(here) == before
    assert run("regenerate", "x.mid.json", "again.mid").status == 0


@pytest.mark.parametrize(
    ("outs", "twice"),
    [
        (["a.mid", "a.mid"], "a.mid"),
        (["a.musicxml", "b.mid", "./a.musicxml"], "a.musicxml"),
        (["a.mid", "music/../a.mid"], "a.mid (a.mid)"),
        (["link/a.mid", "music/a.mid"], "link/a.mid (a.mid)"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--force"]])
def test_one_file_under_two_names_is_refused(run, here, no_work, outs, twice, more):
    Path("link").symlink_to("music")
    before = content(here)
    assert (
        refusal(run("export", "in.mid", *outs, *more))
        == f"composer: {twice} would be written twice; name each file once."
    )
    assert content(here) == before


def test_names_that_differ_in_case_are_two_files_where_the_file_system_says_so(run, here, monkeypatch):
    """Whether they are is tried, with names as they are."""
    if not Path("IN.MID").exists():
        assert run("export", "in.mid", "a.mid", "A.mid").status == 0
        assert Path("a.mid").exists()
        assert Path("A.mid").exists()
    real = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: real(str(path).lower()) or real(path))
    said = refusal(run("export", "in.mid", "b.mid", "B.mid"))
    assert said == "composer: b.mid (B.mid) would be written twice; name each file once."


def test_files_of_options_are_read_too(run, here, no_work):
    os.link("in.mid", "font.sf2")
    Path("there.wav").write_bytes(b"")
    Path("there.wav").unlink()
    os.link("font.sf2", "there.wav")
    ran = run("export", "music/1.mid", "there.wav", "--export-option", "wav.soundfont=font.sf2", "--force")
    assert "there.wav is read here" in refusal(ran)


def test_a_link_to_nothing_is_there(run, here):
    Path("x.mid").symlink_to("nowhere.mid")
    assert "x.mid exists; choose another name" in refusal(run("export", "in.mid", "x.mid"))
    assert Path("x.mid").is_symlink()


def test_a_name_that_is_too_long_is_refused_before_the_work(run, here, no_work):
    for name in (f"{'x' * 248}.mid", f"{'x' * 300}.mid"):  # that of its sidecar is longer
        for words in (["export", "in.mid", name], ["generate", name, *MODEL]):
            assert refusal(run(*words)).endswith("cannot be written (File name too long).")


def test_several_files_that_are_there_are_counted(run, here, no_work):
    for name in ("a.mid", "a.musicxml", "a.abc"):
        Path(name).write_bytes(MINE)
    said = refusal(run("generate", "new.mid", "a.mid", "a.musicxml", "a.abc", *MODEL))
    expected = "a.mid and 2 more of the files to write exist; choose another name, or give --force to replace them."
    assert said == f"composer: {expected}"


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["generate"], ["vary", "in.mid"]], ids=lambda words: words[0])
def test_pieces_of_a_folder_that_are_there_are_refused_before_the_work(run, here, command):
    more = {"generate": ["--bars", "1"], "vary": ["--particles", "2"]}[command[0]]
    words = [*command, "out/", *MODEL, *more, "--count", "3", "--seed", "7", "--quiet"]
    assert run(*words).status == 0
    (here / "out/7-000000.mid").unlink()
    (here / "out/7-000000.mid.json").unlink()
    (here / "out/7-000001.mid").write_bytes(MINE)
    before = content(here)
    said = refusal(run(*words))
    expected = "out/7-000001.mid and 1 more of the files to write exist; choose another folder, or another --seed, or"
    assert said == f"composer: {expected} give --force to replace them."
    assert content(here) == before
    other = [word if word != "7" else "8" for word in words]
    assert run(*other).status == 0
    assert before.items() <= content(here).items()
    assert run(*words, "--force").status == 0
    assert (here / "out/7-000001.mid").read_bytes() != MINE


def test_one_piece_of_a_folder_is_looked_for_alone(run, here):
    words = ["generate", "out/", *MODEL, "--bars", "1", "--seed", "7", "--quiet"]
    assert run(*words, "--index", "4").status == 0
    assert run(*words, "--index", "5").status == 0
    said = refusal(run(*words, "--index", "4"))
    assert said.startswith("composer: out/7-000004.mid exists; choose another folder, or another --seed, or give")


def test_of_the_best_pieces_any_may_be_one_that_is_there(run, here):
    words = ["generate", "out/", *MODEL, "--bars", "1", "--count", "4", "--seed", "7", "--quiet"]
    assert run(*words, "--best", "2").status == 0
    assert "1 more of the files to write exist" in refusal(run(*words, "--best", "1"))


def test_a_piece_of_the_folder_that_is_read_is_not_replaced(run, here, no_work):
    Path("out").mkdir()
    shutil.copy("in.mid", "out/7-000001.mid")
    before = content(here)
    for words in (["vary", "out/7-000001.mid", "out"], ["generate", "out", "--primer", "out/7-000001.mid"]):
        said = refusal(run(*words, *MODEL, "--count", "2", "--seed", "7", "--force"))
        assert said.startswith("composer: out/7-000001.mid is read here, and not replaced even with --force; ")
    assert content(here) == before


def test_a_folder_of_a_refused_command_is_not_left(run, here):
    assert run("generate", "new/", "--best", "3").status == 2
    assert not Path("new").exists()


# --- meanwhile --------------------------------------------------------------------------------------------------------


def test_a_file_that_comes_meanwhile_is_kept_and_so_is_what_was_made(run, here, monkeypatch):
    from composer.generation.composer import open_model

    def slow(*arguments):
        Path("x.mid").write_bytes(MINE)
        Path("x-1.mid").write_bytes(MINE)
        return open_model(*arguments)

    monkeypatch.setattr("composer.generation.composer.open_model", slow)
    said = refusal(run("generate", "x.mid", *MODEL, "--bars", "1"))
    assert said == (
        "composer: x.mid: was written by another program meanwhile, and is kept; what was made here is x-2.mid."
    )
    assert Path("x.mid").read_bytes() == Path("x-1.mid").read_bytes() == MINE
    assert formats.read(Path("x-2.mid")).note_count
    assert not list(here.glob(".composer-*"))


@pytest.mark.parametrize("linked", [True, False])
def test_a_new_file_takes_no_place_that_is_taken_with_links_or_without(here, monkeypatch, linked):
    if not linked:

        def none(*_):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", none)
    piece = Piece(score(line((60, 4))))
    Outputs.of([here / "x.mid"], force=False).write(piece)
    first = Path("x.mid").read_bytes()
    assert formats.read(Path("x.mid")).note_count == 1
    with pytest.raises(CannotWrite, match=r"and is kept; what was made here is .*x-1\.mid"):
        Outputs.of([here / "x.mid"], force=False).write(Piece(score(line((60, 2), (62, 2)))))
    assert Path("x.mid").read_bytes() == first
    assert formats.read(Path("x-1.mid")).note_count == 2
    assert sorted(path.name for path in here.glob("*x*")) == ["x-1.mid", "x.mid"]
    assert not list(here.glob(".composer-*"))


def test_a_place_that_cannot_be_taken_without_links_is_left_empty(here, monkeypatch):
    def none(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", none)
    monkeypatch.setattr(Path, "replace", none)
    with pytest.raises(CannotWrite, match="No space left"), atomic.keep_existing([here / "x.mid"]):
        formats.write([Piece(score(line((60, 4))))], here / "x.mid")
    assert not list(here.glob("*x.mid"))


def test_from_python_a_file_is_replaced(here):
    piece = Piece(score(line((60, 4))), {"title": "New"})
    for path in ("in.mid", "in.mid"):
        formats.write([piece], path)
    assert formats.read(Path("in.mid")).note_count == 1
    outputs.write_piece(piece, here / "in.mid")
    assert json.loads(Path("in.mid.json").read_text()) == {"title": "New"}


# --- trainings --------------------------------------------------------------------------------------------------------

TRAIN = ["train", "folder:tunes", *SMALL, *STEPS, "--out", "x.safetensors"]


def test_a_run_replaces_its_own_model_and_no_other(run, here):
    assert run(*TRAIN, "--run", "run").status == 0
    first = load(here / "x.safetensors")
    for words in (["train", "--resume", "run"], [*TRAIN, "--run", "run"]):
        assert run(*words).status == 0
    assert load(here / "x.safetensors").hash == first.hash
    before = [shutil.copy("m.safetensors", "x.safetensors"), content(here)][1]
    for words in (["train", "--resume", "run"], [*TRAIN, "--run", "run"], [*TRAIN, "--run", "other"], TRAIN):
        assert "x.safetensors exists; choose another name, or give --force" in refusal(run(*words))
        assert content(here) == before
    assert run("train", "--resume", "run", "--force").status == 0
    assert load(here / "x.safetensors").hash == first.hash


def test_the_music_here_and_a_model_of_a_plugin_are_read_too(run, here, no_work, monkeypatch):
    Path("x.safetensors").symlink_to(find_model("tunes"))
    os.link("tunes/3.mid", "tunes/y.safetensors")
    assert "x.safetensors is read here" in refusal(run("finetune", "tunes", "folder:tunes", "--out", "x.safetensors"))
    monkeypatch.chdir("tunes")
    words = ["train", "folder:.", *SMALL, *STEPS, "--out", "y.safetensors", "--force"]
    assert "y.safetensors is read here" in refusal(run(*words))
    Path("z.safetensors").write_bytes(MINE)
    assert "z.safetensors exists" in refusal(
        run(*(word for word in words if word != "--force"), "--out", "z.safetensors")
    )


def test_a_run_that_was_stopped_goes_on_to_its_model(run, here, monkeypatch):
    """Ctrl-C keeps the best so far in the place where the whole run puts its model; a kill may come between."""
    from composer.training import loop

    def stopped(*arguments, **options):
        count.append(arguments)
        if len(count) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    count, real = [], loop.compute_likelihood
    words = [*TRAIN, "--run", "run", "--steps", "8", "--evaluations", "4"]
    with monkeypatch.context() as patched:
        patched.setattr(loop, "compute_likelihood", stopped)
        assert run(*words).status == 0
    best = load(here / "x.safetensors")
    assert best.card["training"]["interrupted"]
    with monkeypatch.context() as patched:
        patched.setattr("composer.training.train.save", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        assert run("train", "--resume", "run").status == 1
    assert run("train", "--resume", "run").status == 0
    assert load(here / "x.safetensors").card["training"]["steps"] == 8


@pytest.mark.parametrize("name", ["metrics.jsonl", "samples/step-000500.mid", "step-000001.checkpoint", "written.json"])
def test_a_folder_that_holds_such_files_and_no_run_takes_none(run, here, no_work, name):
    (here / "run/samples").mkdir(parents=True)
    (here / "run" / name).write_bytes(MINE)
    before = content(here)
    said = refusal(run(*TRAIN, "--run", "run"))
    assert said == f"composer: run: holds '{name}', and no recipe.toml of a run to go on with; name another folder."
    assert content(here) == before


# --- comparisons and batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["results.jsonl", "report.html", "report.json"])
@pytest.mark.parametrize("more", [[], ["--plan"], ["--report"]], ids=str)
def test_a_folder_of_somebody_takes_no_comparison(run, here, no_work, name, more):
    Path("mine").mkdir()
    Path("mine", name).write_bytes(MINE)
    said = refusal(run("compare", "lstm", "gru", "--dataset", "folder:tunes", "--out", "mine", *more))
    assert said == f"composer: mine: contains a '{name}' that no comparison wrote; choose another folder with --out."
    assert content(Path("mine")) == {name: MINE}


@pytest.mark.parametrize("name", ["manifest.jsonl", "catalogue.parquet"])
def test_a_folder_of_somebody_takes_no_batch(run, here, name):
    Path("jobs.toml").write_text('[[job]]\nmodel = "tunes"\nbars = 1\n')
    Path("mine").mkdir()
    Path("mine", name).write_bytes(MINE)
    ran = run("batch", "jobs.toml", "--out", "mine", "--executor", "here")
    assert ran.status == 1
    assert f"mine: holds other things ('{name}'); name a new folder." in ran.err
    assert content(Path("mine")) == {name: MINE}


def test_a_page_among_the_pieces_of_a_batch_is_not_replaced_by_their_gallery(run, here):
    Path("jobs.toml").write_text('[[job]]\nmodel = "tunes"\nbars = 1\nformats = ["mid", "html"]\n')
    assert run("batch", "jobs.toml", "--out", "pieces", "--executor", "here").status == 0
    (page,) = Path("pieces").glob("*/*.html")
    before = page.read_bytes()
    assert "is read here, and not replaced even with --force" in refusal(
        run("batch", "gallery", "pieces", page, "--force")
    )
    assert page.read_bytes() == before
    assert run("batch", "gallery", "pieces", "pieces/best.html").status == 0
    assert run("batch", "gallery", "pieces", "pieces/best.html", "--force").status == 0


# --- what was meant ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["generate", "-o", "x.mid"],
            "there is no option -o: files to write are arguments, as in `composer generate",
        ),
        (["generate", "--output", "x.mid"], "there is no option --output: files to write are arguments"),
        (["export", "in.mid", "--out=x.mid"], "as in `composer export [OPTIONS] PIECE OUT...`."),
        (["vary", "in.mid", "-o", "out/"], "as in `composer vary [OPTIONS] PIECE OUT`."),
        (["train", "folder:tunes", "-o", "x.safetensors"], "`composer train` has no option -o; --out is what it has."),
        (["batch", "jobs.toml", "-o", "out"], "`composer batch run` has no option -o; --out is what it has."),
        (["generate", "x.mid", "-f"], "`composer generate` has no option -f; --force is what it has."),
        (["metrics", "in.mid", "--plot", "x.svg", "--overwrite"], "has no option --overwrite; --force is what it has."),
        (["generate", "-x.mid"], "'-x.mid' begins as an option does; write ./-x.mid for a file of that name."),
        (
            ["export", "-in.krn", "x.mid"],
            "'-in.krn' begins as an option does; write ./-in.krn for a file of that name.",
        ),
    ],
    ids=" ".join,
)
def test_a_mistake_in_naming_what_is_written_is_told(run, here, arguments, said):
    before = content(here)
    assert said in refusal(run(*arguments))
    assert content(here) == before


def test_what_was_meant_to_be_read_is_told(run, here, no_work):
    shutil.copy("in.mid", "b.mid")
    for command in (["export"], ["fill", "--bars", "1"], ["regenerate"]):
        said = refusal(run(*command, "in.mid", "x.musicxml", "b.mid"))
        assert said == (
            "composer: b.mid exists, and this command takes one PIECE and then files to write; "
            "choose another name, or give --force to replace it."
        )
    assert "takes one MELODY and then files to write; " in refusal(run("harmonize", "in.mid", "x.musicxml", "b.mid"))


def test_a_file_whose_name_begins_with_a_dash_is_written(run, here):
    assert run("export", "--", "in.mid", "-x.mid").status == 0
    assert Path("-x.mid").exists()
    assert "-x.mid exists" in refusal(run("export", "in.mid", "./-x.mid"))
