"""What a user would notice of it; `--composer-contracts` checks the rest."""

from pathlib import Path

import pytest
from my_thing import MyThing

from composer.errors import UnreadableFile


def test_notes_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "x.mything").write_text("1 0.5 62\n0 1 60\n")
    (track,) = MyThing()(tmp_path / "x.mything").tracks
    assert track.notes["pitch"].tolist() == [60, 62]
    assert (track.notes["start"] / track.notes["duration"]).tolist() == [0, 2]


@pytest.mark.parametrize("text", ["1 2", "a b c", "0 1 128", "0 nan 60", "-1 1 60"])
def test_what_is_no_note_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.mything").write_text(text)
    with pytest.raises(UnreadableFile, match=r"x\.mything: is no list of notes"):
        MyThing()(tmp_path / "x.mything")
