"""MIDI files: what is written is read again, and what is damaged is mended, or refused in one sentence."""

import dataclasses
import random
import warnings
from importlib.metadata import EntryPoint

import mido
import pretty_midi
import pytest
from midibytes import C4, D4, END, header, text_event, track, tune

from composer.errors import CannotWrite, ReadingWarning, UnreadableFile
from composer.music.keys import parse_key
from composer.music.score import KeySignature, Score, Tempo, Text, TimeSignature, Track, make_notes
from composer.plugins.offers import load
from composer.types import Piece
from composer_midifile.reading import MidiReader, read_provenance
from composer_midifile.writing import MidiExporter

# --- files, byte by byte ----------------------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path):
    """The score in some bytes, and what was said of them."""

    def read_bytes(data, **options):
        path = tmp_path / "song.mid"
        path.write_bytes(data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            score = MidiReader(**options)(path)
        assert all(issubclass(warning.category, ReadingWarning) for warning in caught)
        return score, " ".join(str(warning.message) for warning in caught)

    return read_bytes


def rows(score, number=0):
    return [tuple(int(value) for value in row) for row in score.tracks[number].notes]


C4_D4 = [(0, 480, 60, 80), (480, 480, 62, 80)]


def test_a_plain_file_is_read_without_a_word(read):
    score, said = read(tune())
    assert rows(score) == C4_D4
    assert said == ""
    assert score.title == "song"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(
            b"MThd" + bytes.fromhex("0000000A 0001 0001 01E0 00000000") + track(C4, D4, END),
            "header is 4 bytes longer",
            id="header of 10 bytes",
        ),
        pytest.param(b"RIFF\x60\0\0\0RMIDdata\x50\0\0\0" + tune(), "first 20 bytes", id="in a RIFF wrapper"),
        pytest.param(b"\0" * 128 + tune(), "first 128 bytes", id="after a MacBinary header"),
        pytest.param(
            header() + b"XFIH\0\0\0\2ab" + track(C4, D4, END), "a chunk that is no track", id="chunk of another kind"
        ),
        pytest.param(tune() + b"garbage", "after the last track was skipped, 7 byte(s)", id="garbage at the end"),
        pytest.param(tune(tracks=5), "promises 5 track(s), and there are 1", id="fewer tracks than promised"),
        pytest.param(tune()[:18] + b"\xff\xff\xff\xff" + tune()[22:], "longer than the file", id="track of 4 GiB"),
        pytest.param(tune()[:-3], "longer than the file", id="cut off within the end mark"),
        pytest.param(header() + track(C4, D4), "without an end mark", id="no end mark"),
        pytest.param(header() + track(C4, D4, END, C4), "after the end mark", id="notes after the end mark"),
        pytest.param(
            header() + track("00 90 3C 50  83 60 3C 00  00 F0 01 F7  00 3E 50  83 60 3E 00", END),
            "without a kind",
            id="running status across a SysEx",
        ),
        pytest.param(tune("00 FF 51 02 07 A1"), "a tempo of 2 bytes", id="tempo of 2 bytes"),
        pytest.param(tune("00 FF 51 03 00 00 00"), "a tempo without a speed", id="tempo of 0 us"),
        pytest.param(tune("00 FF 58 04 00 02 18 08"), "a time signature that no music has", id="time signature 0/4"),
        pytest.param(tune("00 FF 58 04 04 FF 18 08"), "a time signature that no music has", id="4 over 2^255"),
        pytest.param(tune("00 FF 58 02 04 02"), "a time signature of 2 bytes", id="time signature of 2 bytes"),
        pytest.param(tune("00 FF 59 02 80 00"), "a key signature that does not exist", id="128 flats"),
        pytest.param(tune("00 FF 59 00"), "a key signature of 0 bytes", id="empty key signature"),
        pytest.param(
            tune("00 F4", "00 F8"), "belongs on a cable, not in a file, was skipped (2 times)", id="F4 and F8"
        ),
        pytest.param(header() + track(C4, D4, "00 90 40 50", END), "a note that never ends", id="a hanging note"),
        pytest.param(
            header() + track("00 90 3C 50  00 90 3C 50  83 60 80 3C 00  00 80 3C 00", D4, END),
            "struck twice at once",
            id="the same note twice",
        ),
        pytest.param(
            header() + track("00 90 3C 50  00 80 3C 00", C4, D4, END), "of no length", id="a note of no length as well"
        ),
    ],
)
def test_what_is_easily_mended_is_read_and_said(read, data, said):
    score, remarks = read(data)
    assert rows(score) == C4_D4
    assert said in remarks
    assert not score.time_signatures
    assert not score.key_signatures
    assert not score.tempos


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"<html>404 Not Found</html>", "does not begin with 'MThd'", id="a web page"),
        pytest.param(header()[:9], "ends within its header", id="9 bytes"),
        pytest.param(
            b"MThd" + bytes.fromhex("00000004 0001 0001") + track(C4, END), "header of 4 bytes", id="header of 4"
        ),
        pytest.param(header() + b"MTrk\0\0", "ends before its first track", id="cut off before the first track"),
        pytest.param(tune(division=0), "0 ticks to a quarter note", id="division 0"),
        pytest.param(tune(division=0xE728), "film frames", id="SMPTE division, 25 frames of 40 ticks"),
        pytest.param(tune(kind=7), "type 7", id="type 7"),
        pytest.param(
            header(kind=2, tracks=2) + track(C4, END) * 2,
            "holds 2 independent sequences (type 2); split it",
            id="type 2",
        ),
        pytest.param(header() + track("00 3C 50", END), "an event without a kind", id="running status at the start"),
        pytest.param(header() + track("00 90 3C C8"), "at byte 25 the value 200", id="velocity 200"),
        pytest.param(header() + track("00 C0 A8", C4), "at byte 24 the value 168", id="program 168"),
        pytest.param(header() + track("00 90 3C"), "ends in the middle of an event", id="track length too short"),
        pytest.param(header() + track("00 F0 FF 7F 01"), "ends in the middle of an event", id="SysEx past the end"),
        pytest.param(
            header() + track("81 80 80 80 80 00 90 3C 50"), "a time of more than 4 bytes", id="time of 6 bytes"
        ),
        pytest.param(header() + track("FF FF FF 7F B0 07 64" * 9, C4, END), "too long", id="more than 2^31 ticks"),
        pytest.param(header(division=1) + track("FF FF FF 7F B0 07 64", C4, END), "too long", id="long in a Score"),
        pytest.param(header() + track("00 FF 01 00" * 100_001), "full of events that are no music", id="texts only"),
    ],
)
def test_what_cannot_be_told_is_refused_in_one_sentence(read, tmp_path, data, said):
    with pytest.raises(UnreadableFile) as refused:
        read(data)
    text = str(refused.value)
    assert said in text
    assert text.startswith(f"{tmp_path / 'song.mid'}: ")
    assert text.endswith(".")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(UnreadableFile, match="is a folder"):
        MidiReader()(tmp_path)


