"""The melody of a piece with other parts, which a model of one line is trained on."""

from dataclasses import replace

import pytest
from walks import walk

from composer.io import formats
from composer.music.parts import keep_melody
from composer.music.score import Score, Track, make_notes
from composer.types import Piece

TUNE = [(480 * beat, 480, pitch, 80) for beat, pitch in enumerate([72, 74, 76, 77, 79, 77, 76, 72])]
CHORDS = [(960 * half, 960, pitch, 60) for half in range(4) for pitch in (48, 52, 55)]
BASS = [(960 * half, 960, 36, 60) for half in range(4)]
HIGH_HATS = [(480 * beat, 240, 90, 60) for beat in range(8)]
LOWER = [(start, length, pitch - 4, force) for start, length, pitch, force in TUNE]
HIGHER = [(start, length, pitch + 24, force) for start, length, pitch, force in TUNE]


def track(rows, name="", **more):
    return Track(make_notes(sorted(rows)), name, **more)


def pitches(score):
    [only] = score.tracks
    return only.notes["pitch"].tolist()


@pytest.mark.parametrize(
    "tracks",
    [
        pytest.param([track(TUNE), track(CHORDS)], id="beside chords"),
        pytest.param([track(CHORDS), track(BASS), track(TUNE)], id="after the others"),
        pytest.param([track(HIGH_HATS, is_drum=True), track(TUNE), track(BASS)], id="beside drums"),
        pytest.param([track(TUNE, "Melody"), track(HIGHER, "Descant")], id="by its name"),
        pytest.param([track([*TUNE, *LOWER]), track(CHORDS)], id="in double stops"),
        pytest.param([track(TUNE)], id="alone"),
    ],
)
def test_the_melody_is_found(tracks):
    assert pitches(keep_melody(Score(tuple(tracks)))) == [row[2] for row in TUNE]


def test_a_note_of_the_melody_ends_at_the_next():
    held = [(start, 2000, pitch, force) for start, _, pitch, force in TUNE]
    [only] = keep_melody(Score((track(held), track(CHORDS)))).tracks
    assert only.notes["duration"].tolist() == [480] * 7 + [2000]


def test_chords_alone_stay_as_they_are():
    score = Score((track(CHORDS),))
    assert keep_melody(score) is score


def test_a_model_of_one_line_is_trained_on_the_melodies_of_pieces_with_an_accompaniment(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folk").mkdir()
    for number in range(4):
        tune = walk(number)
        score = replace(tune, tracks=(tune.tracks[0], track(CHORDS)))
        formats.write([Piece(score)], tmp_path / f"folk/{number}.mid")
    small = ["--hidden-size", 8, "--steps", 1, "--evaluations", 1, "--device", "cpu", "--out", "x.safetensors"]
    line = ["--tokenizer", "voices", "--names", "Tune", "--lowest", 0, "--highest", 127]
    ran = run("train", "folder:folk", *line, *small)
    assert ran.status == 0
    assert "4 pieces kept (2 train, 1 valid, 1 test), 0 refused." in ran.err
    assert "left out: parts beside the melody (4 in 4 files)." in ran.err
