"""The leaderboard of `composer compare --enter`: the time to a likelihood, the best in an hour, and who may enter."""

import json
from dataclasses import replace

import pytest

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
    (ended / "mine.safetensors").unlink()
    assert "its model is not at" in run("compare", "--enter", "run", "--leaderboard", "other.jsonl").err
    assert not (ended / "other.jsonl").exists()
    assert "name all choices" in run_of_a_recipe(ended, run)


def run_of_a_recipe(folder, run):
    """What is said of a run whose command names a recipe, which alone would not repeat it."""
    recipe = folder / "run" / "recipe.toml"
    lines = recipe.read_text().splitlines()
    lines = ['command = "composer train mine.toml"' if line.startswith("command") else line for line in lines]
    assert run(*TRAIN, "--out", "mine.safetensors", "--run", "again", "--no-callback", "samples").status == 0
    (folder / "again" / "recipe.toml").write_text("\n".join(lines).replace('"run"', '"again"') + "\n")
    return run("compare", "--enter", "again", "--leaderboard", "other.jsonl").err


@pytest.mark.parametrize("line", ["{}", "nonsense", '{"curve": []}'])
def test_a_line_that_is_no_row_is_named(run, here, line):
    (here / "board.jsonl").write_text(json.dumps(leaderboard.asdict(ROW)) + f"\n{line}\n")
    assert run("compare", "--leaderboard", "board.jsonl").err == (
        "composer: board.jsonl: line 2 is no row of a leaderboard.\n"
    )


def test_a_leaderboard_that_is_missing_and_one_with_architectures_are_refused(run, here):
    assert "does not exist" in run("compare", "--leaderboard", "none.jsonl").err
    assert "takes runs of `composer train --run`" in run("compare", "lstm", "--enter", "run").err
