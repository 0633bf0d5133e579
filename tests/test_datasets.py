"""Datasets: which music they give, under which names, and what they leave out with a reason."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from walks import walk

from composer.data.corpus import build
from composer.errors import BadOption, EmptyDataset, LeftOutWarning, UnreadableFile
from composer.io.formats import write
from composer.music.keys import Key
from composer.music.score import Score, TimeSignature, Track, compute_bars, make_notes
from composer.plugins.registry import registry
from composer.types import Piece
from composer_chorales.dataset import Chorales, find_key, make_chorale, make_monophonic
from composer_folder.dataset import Folder
from composer_notation.abc.tunebook import split_tunes
from composer_tunes.dataset import Tunes, make_score

Q = 480  # ticks of a quarter note

# --- chorales ---------------------------------------------------------------------------------------------------------

SAMPLE = ["bwv66.6.mxl", "bwv4.8.mxl", "bwv248.59-6.mxl", "bwv269.mxl"]


@pytest.fixture(scope="module")
def sample():
    return {name: piece for source in SAMPLE for name, piece in Chorales().read(source)}


def test_the_chorales_are_many_and_each_is_there_once():
    sources = Chorales().list_sources()
    assert len(sources) > 390
    assert len(set(sources)) == len(sources)
    assert set(SAMPLE) <= set(sources)
    assert {"bwv277.mxl", "bwv248.42-s.mxl", "bwv190.7.mxl"} <= set(sources)
    assert not {"bwv277.krn", "bwv248.42-4.mxl", "bwv190.7-inst.mxl", "bwv846.mxl"} & set(sources)


def test_a_chorale_has_four_voices_of_one_note_at_a_time(sample):
    assert sorted(sample) == ["bwv248.59-6", "bwv269", "bwv4.8", "bwv66.6"]
    for score in sample.values():
        assert [track.name for track in score.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
        for track in score.tracks:
            ends = track.notes["start"] + track.notes["duration"]
            assert (ends[:-1] <= track.notes["start"][1:]).all()


def test_what_is_known_of_bwv_66_6(sample):
    score = sample["bwv66.6"]
    assert score.title == "BWV 66.6"
    assert score.upbeat == Q
    assert score.time_signatures == (TimeSignature(0, 4, 4),)
    assert str(score.key_signatures[0].key) == "F#m"
    assert [int(track.notes["pitch"][0]) for track in score.tracks] == [73, 64, 57, 57]  # C#5, E4, A3, A3
    assert int(score.tracks[0].notes["duration"][0]) == Q // 2
    assert len(compute_bars(score).signatures) == 10


def test_repeats_of_a_chorale_are_sung_once(sample):
    assert len(compute_bars(sample["bwv4.8"]).signatures) < 18


def test_five_voices_are_no_chorale():
    [(name, error)] = Chorales().read("bwv227.3.mxl")
    assert name == "bwv227.3"
    assert isinstance(error, UnreadableFile)
    assert str(error) == "bwv227.3.mxl: is not for one soprano, alto, tenor and bass."


def voices(*rows):
    """Four voices that sing these (start, length, pitch) an octave apart, in quarter notes."""
    tracks = (Track(make_notes([(a * Q, b * Q, pitch - 12 * i, 80) for a, b, pitch in rows])) for i in range(4))
    return Score(tuple(tracks), time_signatures=(TimeSignature(0, 4, 4),))


def test_a_piece_in_which_the_choir_pauses_is_no_plain_chorale():
    assert make_chorale(voices((0, 4, 72), (7, 4, 74)), "x").note_count == 8
    with pytest.raises(UnreadableFile, match="silent for a bar"):
        make_chorale(voices((0, 4, 72), (8, 4, 74)), "x")
    with pytest.raises(UnreadableFile, match="longer than 64 bars"):
        make_chorale(voices(*((4 * i, 4, 72) for i in range(65))), "x")


def test_a_divided_voice_keeps_its_outer_note():
    notes = make_notes([(0, 960, 60, 80), (0, 960, 64, 80), (480, 480, 67, 80)])
    assert [tuple(int(v) for v in n)[:3] for n in make_monophonic(notes)] == [(0, 480, 64), (480, 480, 67)]
    assert [int(n["pitch"]) for n in make_monophonic(notes, lowest=True)] == [60, 67]


def test_a_minor_chorale_that_ends_on_a_major_chord_is_minor():
    minor = [(i, 1, pitch) for i, pitch in enumerate([62, 65, 69, 70, 69, 67, 65, 64])]
    piece = voices(*minor, (8, 8, 62))
    tracks = (*piece.tracks[:3], Track(make_notes([(0, 4 * Q, 50, 80), (8 * Q, 12 * Q, 54, 80), (20 * Q, Q, 50, 80)])))
    assert find_key(tracks, fifths=-1) == Key(2, minor=True)


# --- tunes ------------------------------------------------------------------------------------------------------------


def tune(music, key="C", metre="4/4", unit="1/8", **options):
    [written] = split_tunes(f"X:1\nT:A tune\nM:{metre}\nL:{unit}\nK:{key}\n{music}\n")
    return make_score(written, **options)


def rows(score):
    """Notes as (start, length, pitch), in quarter notes."""
    return [(n["start"] / Q, n["duration"] / Q, int(n["pitch"])) for n in score.tracks[0].notes]


def pitches(score):
    return [int(pitch) for pitch in score.tracks[0].notes["pitch"]]


def test_lengths_broken_rhythm_triplets_and_ties():
    score = tune("A2 B/2c/ d>e f<g z | (3abc d2- d2 e2 | (5abcde f4 ||")
    third, fifth = pytest.approx(1 / 3), pytest.approx(1 / 5)
    lengths = [length for _, length, _ in rows(score)]
    assert lengths[:7] == [1, 0.25, 0.25, 0.75, 0.25, 0.25, 0.75]
    assert lengths[7:12] == [third, third, third, 2, 1]
    assert lengths[12:] == [fifth, fifth, fifth, fifth, fifth, 2]


@pytest.mark.parametrize(
    ("music", "key", "expected"),
    [
        ("^F F f | F8", "C", [66, 66, 78, 65]),  # in its bar, in every octave
        ("^F =F F", "G", [66, 65, 65]),
        ("^f8- | f4 f4", "C", [78, 77]),  # a tie carries it over the bar line, and no further
        ("F C B", "D", [66, 61, 71]),
        ("F C B", "Ddor", [65, 60, 71]),
        ("F C B", "D mixolydian", [66, 60, 71]),
        ("C, c c'", "C", [48, 72, 84]),
        ("B E A", "Eb", [70, 63, 68]),
        ('[CEG]2 {ab}c "Am"~d .e !trill!f', "C", [67, 72, 74, 76, 77]),  # the top of a chord; no ornaments
    ],
)
def test_pitches(music, key, expected):
    assert pitches(tune(music, key)) == expected


@pytest.mark.parametrize(
    ("key", "name"),
    [("Ador", "Am"), ("Dmix", "D"), ("G", "G"), ("E Minor", "Em"), ("Bb", "Bb"), ("F#m", "F#m"), ("GM", "G")],
)
def test_a_church_mode_becomes_the_key_of_its_third(key, name):
    assert str(tune("C8", key).key_signatures[0].key) == name


def test_an_unknown_mode_is_estimated():
    music = "A2E2 A2B2 | c2B2 A2E2 | A8 |]"
    assert str(tune(music, "C", is_mode_known=False).key_signatures[0].key) == "Am"


@pytest.mark.parametrize(
    ("music", "letters"),
    [
        ("C8 | D8 :| E8 |]", "CDCDE"),
        ("|: C8 | D8 :|: E8 :| F8 |]", "CDCDEEF"),
        ("|: C8 |1 D8 :|2 E8 || F8 |]", "CDCEF"),
        ("|: C8 |[1 D8 :|[2 E8 :| F8 |]", "CDCEF"),
        ("C8 || D8 :|", "CDD"),  # from the double bar line
        ("|: C8 || D8 :|", "CDCD"),  # from the sign
        ("C8 :: D8 :|", "CCDD"),
        ("C8 :|\n|: D8 |1,3 E8 :|2 F8 :|", "CCDEDFDE"),
    ],
)
def test_repeats_are_played(music, letters):
    assert "".join("CDEF"[[60, 62, 64, 65].index(pitch)] for pitch in pitches(tune(music))) == letters


def test_a_full_last_bar_makes_room_for_the_upbeat_of_the_repeat():
    score = tune("G2 | c8 | c6 c2 :| G2 | e8 | c6 |]")
    assert score.upbeat == Q
    assert score.time_signatures == (TimeSignature(0, 4, 4),)
    held = tune("G2 | c8 | c6 :| e8 | c8 |]")
    assert held.time_signatures == (TimeSignature(0, 4, 4),)
    cut = tune("G2 | c8 | c8 :| G2 | e8 | c6 |]")
    assert [length for _, length, _ in rows(cut)][:3] == [1, 4, 3], "the last note gives way to the upbeat"
    bare = tune("G2 | c8 | c6 c2 :|")
    assert pitches(bare) == [67, 72, 72, 72, 72, 72, 72], "a last note as short as the upbeat takes its place"


@pytest.mark.parametrize(
    ("music", "sections"),
    [
        ("C8 | D8 |]", []),
        ("C8 | D8 :| E8 | F8 :|", [("A", 0), ("A", 2), ("B", 4), ("B", 6)]),
        ("G4 | c8 | d4 :| G4 | e8 | c8 | c4 |]", [("A", 0.5), ("A", 2.5), ("B", 4.5)]),  # after their pickups
        ("G4 |: c8 | c8 :|", [("A", 0.5), ("A", 2.5)]),
    ],
)
def test_a_tune_has_its_sections_as_markers(music, sections):
    assert [(marker.text, marker.tick / (4 * Q)) for marker in tune(music).markers] == sections


@pytest.mark.parametrize(
    ("music", "options", "reason"),
    [
        ("C8 | D7 | E8 |]", {}, "has a bar of 7/8 where the metre is 4/4"),
        ("C8 | 9 D8", {}, r"has '9 D8' where a note was expected"),
        ("C8", {"key": "H"}, "has an invalid key 'H'"),
        ("C8", {"metre": "none"}, "has the metre 'none', which gives no bars"),
        ("z8", {}, "has no notes"),
        ("> C8", {}, "has a '>' without a note before it"),
        ("c'''''''' C4", {}, "out of range"),
        ("C/0", {}, "has an invalid length"),
    ],
)
def test_a_tune_that_cannot_be_read_says_why(music, options, reason):
    with pytest.raises(ValueError, match=reason):
        tune(music, **options)


def test_the_tune_books():
    sources = Tunes().list_sources()
    assert len(sources) > 1_000
    found = [piece for source in sources[20::40] for piece in Tunes().read(source)]
    names = [name for name, _ in found]
    assert len(set(names)) == len(names)
    kept = [score for _, score in found if isinstance(score, Score)]
    assert len(kept) > 0.85 * len(found)
    for score in kept:
        [track] = score.tracks
        assert (np.diff(track.notes["start"]) >= track.notes["duration"][:-1]).all(), "one note at a time"


def test_the_airs_are_for_training_and_leave_out_kin_of_what_is_held_out():
    sources = Tunes().list_sources()
    assert {Tunes().split(source) for source in sources if source.startswith("airds")} == {"train"}
    assert {Tunes().split(source) for source in sources if not source.startswith("airds")} == {""}
    airs = dict(Tunes().read("airdsAirs/book3.abc"))
    assert isinstance(airs["airdsAirs/book3#26"], UnreadableFile)
    assert sum(isinstance(air, Score) for air in airs.values()) > 180
    assert "Jack Campin" in Tunes().licence


def test_the_essen_songs_come_only_when_asked_for_and_say_what_their_licence_is():
    assert not any(source.startswith("essen") for source in Tunes().list_sources())
    assert any(source.startswith("essen") for source in Tunes(essen=True).list_sources())
    assert "non-commercial" in Tunes(essen=True).licence
    assert "Essen" not in Tunes().licence + Tunes().source + Tunes().title


# --- a folder ---------------------------------------------------------------------------------------------------------

ABC = "X:1\nM:2/4\nL:1/4\nK:C\nCD|EF|GA|Bc|]\n"

MIDI = bytes.fromhex(
    "4D546864 00000006 0000 0001 01E0"  # header: type 0, one track, 480 ticks to a quarter note
    "4D54726B 0000000D"  # a track of 13 bytes
    "00 90 3C 50  83 60 80 3C 00"  # C4, a quarter note
    "00 FF 2F 00"  # end
)


@pytest.fixture
def music(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "b.abc").write_text(ABC)
    (tmp_path / "A.ABC").write_text(ABC)
    (tmp_path / "deep" / "er" / "c.mid").write_bytes(MIDI)
    (tmp_path / "deep" / "notes.txt").write_text("not music")
    (tmp_path / ".hidden.abc").write_text(ABC)
    return tmp_path


def everything(folder):
    return {name: piece for source in folder.list_sources() for name, piece in folder.read(source)}


def test_a_folder_gives_every_music_file_below_it(music):
    folder = registry().make("datasets", "folder", path=str(music))
    assert folder.list_sources() == ["A.ABC", "b.abc", "deep/er/c.mid"]
    assert {name: score.note_count for name, score in everything(folder).items()} == {
        "A.ABC": 8,
        "b.abc": 8,
        "deep/er/c.mid": 1,
    }


def test_a_bad_file_is_named_and_is_not_the_end(music):
    (music / "broken.mid").write_bytes(MIDI[:20])
    (music / "empty.xml").write_bytes(b"")
    found = everything(Folder(str(music)))
    assert [name for name, piece in found.items() if isinstance(piece, Exception)] == ["broken.mid", "empty.xml"]
    assert "broken.mid" in str(found["broken.mid"])
    assert isinstance(found["b.abc"], Score)


def test_links_in_circles_are_walked_once(music):
    (music / "deep" / "round").symlink_to(music)
    (music / "again").symlink_to(music / "deep")
    (music / "gone.abc").symlink_to(music / "nowhere.abc")
    found = everything(Folder(str(music)))
    assert sum(name.endswith("c.mid") for name in found) == 1
    assert isinstance(found["gone.abc"], UnreadableFile)


def test_hidden_files_and_those_of_macos_are_left_out_and_counted(music):
    (music / "__MACOSX" / "deep").mkdir(parents=True)
    for name in ("__MACOSX/._b.abc", "__MACOSX/deep/c.mid", "deep/._c.mid", "deep/.d.mid", "deep/.DS_Store"):
        (music / name).write_bytes(b"Mac OS X")
    with pytest.warns(LeftOutWarning) as said:
        assert Folder(str(music)).list_sources() == ["A.ABC", "b.abc", "deep/er/c.mid"]
    [warning] = said
    assert str(warning.message) == f"{music}: left out: hidden files (2), files that macOS adds (3)."


def test_a_folder_of_any_depth_is_walked_as_far_as_it_can_be_opened(music, monkeypatch):
    monkeypatch.chdir(music / "deep")
    for level in range(1_050):  # Python's stack is not as deep, and no path is as long
        Path("d123").mkdir()
        os.chdir("d123")
        if not level:
            Path("e.mid").write_bytes(MIDI)
    os.chdir(music)
    try:
        with pytest.warns(LeftOutWarning, match=r"folders that cannot be opened \(1\)"):
            assert Folder(str(music)).list_sources() == ["A.ABC", "b.abc", "deep/d123/e.mid", "deep/er/c.mid"]
    finally:
        subprocess.run(["rm", "-r", "deep"], check=True)


def test_names_that_are_hard_to_write_are_read_and_shown_safely(tmp_path, tmp_path_factory, tokenizer, run):
    names = [b"a.mid", b"A.mid", b"a\nb.mid", b"\xff\xfe.mid", b"\x1b[2J.mid", "\u202egpj.mid".encode(), b"a: b.mid"]
    for number, name in enumerate(names):
        write([Piece(walk(number))], tmp_path / os.fsdecode(name))
    (tmp_path / os.fsdecode(b"\xff\n.mid")).write_bytes(b"no music")
    found = everything(Folder(str(tmp_path)))
    assert len(found) == 8
    assert [str(piece).isprintable() for piece in found.values() if isinstance(piece, Exception)] == [True]
    corpus = build(Folder(str(tmp_path)), tokenizer, cache=tmp_path_factory.mktemp("corpora"))
    assert sorted(corpus.names) == sorted(os.fsdecode(name) for name in names)
    [refused] = corpus.refused
    assert (refused.name, refused.reason.isprintable()) == (os.fsdecode(b"\xff\n.mid"), True)
    checked = run("check", tmp_path)
    assert all(line.isprintable() for line in checked.out.split("\n"))
    assert "in \\udcff\\n.mid\n" in checked.out


def test_what_is_no_file_is_refused_and_the_rest_is_read(music):
    os.mkfifo(music / "pipe.mid")
    (music / "device.mid").symlink_to("/dev/zero")
    (music / "folder.mid").mkdir()
    with (music / "huge.mid").open("wb") as file:
        file.truncate(2**42)
    folder = Folder(str(music))
    assert all(folder.fingerprint(source) for source in folder.list_sources())
    found = everything(folder)
    assert {name: str(piece).partition(": ")[2] for name, piece in found.items() if isinstance(piece, Exception)} == {
        "device.mid": "is a device, not a file.",
        "huge.mid": "is larger than 16 MiB.",
        "pipe.mid": "is a named pipe, not a file.",
    }
    assert sum(isinstance(piece, Score) for piece in found.values()) == 3


def test_a_hostile_name_is_never_shown_raw(music):
    (music / "\x1b[2Jbell\a\n.abc").write_text("not music")
    found = everything(Folder(str(music)))
    [error] = [piece for piece in found.values() if isinstance(piece, Exception)]
    assert str(error).isprintable()


def test_the_fingerprint_is_of_the_content(music):
    folder = Folder(str(music))
    before = folder.fingerprint("b.abc")
    assert folder.fingerprint("A.ABC") == before
    (music / "b.abc").write_text(ABC.replace("CD", "DC"))
    assert folder.fingerprint("b.abc") != before


def test_home_is_understood(music, monkeypatch):
    monkeypatch.setenv("HOME", str(music))
    assert len(Folder("~").list_sources()) == 3


def test_a_folder_without_music_is_a_clear_mistake(tmp_path):
    with pytest.raises(EmptyDataset, match=r"contains no music files; supported are .*\.mid"):
        Folder(str(tmp_path)).list_sources()
    with pytest.raises(BadOption, match="no such folder"):
        Folder(str(tmp_path / "nowhere")).list_sources()
    (tmp_path / "b.abc").write_text(ABC)
    with pytest.raises(BadOption, match="is a file, not a folder"):
        Folder(str(tmp_path / "b.abc")).list_sources()


def test_drums_by_name_reaches_the_reader_that_knows_it(tmp_path):
    named = MIDI[:14] + b"MTrk\0\0\0\x16" + bytes.fromhex("00 FF 03 05 44 72 75 6D 73") + MIDI[22:]  # "Drums"
    (tmp_path / "kit.mid").write_bytes(named)
    for drums in (False, True):
        [(_, score)] = Folder(str(tmp_path), drums_by_name=drums).read("kit.mid")
        assert score.tracks[0].is_drum is drums


@pytest.mark.filterwarnings("ignore::composer.errors.LeftOutWarning")
def test_the_pedal_reaches_the_reader_that_knows_it(tmp_path):
    held = bytes.fromhex("00 B0 40 7F  00 90 3C 50  60 80 3C 00  60 B0 40 00  00 FF 2F 00")
    (tmp_path / "held.mid").write_bytes(MIDI[:14] + b"MTrk" + len(held).to_bytes(4, "big") + held)
    lengths = []
    for pedal in ("extend", "ignore"):
        [(_, score)] = Folder(str(tmp_path), pedal=pedal).read("held.mid")
        lengths.append(int(score.tracks[0].notes["duration"][0]))
    assert lengths[0] == 2 * lengths[1]
