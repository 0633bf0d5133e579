"""The folder of a run: it shows how the run goes, and from it alone the run goes on, whatever stopped it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import ClassVar

import pytest

from composer.io import formats
from composer.model import load
from composer.music.score import compute_bars

SMALL = ["--architecture", "gru", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--chunk", 32]
STEPS = ["--steps", 24, "--evaluations", 4, "--learning-rate", 0.02, "--average", 0.5, "--device", "cpu"]
TRAIN = ["train", "folder:../tunes", "--tokenizer", "voices", *SMALL, *STEPS]


@pytest.fixture
def begun(run, here, monkeypatch):
    """The folder of a run that was killed by a fault at its second validation, before its checkpoint."""
    saved = []

    def fail(*arguments):
        saved.append(arguments)
        if len(saved) == 2:
            raise RuntimeError("power cut")
        return save(*arguments)

    from composer.training import checkpoints

    save = checkpoints.save
    with monkeypatch.context() as broken:
        broken.setattr(checkpoints, "save", fail)
        assert run(*TRAIN, "--out", "mine.safetensors", "--run", "run").status == 1
    return here / "run"


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- what is in it ----------------------------------------------------------------------------------------------------


def test_a_run_keeps_its_recipe_its_course_its_samples_and_two_checkpoints(run, here):
    assert run(*TRAIN, "--out", "mine.safetensors", "--run", "run").status == 0
    found = lines(here / "run")
    steps = [line["step"] for line in found]
    assert len(steps) == 4
    assert names(here / "run") == sorted(
        [
            "metrics.jsonl",
            "recipe.toml",
            "written.json",
            *(f"samples/step-{step:06d}.mid" for step in steps),
            *(f"step-{step:06d}.checkpoint" for step in steps[-2:]),
        ]
    )
    recipe = tomllib.loads((here / "run/recipe.toml").read_text())
    assert recipe["architecture"]["hidden_size"] == 8
    assert recipe["training"]["steps"] == 24
    assert recipe["started"]["folder"] == str(here)


def test_the_course_is_a_line_a_validation(run, here):
    assert run(*TRAIN, "--out", "mine.safetensors", "--run", "run").status == 0
    found = lines(here / "run")
    for line in found:
        assert list(line) == ["step", "epoch", "train", "valid", "best", "seconds", "tokens_per_second", "train_unit"]
    valid = [line["valid"] for line in found]
    assert [line["best"] for line in found] == [min(valid[: n + 1]) for n in range(len(valid))]
    assert [line["seconds"] for line in found] == sorted(line["seconds"] for line in found)
    assert found[-1]["step"] == load(here / "mine.safetensors").card["training"]["steps"]


def test_samples_are_eight_bars_of_the_model_as_it_was(run, here):
    assert run(*TRAIN, "--out", "mine.safetensors", "--run", "run", "--seed", 3).status == 0
    for path in (here / "run/samples").iterdir():
        score = formats.read(path)
        assert len(compute_bars(score).signatures) - (score.upbeat > 0) == 8
    best = load(here / "mine.safetensors").card["training"]["best_step"]
    plain = ["--dynamics", "none", "--no-ending"]
    line = ["generate", "x.mid", "--model", "mine.safetensors", "--seed", 3, "--bars", 8, *plain]
    assert run(*line).status == 0
    sample = formats.read(here / f"run/samples/step-{best:06d}.mid")
    assert [track.notes.tolist() for track in formats.read(here / "x.mid").tracks] == [
        track.notes.tolist() for track in sample.tracks
    ]


def test_a_folder_changes_nothing_in_the_training(run, here, monkeypatch):
    import torch

    from composer.generation import generator

    def greedy(*arguments, **options):
        torch.rand(100)  # somebody's backend may draw from torch's numbers
        return generate(*arguments, **options)

    generate = generator.generate
    monkeypatch.setattr("composer.generation.generator.generate", greedy)
    line = [*TRAIN, "--dropout", 0.3]
    assert run(*line, "--out", "plain.safetensors").status == 0
    assert run(*line, "--out", "kept.safetensors", "--run", "run").status == 0
    assert load(here / "plain.safetensors").hash == load(here / "kept.safetensors").hash


def test_a_sample_that_cannot_be_written_does_not_end_the_run(run, here):
    line = [*TRAIN, "--out", "mine.safetensors", "--run", "run", "--callback-option", "samples.bars=0"]
    with pytest.warns(UserWarning, match="no sample could be written: 'bars' is 0"):
        assert run(*line).status == 0
    assert len(lines(here / "run")) == 4


class Written:
    """A writer that TensorBoard would read from."""

    found: ClassVar[list] = []

    def __init__(self, folder, purge_step):
        self.found.append((Path(folder).name, purge_step))

    def add_scalar(self, *scalar):
        self.found.append(scalar)

    def flush(self): ...

    def close(self): ...


def test_tensorboard_is_shown_the_course(run, here, monkeypatch):
    monkeypatch.setattr("composer_callbacks.tensorboard.find_spec", lambda _: "there")
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Written))
    monkeypatch.setattr(Written, "found", [])
    assert run(*TRAIN, "--out", "mine.safetensors", "--run", "run", "--tensorboard").status == 0
    course = lines(here / "run")
    names = ("train", "valid", "best", "tokens_per_second")
    scalars = [(name, line[name], line["step"]) for line in course for name in names]
    assert Written.found == [("tensorboard", course[0]["step"]), *scalars]


def test_tensorboard_itself_writes_into_the_folder(run, here):
    pytest.importorskip("tensorboard")
    assert run(*TRAIN, "--out", "mine.safetensors", "--run", "run", "--tensorboard").status == 0
    (events,) = (here / "run/tensorboard").iterdir()
    assert b"tokens_per_second" in events.read_bytes()


def test_without_tensorboard_it_is_said_what_to_install(run, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    said = mistake(run(*TRAIN, "--out", "mine.safetensors", "--run", "run", "--tensorboard"))
    assert said == "composer: TensorBoard is not installed; install it with `pip install tensorboard`."
    assert list(here.iterdir()) == []


def test_tensorboard_needs_a_folder(run, here, monkeypatch):
    monkeypatch.setattr("composer_callbacks.tensorboard.find_spec", lambda _: "there")
    assert "give --run as well." in mistake(run(*TRAIN, "--out", "mine.safetensors", "--tensorboard"))


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_run_goes_on_from_its_folder_alone(run, here, begun, monkeypatch, tmp_path):
    assert not (here / "mine.safetensors").exists()
    monkeypatch.chdir(tmp_path)  # from anywhere
    assert run("train", "--resume", "here/run").status == 0
    assert Path.cwd() == tmp_path
    monkeypatch.chdir(here)
    assert run(*TRAIN, "--out", "whole.safetensors", "--run", "other").status == 0
    resumed, whole = load(here / "mine.safetensors"), load(here / "whole.safetensors")
    assert resumed.hash == whole.hash
    assert resumed.card["recipe"] == whole.card["recipe"]
    course = [
        [(line["step"], line["train"], line["valid"]) for line in lines(here / name)] for name in ("run", "other")
    ]
    assert course[0] == course[1]


def test_after_going_on_no_line_is_there_twice(run, here, begun):
    assert len(lines(begun)) == 2  # the second was written just before the fault
    with (begun / "metrics.jsonl").open("a") as file:
        file.write('{"step": 999, "torn')
    assert run("train", "--resume", "run").status == 0
    steps = [line["step"] for line in lines(begun)]
    assert len(steps) == 4
    assert steps == sorted(set(steps))


def test_the_card_keeps_the_line_that_began_the_run(run, here, begun, monkeypatch):
    typed = tomllib.loads((begun / "recipe.toml").read_text())["started"]["command"]
    monkeypatch.setattr("sys.argv", ["composer", "train", "--resume", "run"])
    assert run("train", "--resume", "run").status == 0
    assert load(here / "mine.safetensors").card["command"] == typed != "composer train --resume run"


def test_the_same_line_goes_on_too(run, here, begun):
    line = [*TRAIN, "--out", "mine.safetensors", "--run", "run"]
    assert run(*line).status == 0
    first = load(here / "mine.safetensors")
    assert run(*line).status == 0
    assert load(here / "mine.safetensors").hash == first.hash
    assert len(lines(begun)) == 4


def test_a_run_that_was_moved_goes_on(run, here, begun):
    begun.rename(here / "moved")
    assert run("train", "--resume", "moved").status == 0
    assert len(lines(here / "moved")) == 4
    assert not begun.exists()


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(run, here, begun):
    for path in begun.glob("*.checkpoint"):
        path.unlink()
    assert run("train", "--resume", "run").status == 0
    assert len(lines(begun)) == 4


def test_what_was_being_written_when_the_run_was_killed_is_cleared_away(run, here, begun):
    (begun / ".composer-abc.checkpoint").write_bytes(b"half a ch")
    (begun / "samples" / ".composer-abc.mid").write_bytes(b"MTh")
    assert run("train", "--resume", "run").status == 0
    assert not [name for name in names(begun) if ".composer" in name]


def mistake(ran):
    """The sentence of a mistake."""
    assert (ran.status, ran.out) == (2, "")
    *_, line = ran.err.splitlines()
    assert line.startswith("composer: ")
    assert line.endswith(".")
    return line


def test_a_run_whose_music_has_changed_is_refused(run, here, begun):
    shutil.copy(here.parent / "tunes/1.mid", here.parent / "tunes/new.mid")
    said = mistake(run("train", "--resume", "run"))
    assert "run: the music, or the version of composer, has changed since this run was begun" in said
    (here.parent / "tunes/new.mid").unlink()
    assert run("train", "--resume", "run").status == 0


def test_another_run_in_the_folder_is_refused(run, here, begun):
    line = [*TRAIN, "--out", "mine.safetensors", "--run", "run"]
    before = names(begun)
    assert "run: holds a run with other training; name another folder" in mistake(run(*line, "--seed", 1))
    assert "with other architecture; " in mistake(run(*line, "--hidden-size", 9))
    assert "with other half; " in mistake(run(*line, "--full"))
    assert names(begun) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "nowhere"], "contains no run: it has no recipe.toml."),
        (["--resume", "plain"], "its recipe.toml does not say how the run was started."),
        (["--resume", "none"], "its recipe.toml names no dataset."),
        (["--resume", "odd"], "recipe.toml: is not TOML"),
        (["--resume", "far"], "the run was started in /no/such/place, which no longer exists."),
        (
            ["--resume", "run", "--steps", 5],
            "--resume takes everything from the run that was begun; leave out --steps.",
        ),
        (["--resume", "run", "--hidden-size", 5], "leave out --hidden-size."),
        (["--resume", "run", "chorales"], "leave out "),
    ],
    ids=str,
)
def test_a_mistake_in_going_on_is_one_sentence(run, here, begun, arguments, said):
    recipe = (begun / "recipe.toml").read_text()
    texts = {"plain": 'dataset = "chorales"', "odd": "?", "far": recipe.replace(str(here), "/no/such/place")}
    texts["none"] = recipe.replace("dataset = ", "# dataset = ")
    for name, text in texts.items():
        (here / name).mkdir()
        (here / name / "recipe.toml").write_text(text)
    assert said in mistake(run("train", *arguments))


# --- killed -----------------------------------------------------------------------------------------------------------


def killed_and_resumed(here, environment, moments, steps, rng):
    """Begin a run in another process, kill it and go on with it at so many random moments; how often it was killed."""
    line = [sys.executable, "-m", "composer", "train"]
    arguments = [*TRAIN[1:], "--steps", steps, "--evaluations", 6, "--checkpoint-every", 0.05, "--patience", 99]
    begin = [*line, *map(str, [*arguments, "--out", "mine.safetensors", "--run", "run"])]
    resume = [*line, "--resume", "run"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    killed = 0
    for number in range(moments):
        process = subprocess.Popen(resume if number else begin, cwd=here, env=environment, **quiet)
        started, before = monotonic(), newest(here / "run")
        while newest(here / "run") == before and process.poll() is None and monotonic() - started < 60:
            sleep(0.01)  # until it trains
        sleep(rng.uniform(0, steps / 1500))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    done = subprocess.run(resume, cwd=here, env=environment, **quiet)
    assert done.returncode == 0, done.stderr.decode()
    return killed, arguments


def newest(folder):
    return max((path.name for path in folder.glob("step-*.checkpoint")), default="")


@pytest.mark.uncounted
@pytest.mark.parametrize(("moments", "steps"), [(2, 200), pytest.param(40, 600, marks=pytest.mark.soak)])
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(run, here, moments, steps):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed, arguments = killed_and_resumed(here, environment, moments, steps, random.Random(moments))
    assert killed >= 2
    assert run("train", *arguments, "--out", "whole.safetensors", "--run", "other").status == 0
    assert load(here / "mine.safetensors").hash == load(here / "whole.safetensors").hash
    course = [
        [(line["step"], line["train"], line["valid"]) for line in lines(here / name)] for name in ("run", "other")
    ]
    assert course[0] == course[1]
