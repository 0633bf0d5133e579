"""What a user would notice of it; `--composer-contracts` checks the rest."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from my_thing import MyThing


def at(step: int, folder: Path) -> Any:
    """Make a run at its validation after that step."""
    return SimpleNamespace(file=folder.joinpath, progress=SimpleNamespace(step=step, train=2.5, valid=2.25))


def test_each_validation_is_a_row_once(tmp_path: Path) -> None:
    for step in (10, 20, 20):  # it was killed after the second
        MyThing("course.csv").on_validation(at(step, tmp_path))
    assert (tmp_path / "course.csv").read_text().split() == ["step,train,valid", "10,2.5,2.25", "20,2.5,2.25"]
