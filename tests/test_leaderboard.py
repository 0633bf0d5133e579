"""The leaderboard of `composer compare --enter`: the time to a likelihood, the best in an hour, and who may enter."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from composer.errors import BadOption
from composer_compare import leaderboard
from composer_compare.leaderboard import Reached, Row

SMALL = ("--architecture", "gru", "--hidden-size", 8, "--layers", 1, "--embedding-size", 8, "--device", "cpu")
TRAIN = ("train", "folder:../tunes", "--tokenizer", "voices", *SMALL, "--steps", 8, "--evaluations", 4)

CURVE = ((60.0, 2.1), (120.0, 1.7), (180.0, 1.59), (3000.0, 1.55), (4000.0, 1.5))
ROW = Row("composer train chorales", "chorales", 31, "mingru", 2_691_852, 0, "a laptop", CURVE, 1.52)


def test_the_time_to_bach_is_that_of_the_first_validation_below():
    assert leaderboard.find_time_to(ROW, 1.6) == Reached(1.59, 180.0)
    assert leaderboard.find_time_to(ROW, 1.4) is None


def test_the_best_in_an_hour_leaves_out_what_came_later():
    assert leaderboard.find_best(ROW) == Reached(1.55, 3000.0)
    assert leaderboard.get_test_within(ROW) is None  # the weights that were tested came later
    assert leaderboard.get_test_within(replace(ROW, curve=CURVE[:4])) == 1.52


def test_the_soonest_comes_first_and_those_that_never_reach_it_follow_by_their_best():
    soon = replace(ROW, curve=((100.0, 1.6),))
    far, near = (replace(ROW, curve=((50.0, nats),)) for nats in (1.9, 1.7))
    assert leaderboard.rank([far, ROW, near, soon], 1.6) == [soon, ROW, near, far]


@pytest.fixture
def ended(run, here):
    """A folder with a run that has ended."""
    assert run(*TRAIN, "--out", "mine.safetensors", "--run", "run", "--no-callback", "samples").status == 0
    return here


def test_a_run_is_entered_with_its_command_and_once(ended, run):
    shown = run("compare", "--enter", "run", "--target", 100)
    assert shown.status == 0
    assert "minutes to 100" in shown.out
    (row,) = leaderboard.read_board(ended / "leaderboard.jsonl")
    points = [json.loads(line) for line in (ended / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [nats for _, nats in row.curve] == pytest.approx([point["valid"] for point in points], abs=1e-5)
    assert row.command.startswith("composer ")
    assert row.dataset_options["path"] == "../tunes"
    assert "threads" in row.machine
    again = run("compare", "--enter", "run")
    assert (again.status, again.err) == (2, "composer: run: is on the leaderboard already.\n")
    (line,) = json.loads(run("compare", "--leaderboard", "leaderboard.jsonl", "--target", 100, "--json").out)
    assert line["seconds_to_target"] == row.curve[0][0]


def test_those_that_cannot_take_part_are_told_why(ended, run):
    (ended / "leaderboard.jsonl").write_text(
        json.dumps({**leaderboard.asdict(ROW), "dataset": "folder:../tunes"}) + "\n"
    )
    said = run("compare", "--enter", "run").err
    assert "pieces of folder:../tunes, and the others on 31" in said
    say_command(ended / "run", "composer train mine.toml")
    assert "name all choices" in run("compare", "--enter", "run", "--leaderboard", "other.jsonl").err
    (ended / "mine.safetensors").rename(ended / "elsewhere.safetensors")
    assert "put the model back there" in run("compare", "--enter", "run", "--leaderboard", "other.jsonl").err
    assert not (ended / "other.jsonl").exists()


def say_command(folder, command):
    """Say that a run was started by another command."""
    lines = (folder / "recipe.toml").read_text().splitlines()
    lines = [f"command = {json.dumps(command)}" if line.startswith("command") else line for line in lines]
    (folder / "recipe.toml").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("composer train mine.toml --steps 8", True),
        ("composer train --steps 8 'my recipes/mine.toml'", True),
        ("composer train 'mine.toml", True),  # which cannot be read
        ("composer train folder:my.toml.d --run bach.toml --out bach.toml", False),
        ("composer train chorales --run=bach.toml", False),
    ],
)
def test_a_recipe_is_the_argument_of_a_command(command, named):
    assert leaderboard.has_recipe(command) is named


def enter_rows(monkeypatch, board, *rows):
    """Enter rows in a leaderboard one by one, as if each had been read from a run."""
    for row in rows:
        monkeypatch.setattr(leaderboard, "read_run", lambda folder, row=row: row)
        leaderboard.enter(board, [Path("run")])


def test_rows_of_a_dataset_are_of_the_same_music(monkeypatch, tmp_path):
    old, board = replace(ROW, seed=1), tmp_path / "board.jsonl"
    plain = leaderboard.asdict(old)
    del plain["dataset_options"]
    board.write_text(json.dumps(plain) + "\n")  # of before these were kept
    row = replace(ROW, dataset_options={"voices": 4})
    other = replace(row, seed=2, dataset_options={"voices": 2})
    enter_rows(monkeypatch, board, row, replace(other, dataset="tunes"))
    with pytest.raises(BadOption, match="other music: chorales with voices 2, and the others with 4"):
        enter_rows(monkeypatch, board, other)
    with pytest.raises(BadOption, match="on 30 pieces of chorales, and the others on 31; they"):
        enter_rows(monkeypatch, board, replace(row, pieces=30))
    assert [row.dataset_options for row in leaderboard.read_board(board)] == [{}, {"voices": 4}, {"voices": 2}]


def test_a_row_is_added_after_a_line_without_an_end(monkeypatch, tmp_path):
    board = tmp_path / "board.jsonl"
    board.write_text(json.dumps(leaderboard.asdict(ROW)))
    other = replace(ROW, seed=1)
    enter_rows(monkeypatch, board, other)
    assert leaderboard.read_board(board) == [ROW, other]


HUGE = json.dumps({**leaderboard.asdict(ROW), "test": 10**400})
OPTIONS = json.dumps({**leaderboard.asdict(ROW), "dataset_options": []})


@pytest.mark.parametrize(
    "line",
    ["{}", "nonsense", "[]", '{"curve": []}', HUGE, OPTIONS, "[" * 100_000],
    ids=["empty", "nonsense", "list", "no numbers", "huge", "options", "deep"],
)
def test_a_line_that_is_no_row_is_named(run, here, line):
    (here / "board.jsonl").write_text(json.dumps(leaderboard.asdict(ROW)) + f"\n{line}\n")
    assert run("compare", "--leaderboard", "board.jsonl").err == (
        "composer: board.jsonl: line 2 is no row of a leaderboard.\n"
    )


def test_metrics_with_a_huge_number_are_refused(ended, run):
    (ended / "run" / "metrics.jsonl").write_text(f'{{"seconds": {10**400}, "valid": 2.0}}\n')
    assert "lack what a leaderboard says of it" in run("compare", "--enter", "run").err


@pytest.mark.parametrize("target", ["nan", "inf", "-1", "0"])
def test_a_target_is_a_positive_number(target, run, here):
    found = run("compare", "--leaderboard", "none.jsonl", "--target", target)
    assert found.status == 2
    assert "--target" in found.err


def test_a_leaderboard_that_is_missing_and_one_with_architectures_are_refused(run, here):
    assert "does not exist" in run("compare", "--leaderboard", "none.jsonl").err
    assert "takes runs of `composer train --run`" in run("compare", "lstm", "--enter", "run").err
