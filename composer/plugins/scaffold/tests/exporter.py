"""What a user would notice of it; `--composer-contracts` checks the rest."""

from pathlib import Path

from my_thing import MyThing

from composer.testing.sequences import SAMPLES
from composer.types import Piece


def test_a_line_a_note(tmp_path: Path) -> None:
    MyThing(digits=1)([Piece(SAMPLES["two parts"])], tmp_path / "x.mything")
    assert (tmp_path / "x.mything").read_text() == "0.0 2.0 72\n2.0 2.0 71\n0.0 4.0 48\n"