def test_a_file_beyond_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "large.mid"
    with path.open("wb") as file:
        file.truncate(2**32)
    with pytest.raises(UnreadableFile, match="larger than 16 MiB"):
        MidiReader()(path)


def test_mutations_of_a_good_file_are_read_or_refused(tmp_path):
    draw = random.Random(5)
    good = tune(
        "00 FF 03 05 56 6F 69 63 65", "00 FF 58 04 03 02 18 08", "00 FF 51 03 07 A1 20", "00 C0 05", C4, tracks=2
    )
    good += track("00 FF 06 01 41", C4, "00 B0 40 7F", "83 60 3C 50", D4, END)
    read = 0
    for number in range(400):
        data = bytearray(good)
        for _ in range(draw.randint(1, 3)):
            start = draw.randrange(len(data))
            data[start : start + 1] = draw.randbytes(draw.choice([1, 1, 1, 1, 1, 1, 0, 2]))
        path = tmp_path / f"{number}.mid"
        path.write_bytes(data)
        try:
            with warnings.catch_warnings(action="ignore", category=ReadingWarning):
                score = MidiReader()(path)
        except UnreadableFile:
            continue
        if score.note_count and score.end < 2**28:
            assert written_and_read(score, tmp_path) == score
        read += 1
    assert 100 < read < 300  # that is, both ends were met


