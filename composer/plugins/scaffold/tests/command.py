"""What a user would notice of it; `--composer-contracts` checks the rest."""

from pathlib import Path

from click.testing import CliRunner
from my_thing import my_thing

from composer.io.formats import write
from composer.testing.sequences import SAMPLES
from composer.types import Piece


def test_each_part_is_counted(tmp_path: Path) -> None:
    score = SAMPLES["two parts"]
    write([Piece(score)], tmp_path / "piece.mid")
    done = CliRunner().invoke(my_thing, [str(tmp_path / "piece.mid")])
    assert done.exit_code == 0, done.output
    counted = [int(line.split()[0]) for line in done.output.splitlines()]
    assert counted == [len(track.notes) for track in score.tracks]
