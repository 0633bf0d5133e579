"""Programs: a model writes for those that it has learnt, or for those asked for."""

import shutil

import pytest
from walks import walk

from composer.errors import RequestWarning
from composer.io import formats
from composer.model import load
from composer.types import Piece

HOT = ["--bars", 4, "--temperature", 3, "--force"]
TRAIN = [
    "--out",
    "mine.safetensors",
    "--hidden-size",
    8,
    "--steps",
    2,
    "--evaluations",
    1,
    "--device",
    "cpu",
    "--force",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with a folder of pieces for one program."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tunes").mkdir()
    for number in range(4):
        formats.write([Piece(walk(number))], tmp_path / f"tunes/{number}.mid")
    return tmp_path


def programs_of(path):
    return {track.program for track in formats.read(path).tracks}


def test_a_model_writes_for_the_programs_of_its_training_music(run, here):
    learnt = programs_of(here / "tunes/0.mid")
    assert run("train", "folder:tunes", *TRAIN).status == 0
    assert load(here / "mine.safetensors").card["programs"] == [str(program) for program in sorted(learnt)]
    assert run("generate", "hot.mid", "--model", "mine.safetensors", *HOT).status == 0
    assert programs_of(here / "hot.mid") == learnt
    assert run("generate", "other.mid", "--model", "mine.safetensors", *HOT, "--programs", 73).status == 0
    assert programs_of(here / "other.mid") == {73}


def test_a_finetuned_model_keeps_the_programs_of_its_beginning(run, here):
    assert run("train", "folder:tunes", *TRAIN).status == 0
    first = load(here / "mine.safetensors").card["programs"]
    shutil.copy(here / "mine.safetensors", here / "first.safetensors")
    for path in (here / "tunes").iterdir():
        score = formats.read(path)
        object.__setattr__(score.tracks[0], "program", 73)
        formats.write([Piece(score)], path)
    further = ["--steps", 1, "--evaluations", 1, "--out", "mine.safetensors", "--force"]
    assert run("finetune", "first.safetensors", "folder:tunes", *further).status == 0
    assert load(here / "mine.safetensors").card["programs"] == sorted([*first, "73"], key=int)


def test_programs_of_a_model_that_chooses_none_change_nothing_and_that_is_said(run, here, model_file):
    with pytest.warns(RequestWarning, match="programs '5' change nothing: this model does not choose programs"):
        assert run("generate", "x.mid", "--model", model_file, "--bars", 2, "--programs", 5).status == 0


def test_what_is_no_program_is_refused(run, here, model_file):
    said = run("generate", "x.mid", "--model", model_file, "--programs", "0,violins")
    assert "'violins' is no program; they go from 0 to 127, and drums" in said.err