# --- what a file means ------------------------------------------------------------------------------------------------


def test_ticks_are_rescaled_to_the_nearest_and_no_note_vanishes(read):
    # 96 ticks a quarter: a triplet of 32 each is 160 in a Score. Then 32767: one tick rounds to nothing, and stays.
    score, said = read(header(division=96) + track("00 90 3C 50  20 80 3C 00", "00 90 3E 50  20 80 3E 00", END))
    assert (rows(score), said) == ([(0, 160, 60, 80), (160, 160, 62, 80)], "")
    score, said = read(header(division=960) + track("00 90 3C 50  21 80 3C 00", "00 90 3E 50  1F 80 3E 00", END))
    assert rows(score) == [(0, 17, 60, 80), (17, 15, 62, 80)]
    assert "2 of 2 notes are moved by less than a tick, from 960 ticks to a quarter note to 480." in said
    score, _ = read(header(division=32767) + track("00 90 3C 50  01 80 3C 00", END))
    assert rows(score) == [(0, 1, 60, 80)]


def test_overlapping_notes_of_one_pitch_are_shortened(read):
    score, said = read(header() + track("00 90 3C 50  81 70 90 3C 5A  81 70 80 3C 00  81 70 80 3C 00", END))
    assert rows(score) == [(0, 240, 60, 80), (240, 480, 60, 90)]
    assert "overlaps was shortened" in said


def test_channels_and_programs_become_tracks_and_channel_10_is_drums(read):
    events = ["00 C0 05", "00 C1 06", "00 90 3C 50", "00 91 40 50", "00 99 24 50"]
    events += ["60 80 3C 00", "00 81 40 00", "00 89 24 00", END]
    score, _ = read(header(kind=0) + track(*events))
    assert [(its.program, its.is_drum) for its in score.tracks] == [(5, False), (6, False), (0, True)]


def test_drums_by_name_are_asked_for(read):
    data = tune("00 FF 03 08 44 72 75 6D 20 6B 69 74")  # "Drum kit"
    assert not read(data)[0].tracks[0].is_drum
    assert read(data, drums_by_name=True)[0].tracks[0].is_drum


def test_names_are_utf_8_or_latin_1_and_no_longer_than_a_hundred(read):
    assert read(tune("00 FF 03 04 D0 91 D0 B0"))[0].tracks[0].name == "Ба"
    assert read(tune("00 FF 03 03 66 FC 72"))[0].tracks[0].name == "für"
    score, said = read(tune("00 FF 03 81 48" + "41" * 200))
    assert score.tracks[0].name == "A" * 100
    assert "cut" in said


def test_the_title_is_the_name_of_a_first_track_without_notes(read):
    data = header(tracks=2) + track("00 FF 03 04 54 75 6E 65", END) + track(C4, END)
    assert read(data)[0].title == "Tune"


def test_a_tempo_is_as_round_as_the_file_allows_and_within_reason(read):
    assert read(tune("00 FF 51 03 06 EF 91"))[0].tempos == (Tempo(0, 132.0),)  # 454,545 us
    score, said = read(tune("00 FF 51 03 00 00 01"))  # 60,000,000 beats a minute
    assert score.tempos == (Tempo(0, 1000.0),)
    assert "a tempo outside 5 to 1000" in said


def test_a_short_first_bar_is_an_upbeat(read):
    score, _ = read(tune("00 FF 58 04 01 02 18 08", C4, "00 FF 58 04 03 02 18 08"))  # 1/4 for a bar, then 3/4
    assert score.upbeat == 480
    assert score.time_signatures == (TimeSignature(0, 3, 4),)


