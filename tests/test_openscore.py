"""Folders of OpenScore: movements as pieces, parts as tracks, repeats played once, sets on one side of the split."""

from pathlib import Path

import pytest
from music import notes, save_openscore

from composer.data.corpus import build
from composer.errors import BadOption, EmptyDataset, UnreadableFile
from composer.plugins.registry import registry
from composer_openscore.dataset import OpenScore

SET = Path("scores/Haydn,_Joseph/Set_1")


def write_measure(number, *pitches, before="", after="", quarters=1):
    """A measure of MusicXML: each of `pitches` is a step with its octave, or several that are struck together."""
    text = f'<measure number="{number}">{before}'
    for chord in pitches:
        for place, name in enumerate(chord.split("+")):
            pitch = f"<pitch><step>{name[0]}</step><octave>{name[1]}</octave></pitch>"
            text += f"<note>{'<chord/>' if place else ''}{pitch}<duration>{quarters}</duration></note>"
    return text + after + "</measure>"


def write_score(path, **parts):
    """A MusicXML file with these parts, each a list of measures."""
    listed = "".join(f'<score-part id="{name}"><part-name>{name}</part-name></score-part>' for name in parts)
    music = "".join(f'<part id="{name}">{"".join(measures)}</part>' for name, measures in parts.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<score-partwise><part-list>{listed}</part-list>{music}</score-partwise>")


def read(path, **options):
    dataset = OpenScore("scores", **options)
    return dict(dataset.read(str(path.relative_to("scores"))))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


THREE_FOUR = (
    "<attributes><divisions>1</divisions><key><fifths>-1</fifths></key>"
    "<time><beats>3</beats><beat-type>4</beat-type></time></attributes>"
)


def test_a_movement_begins_where_measures_are_counted_again_with_the_signatures_in_force():
    violin = [
        write_measure(1, "C5", "D5", "E5", before=THREE_FOUR),
        write_measure(2, "C5", "D5", "F5"),
        write_measure(0, "G5"),  # a pickup
        write_measure(1, "A5", "B5", "C6"),
        write_measure(2, "A5", "B5", "D6"),
    ]
    write_score(SET / "quartet.musicxml", Violin=violin)
    pieces = read(SET / "quartet.musicxml")
    assert list(pieces) == ["Haydn,_Joseph/Set_1/quartet.musicxml#1", "Haydn,_Joseph/Set_1/quartet.musicxml#2"]
    first, second = pieces.values()
    assert [pitch for _, _, pitch in notes(first.tracks[0])] == [72, 74, 76, 72, 74, 77]
    assert notes(second.tracks[0])[0] == (0, 1, 79)
    assert second.upbeat == 480
    for piece in (first, second):
        assert [str(signature) for signature in piece.time_signatures] == ["3/4"]
        assert len(piece.key_signatures) == 1
        assert piece.labels == (("composer", "Haydn, Joseph"),)


def test_a_repeat_is_played_once_with_its_last_ending():
    first = '<barline location="left"><ending number="1" type="start"/></barline>'
    stop = '<barline location="right"><ending number="1" type="stop"/><repeat direction="backward"/></barline>'
    second = '<barline location="left"><ending number="2" type="start"/></barline>'
    violin = [
        write_measure(1, "C5", "C5", "C5", before=THREE_FOUR),
        write_measure(2, "D5", "D5", "D5", before=first, after=stop),
        write_measure(3, "E5", "E5", "E5", before=second),
        write_measure(4, "F5", "F5", "F5"),
    ]
    write_score(SET / "quartet.musicxml", Violin=violin)
    (piece,) = read(SET / "quartet.musicxml").values()
    assert [pitch for _, _, pitch in notes(piece.tracks[0])] == [72] * 3 + [76] * 3 + [77] * 3


def test_a_part_is_a_track_whatever_its_voices_and_staves_and_lines_are_its_outer_notes():
    attributes = THREE_FOUR.replace("<key>", "<staves>2</staves><key>")
    left = "<staff>2</staff></note>"
    low = write_measure(1, "C3", quarters=3).partition('number="1">')[2].replace("</note>", left)
    piano = [write_measure(1, "C5+E5", "D5", "E5", before=attributes).replace("</measure>", "")]
    piano[0] += "<backup><duration>3</duration></backup>" + low
    cello = [write_measure(1, "C3+G3", "D3", "E3", before=THREE_FOUR)]
    write_score(SET / "trio.musicxml", Piano=piano, Violoncello=cello)
    (whole,) = read(SET / "trio.musicxml").values()
    assert [(track.name, track.program, len(track.notes)) for track in whole.tracks] == [
        ("Piano", 0, 5),
        ("Violoncello", 42, 4),
    ]
    (lines,) = read(SET / "trio.musicxml", lines=True).values()
    assert [[pitch for _, _, pitch in notes(track)] for track in lines.tracks] == [[76, 74, 76], [48, 50, 52]]


def test_songs_of_a_set_are_on_one_side_and_songs_of_none_go_by_themselves():
    dataset = OpenScore("scores")
    cycle = {dataset.split(f"Schubert,_Franz/Winterreise/{song}/lc{song}.mxl") for song in range(24)}
    assert len(cycle) == 1
    alone = [dataset.split(f"Schubert,_Franz/_/{song}/lc{song}.mxl") for song in range(400)]
    assert [round(alone.count(side) / 400, 1) for side in ("train", "valid", "test")] == [0.8, 0.1, 0.1]


def test_a_folder_becomes_a_corpus_in_three_splits():
    save_openscore("scores", 4, 1, 2)
    dataset = OpenScore("scores")
    corpus = build(dataset, registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options))
    assert [len(corpus.split(side)) for side in ("train", "valid", "test")] == [4, 1, 2]


def test_a_file_that_cannot_be_read_is_named_and_has_another_fingerprint_than_before():
    save_openscore("scores", 1, 1, 1)
    before = OpenScore("scores").fingerprint("Haydn,_Joseph/Set_1/0.musicxml")
    (SET / "0.musicxml").write_text("<score")
    ((name, found),) = read(SET / "0.musicxml").items()
    assert name == "Haydn,_Joseph/Set_1/0.musicxml"
    assert isinstance(found, UnreadableFile)
    assert OpenScore("scores").fingerprint(name) != before


def test_a_wrong_folder_is_refused_in_a_sentence():
    with pytest.raises(BadOption, match="there is no such folder; give the folder that has a folder for each composer"):
        OpenScore("nowhere").list_sources()
    Path("empty").mkdir()
    with pytest.raises(EmptyDataset, match="contains no MusicXML files"):
        OpenScore("empty").list_sources()
