"""Titles, names and words from outside: on one line, and without what turns or hides the text around them."""

import warnings
from dataclasses import replace

import pytest
from walks import walk

from composer.errors import ReadingWarning
from composer.io.formats import write
from composer.music.score import Text, Track, clean_text
from composer.plugins.registry import registry
from composer.types import Piece

HIDDEN = "\u202e\u2066\u200f\u200b\ufeff\ud800\udfff\ufffe\x00\x1b\x7f\x85\u2028"
ODD = "".join(f"{place}{letter}" for place, letter in enumerate(HIDDEN)) + "end"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Prélude für Élise, №3 (春の海) 🎹", "Prélude für Élise, №3 (春の海) 🎹"),
        ("نی‌نامه 👩‍🎤", "نی‌نامه 👩‍🎤"),  # joiners stay
        ("Piano\x00\x00", "Piano"),
        ("two\r\n\tlines", "two lines"),
        ("abc\u202efdp.exe", "abcfdp.exe"),
        ("half \ud83c", "half"),
        ("\x1b[31mred", "[31mred"),
        (" as it is ", " as it is "),
    ],
)
def test_a_text_is_one_line_that_shows_what_it_is(text, said):
    assert clean_text(text) == said
    assert Track(walk(1).tracks[0].notes, text).name == said
    assert Text(0, text).text == said
    assert replace(walk(1), title=text).title == said
    assert Piece(walk(1), {"title": text}).provenance["title"] == said


@pytest.mark.parametrize("suffix", sorted(registry().list_names("exporters")))
def test_no_format_is_given_what_hides_or_turns_text(suffix, tmp_path):
    if suffix in (".mp3", ".flac", ".ogg"):
        pytest.skip("as .wav, but slower")
    score = walk(1)
    words = (Text(0, ODD),)
    tracks = tuple(replace(track, name=ODD) for track in score.tracks)
    piece = Piece(replace(score, tracks=tracks, markers=words, chords=words, title=ODD), {"title": ODD, "model": ODD})
    options = {option.name for option in registry().get_offer("exporters", suffix).options} & {"title", "composer"}
    for number, chosen in enumerate([{}, dict.fromkeys(options, ODD)]):
        path = tmp_path / f"{number}{suffix}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReadingWarning)
            write([piece], path, **chosen)
        data = path.read_bytes()
        if suffix in (".abc", ".html", ".musicxml", ".xml", ".svg", ".roll.svg"):
            text = data.decode()
            assert "end" in text
            assert not set(HIDDEN) & set(text)
            assert suffix != ".html" or "\\u202e" not in text
        assert "3\u2066".encode() not in data
        assert "5\ud800".encode("utf-8", "surrogatepass") not in data