def test_a_change_after_a_whole_bar_is_no_upbeat(read):
    bar = "8B 20 B0 07 64"  # 1,440 ticks, then a controller
    score, _ = read(tune("00 FF 58 04 03 02 18 08", bar, "00 FF 58 04 02 02 18 08"))
    assert score.upbeat == 0
    assert score.time_signatures == (TimeSignature(0, 3, 4), TimeSignature(1440, 2, 4))


def test_a_file_without_notes_is_an_empty_score_and_said(read):
    score, said = read(header() + track(END))
    assert score.tracks == ()
    assert "no notes" in said


# --- written and read again -------------------------------------------------------------------------------------------


def written_and_read(score, folder, provenance=None):
    path = folder / "written.mid"
    MidiExporter()([Piece(score, provenance or {})], path)
    return MidiReader()(path)


SOPRANO = Track(make_notes([(0, 480, 72, 90), (480, 1, 74, 1), (481, 1439, 74, 127)]), "Сопрано", 52)
BASS = Track(make_notes([(0, 480, 48, 70), (0, 480, 36, 70), (7, 100_000, 127, 70)]), "für Elise", 43)
DRUMS = Track(make_notes([(0, 120, 36, 100), (120, 120, 38, 100)]), "Kit", 0, is_drum=True)
PLAIN = Score((SOPRANO, BASS), time_signatures=(TimeSignature(0, 4, 4),))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({}, id="two voices"),
        pytest.param({"tracks": (SOPRANO, DRUMS, BASS)}, id="drums"),
        pytest.param(
            {"tracks": tuple(dataclasses.replace(BASS, name=str(i), program=i) for i in range(20))}, id="20 tracks"
        ),
        pytest.param({"time_signatures": ()}, id="no time signature"),
        pytest.param({"time_signatures": (TimeSignature(0, 3, 4),), "upbeat": 480}, id="upbeat of a quarter"),
        pytest.param({"time_signatures": (TimeSignature(0, 6, 8),), "upbeat": 240}, id="6/8, upbeat of an eighth"),
        pytest.param({"time_signatures": (TimeSignature(0, 3, 4),), "upbeat": 7}, id="upbeat that no bar has"),
        pytest.param({"time_signatures": (), "upbeat": 960}, id="upbeat of a half, no time signature"),
        pytest.param(
            {"time_signatures": (TimeSignature(0, 3, 4), TimeSignature(480, 6, 8)), "upbeat": 480},
            id="another bar after the upbeat",
        ),
        pytest.param(
            {"time_signatures": (TimeSignature(0, 1, 4), TimeSignature(480, 3, 4))}, id="a short first bar, no upbeat"
        ),
        pytest.param({"tempos": (Tempo(0, 61.7), Tempo(77, 132.0), Tempo(4001, 999.98))}, id="tempo map"),
        pytest.param(
            {"key_signatures": (KeySignature(0, parse_key("Dm")), KeySignature(1920, parse_key("F#")))}, id="keys"
        ),
        pytest.param({"markers": (Text(0, "composer:A"), Text(0, "Б"), Text(1919, "B"))}, id="markers"),
    ],
)
def test_a_score_is_written_and_read_again(tmp_path, change):
    score = dataclasses.replace(PLAIN, **change)
    assert written_and_read(score, tmp_path) == score
    assert written_and_read(score, tmp_path, {"request": {"seed": 3}}) == score


def test_every_key_is_written_and_read_again(tmp_path):
    keys = [parse_key(letter + mode) for letter in ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
            for mode in ("", "m")]  # fmt: skip
    score = dataclasses.replace(PLAIN, key_signatures=tuple(KeySignature(i, key) for i, key in enumerate(keys)))
    assert written_and_read(score, tmp_path) == score


def heard(messages):
    """(tick, message) of one of mido's tracks."""
    tick = 0
    for message in messages:
        tick += message.time
        yield tick, message


