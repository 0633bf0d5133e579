"""What a user would notice of it; `--composer-contracts` checks the rest."""

from pathlib import Path

from my_thing import piece_written

from composer.music.score import Score, Track, make_notes
from composer.types import Piece

SCORE = Score((Track(make_notes([(0, 480, 60, 80)])),))


def test_new_pieces_are_in_the_playlist_of_their_folder(tmp_path: Path) -> None:
    piece_written((tmp_path / "a.wav",), Piece(SCORE, {"request": {"seed": 7}, "title": "Morning"}))
    piece_written((tmp_path / "b.wav",), Piece(SCORE))  # read, and not made
    *_, told, name = (tmp_path / "my-thing.m3u8").read_text(encoding="utf-8").splitlines()
    assert (told.endswith(",Morning"), name) == (True, "a.wav")