def test_pretty_midi_reads_the_same_seconds(tmp_path):
    score = dataclasses.replace(PLAIN, tracks=(SOPRANO, DRUMS), tempos=(Tempo(0, 97.0), Tempo(481, 132.0)))
    MidiExporter()([Piece(score)], tmp_path / "a.mid")
    read = pretty_midi.PrettyMIDI(str(tmp_path / "a.mid"), charset="utf-8")
    assert [(part.name, part.program, part.is_drum) for part in read.instruments] == [
        (ours.name, ours.program, ours.is_drum) for ours in score.tracks
    ]
    for part, ours in zip(read.instruments, score.tracks, strict=True):
        begun = [(read.time_to_tick(note.start), note.pitch, note.velocity) for note in part.notes]
        assert sorted(begun) == sorted(
            zip(*(ours.notes[f].tolist() for f in ("start", "pitch", "velocity")), strict=True)
        )
    assert read.get_tempo_changes()[1] == pytest.approx([97.0, 132.0], abs=1e-3)


def test_another_program_reads_the_same(tmp_path):
    score = dataclasses.replace(
        PLAIN,
        tracks=(SOPRANO, DRUMS),
        tempos=(Tempo(0, 97.0), Tempo(481, 132.0)),
        time_signatures=(TimeSignature(0, 3, 4), TimeSignature(4800, 2, 4)),
        key_signatures=(KeySignature(0, parse_key("Dm")),),
        markers=(Text(480, "A"),),
        upbeat=480,
    )
    MidiExporter()([Piece(score)], tmp_path / "a.mid")
    file = mido.MidiFile(tmp_path / "a.mid", charset="utf-8")
    conductor = [(tick, message) for tick, message in heard(file.tracks[0])]
    assert (file.type, file.ticks_per_beat) == (1, 480)
    assert [(t, m.tempo) for t, m in conductor if m.type == "set_tempo"] == [(0, 618557), (481, 454545)]
    # The upbeat is a bar of its own, so that bar lines are where they are in the Score.
    assert [(t, m.numerator, m.denominator) for t, m in conductor if m.type == "time_signature"] == [
        (0, 1, 4),
        (480, 3, 4),
        (4800, 2, 4),
    ]
    assert [(t, m.key) for t, m in conductor if m.type == "key_signature"] == [(0, "Dm")]
    assert [(t, m.text) for t, m in conductor if m.type == "marker"] == [(480, "A")]
    assert [(t, m.text) for t, m in conductor if m.type == "text"] == [(0, 'composer:{"upbeat":480}')]
    soprano, drums = ([(t, m) for t, m in heard(its)] for its in file.tracks[1:])
    assert [m.name for _, m in soprano if m.type == "track_name"] == ["Сопрано"]
    assert [m.program for _, m in soprano if m.type == "program_change"] == [52]
    assert [(t, m.note, m.velocity) for t, m in soprano if m.type == "note_on"] == [
        (0, 72, 90),
        (480, 72, 0),
        (480, 74, 1),
        (481, 74, 0),  # the end of a note comes before the next of its pitch
        (481, 74, 127),
        (1920, 74, 0),
    ]
    assert {m.channel for _, m in drums if not m.is_meta} == {9}


def test_the_same_piece_is_written_to_the_same_bytes(tmp_path):
    made_by = {"request": {"seed": 3, "key": "Dm"}, "model": "ab12"}
    MidiExporter()([Piece(PLAIN, made_by)], tmp_path / "a.mid")
    MidiExporter()([Piece(PLAIN, dict(reversed(made_by.items())))], tmp_path / "b.mid")
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_a_piece_without_provenance_has_no_text_in_it(tmp_path):
    MidiExporter()([Piece(PLAIN)], tmp_path / "a.mid")
    assert b"composer" not in (tmp_path / "a.mid").read_bytes()
    assert read_provenance(tmp_path / "a.mid") == {}


def test_provenance_is_read_back_as_it_was_given(tmp_path):
    made_by = {"request": {"seed": 2**63, "title": "Ёлка \u2028 \x1b[2J"}, "model": "ab12"}
    score = dataclasses.replace(PLAIN, upbeat=480)
    MidiExporter()([Piece(score, made_by)], tmp_path / "a.mid")
    assert read_provenance(tmp_path / "a.mid") == made_by


@pytest.mark.parametrize(
    "text",
    [
        b"composer:",
        b"composer:{",
        b"composer:[1]",
        b"composer:" + b"[" * 100_000,
        b'composer:{"a":' * 50_000,
        b'composer:{"a":' + b"9" * 100_000 + b"}",
        b'composer:{"upbeat":1e999',
        b"composer:\xff\xfe",
    ],
)
def test_a_hostile_text_is_no_provenance(read, tmp_path, text):
    score, _ = read(tune(text_event(text)))
    assert rows(score) == C4_D4
    assert read_provenance(tmp_path / "song.mid") == {}


@pytest.mark.parametrize("upbeat", ["-1", "1920", "1e999", '"480"', "true", "[480]", "9" * 100])
def test_an_upbeat_that_does_not_fit_is_left_out_and_said(read, upbeat):
    score, said = read(tune(text_event(f'composer:{{"upbeat":{upbeat}}}'.encode())))
    assert score.upbeat == 0
    assert "upbeat" in said


# --- as a sequencer wants it ------------------------------------------------------------------------------------------


def tracks_written(score, folder, provenance=None):
    """(tick, message) of each track, as mido reads it."""
    MidiExporter()([Piece(score, provenance or {})], folder / "a.mid")
    return [list(heard(its)) for its in mido.MidiFile(folder / "a.mid", charset="utf-8").tracks]


def places(tracks):
    """(port, channel, program) of each track but the first."""
    found = []
    for its in tracks[1:]:
        port = [message.port for _, message in its if message.type == "midi_port"]
        (program,) = (message for _, message in its if message.type == "program_change")
        assert {message.channel for _, message in its if not message.is_meta} == {program.channel}
        found.append((*port, program.channel, program.program))
    return found


def with_programs(*programs, drums=()):
    """A score with a track for each program; those at the places of `drums` are drums."""
    notes = make_notes([(0, 480, 60, 80)])
    return Score(tuple(Track(notes, f"part {i}", program, i in drums) for i, program in enumerate(programs)))


def test_a_track_is_named_first_and_its_program_stands_before_its_notes(tmp_path):
    first, *others = tracks_written(dataclasses.replace(PLAIN, title="Tune"), tmp_path)
    assert [message.type for _, message in first][:2] == ["track_name", "time_signature"]
    assert first[0][1].name == "Tune"
    for its in others:
        assert [message.type for _, message in its][:3] == ["track_name", "program_change", "note_on"]


def test_the_title_that_the_user_gave_goes_before_that_of_the_score(tmp_path):
    score = dataclasses.replace(PLAIN, title="chorale")
    assert tracks_written(score, tmp_path, {"title": "Mine"})[0][0][1].name == "Mine"
    assert MidiReader()(tmp_path / "a.mid").title == "Mine"
    assert "track_name" not in {message.type for _, message in tracks_written(PLAIN, tmp_path)[0]}


def test_all_tracks_end_where_the_piece_does(tmp_path):
    for markers, end in [((), 100_007), ((Text(200_000, "end"),), 200_000), ((Text(150_000, "coda"),), 150_000)]:
        tracks = tracks_written(dataclasses.replace(PLAIN, markers=markers), tmp_path)
        assert {(its[-1][0], its[-1][1].type) for its in tracks} == {(end, "end_of_track")}


@pytest.mark.parametrize(("metre", "clocks"), [((4, 4), 24), ((6, 8), 36), ((2, 2), 48), ((3, 8), 12), ((5, 64), 1)])
def test_a_metronome_clicks_once_a_beat(tmp_path, metre, clocks):
    score = dataclasses.replace(PLAIN, time_signatures=(TimeSignature(0, *metre),))
    first, *_ = tracks_written(score, tmp_path)
    (signature,) = (message for _, message in first if message.type == "time_signature")
    assert signature.clocks_per_click == clocks


def test_fifteen_melodic_tracks_have_a_channel_each_wherever_the_drums_stand(tmp_path):
    found = places(tracks_written(with_programs(*range(16), drums=(8,)), tmp_path))
    assert found[8] == (9, 8)
    assert sorted(channel for channel, _ in found) == list(range(16))


def test_more_than_fifteen_melodic_tracks_have_ports_and_the_channels_of_their_programs(tmp_path):
    found = places(tracks_written(with_programs(*range(15), 40, 3, 0), tmp_path))
    assert [port for port, *_ in found] == [0] * 15 + [1] * 3
    assert found[15:] == [(1, 0, 40), (1, 3, 3), (1, 1, 0)]  # 3 is in its place, and 40 has taken that of 0
    assert len({place[:2] for place in found}) == 18


def test_drums_share_channel_10_if_they_share_their_kit(tmp_path):
    assert places(tracks_written(with_programs(0, 0, drums=(0, 1)), tmp_path)) == [(9, 0), (9, 0)]
    assert places(tracks_written(with_programs(0, 25, drums=(0, 1)), tmp_path)) == [(0, 9, 0), (1, 9, 25)]


def test_notes_of_one_pitch_do_not_overlap_in_a_file(tmp_path):
    over = Score((Track(make_notes([(0, 480, 60, 80), (0, 240, 60, 80), (240, 480, 60, 90), (240, 960, 64, 80)])),))
    _, its = tracks_written(over, tmp_path)
    assert [(t, m.note, m.velocity) for t, m in its if m.type == "note_on"] == [
        (0, 60, 80),
        (240, 60, 0),
        (240, 60, 90),
        (240, 64, 80),
        (720, 60, 0),
        (1200, 64, 0),
    ]


def test_a_track_without_notes_is_written(tmp_path):
    empty = Track(make_notes([]), "silent", 5)
    *_, its = tracks_written(Score((BASS, empty)), tmp_path)
    assert [message.type for _, message in its] == ["track_name", "program_change", "end_of_track"]
    assert next(message.type for _, message in tracks_written(Score((empty,)), tmp_path)[1]) == "track_name"
    assert len(tracks_written(Score(), tmp_path)) == 1


def test_what_cannot_be_written_is_refused_and_leaves_no_file(tmp_path):
    write, piece = MidiExporter(), Piece(PLAIN)
    with pytest.raises(CannotWrite, match="holds one piece, and here are 2"):
        write([piece, piece], tmp_path / "a.mid")
    with pytest.raises(CannotWrite, match="cannot be written"):
        write([piece], tmp_path / "no such folder" / "a.mid")
    high = Track(make_notes([(0, 480, 128, 90)]))
    for score, said in [
        (Score((high,)), "track 1 has a pitch outside 0..127"),
        (Score((Track(make_notes([(0, 2**28, 60, 90)])),)), "longer than"),
        (Score((BASS,) * 32_767), "it has 32,767 tracks"),
        (dataclasses.replace(PLAIN, tempos=(Tempo(0, float("nan")),)), "a tempo of nan"),
        (dataclasses.replace(PLAIN, time_signatures=(TimeSignature(0, 4, 3),)), "no time signature 4/3"),
    ]:
        with pytest.raises(CannotWrite, match=said):
            write([Piece(score)], tmp_path / "a.mid")
    with pytest.raises(CannotWrite, match="JSON"):
        write([Piece(PLAIN, {"model": object()})], tmp_path / "a.mid")
    assert list(tmp_path.iterdir()) == []


def test_the_plugin_offers_the_usual_suffixes():
    registry = load([EntryPoint(name="midi-file", value="composer_midifile", group="composer")])
    assert registry.list_names("readers") == [".kar", ".mid", ".midi"]
    assert registry.list_names("exporters") == [".mid", ".midi"]
    assert registry.make("readers", ".mid", drums_by_name="yes") == MidiReader(drums_by_name=True)
