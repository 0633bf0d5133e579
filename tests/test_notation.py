"""Notation files: what a musician sees on the page is what the score holds, and a hostile file is refused at once."""

import io
import re
import zipfile
from fractions import Fraction

import pytest

from composer.errors import LeftOutWarning, ReadingWarning, UnreadableFile
from composer.io import formats
from composer.music.keys import Key
from composer.music.score import Tempo, TimeSignature, compute_bars
from composer_notation.bargrid import Measure, find_time_signatures
from composer_notation.reader import NotationReader

Q = 480  # ticks of a quarter note


# --- MusicXML, built measure by measure -------------------------------------------------------------------------------


def note(step, length=2, *marks, octave=4, voice=1, alter=0):
    """A note of so many eighths; marks: `chord`, `tie-start`, `tie-stop`, `grace`."""
    ties = "".join(f'<tie type="{mark[4:]}"/>' for mark in marks if mark.startswith("tie-"))
    tied = "".join(f'<tied type="{mark[4:]}"/>' for mark in marks if mark.startswith("tie-"))
    pitch = f"<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
    kind = "<rest/>" if step == "R" else pitch
    first = "<grace/>" if "grace" in marks else "<chord/>" if "chord" in marks else ""
    last = "" if "grace" in marks else f"<duration>{length}</duration>"
    return f"<note>{first}{kind}{last}{ties}<voice>{voice}</voice><notations>{tied}</notations></note>"


def attributes(beats=4, unit=4, fifths=0, mode="", transpose=0):
    mode = f"<mode>{mode}</mode>" if mode else ""
    moved = f"<transpose><chromatic>{transpose}</chromatic></transpose>" if transpose else ""
    return (
        f"<attributes><divisions>2</divisions><key><fifths>{fifths}</fifths>{mode}</key>"
        f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>{moved}</attributes>"
    )


def bar_line(side, direction="", ending="", kind="start"):
    mark = f'<ending number="{ending}" type="{kind}"/>' if ending else ""
    repeat = f'<repeat direction="{direction}"/>' if direction else ""
    return f'<barline location="{side}">{mark}{repeat}</barline>'


def musicxml(*parts):
    """Each part: a name, and the content of each measure."""
    listed = "".join(
        f'<score-part id="P{i}"><part-name>{name}</part-name></score-part>' for i, (name, *_) in enumerate(parts)
    )
    written = "".join(
        f'<part id="P{i}">'
        + "".join(f'<measure number="{number}">{content}</measure>' for number, content in enumerate(measures))
        + "</part>"
        for i, (_, *measures) in enumerate(parts)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 '
        'Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd"><score-partwise version="3.1">'
        f"<part-list>{listed}</part-list>{written}</score-partwise>"
    )


@pytest.fixture
def read(tmp_path):
    """Reads a text, or bytes, as a file of that suffix."""

    def reading(content, suffix=".musicxml"):
        path = tmp_path / f"piece{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return formats.read_with(NotationReader(), path)

    return reading


def rows(track):
    """Notes as (start, length, pitch), in quarter notes."""
    return [(n["start"] / Q, n["duration"] / Q, int(n["pitch"])) for n in track.notes]


# --- what is on the page ----------------------------------------------------------------------------------------------


def test_upbeat_metre_key_and_names(read):
    score = read(
        musicxml(
            ("Soprano", attributes(3, 4, 1, "minor") + note("B"), note("E", 6), note("E", 4)),
            ("Horn", attributes(3, 4, 1, "minor") + note("G"), note("E", 4) + note("D"), note("E", 4)),
        )
    )
    assert score.upbeat == Q
    assert score.time_signatures == (TimeSignature(0, 3, 4),)
    assert [signature.key for signature in score.key_signatures] == [Key(4, minor=True)]
    assert [(track.name, track.program) for track in score.tracks] == [("Soprano", 52), ("Horn", 60)]
    assert rows(score.tracks[1]) == [(0, 1, 67), (1, 2, 64), (3, 1, 62), (4, 2, 64)]
    assert list(compute_bars(score).starts) == [0, Q, 4 * Q, 7 * Q]


def test_a_tied_note_is_one_note_and_a_grace_note_is_none(read):
    tied = note("C", 4) + note("D", 4, "tie-start")
    score = read(musicxml(("", attributes() + tied, note("D", 8, "tie-stop", "tie-start"), note("D", 2, "tie-stop"))))
    assert rows(score.tracks[0]) == [(0, 2, 60), (2, 7, 62)]
    graced = read(musicxml(("", attributes() + note("C", 4) + note("B", 1, "grace") + note("D", 4))))
    assert rows(graced.tracks[0]) == [(0, 2, 60), (2, 2, 62)]


def test_a_signature_without_a_mode_takes_the_key_of_the_notes(read):
    melody = [note(step, 2, octave=4) for step in "AEABCBEA"]
    score = read(musicxml(("", attributes() + "".join(melody[:4]), "".join(melody[4:]))))
    assert str(score.key_signatures[0].key) == "Am"


def test_voices_that_sound_together_become_tracks_and_a_chord_stays_in_one(read):
    two = note("E", 8, octave=5) + "<backup><duration>8</duration></backup>" + note("C", 4, voice=2) * 2
    score = read(musicxml(("Piano", attributes() + note("C", 8), two)))
    assert [track.name for track in score.tracks] == ["Piano 1", "Piano 2"]
    assert rows(score.tracks[0]) == [(0, 4, 60), (4, 4, 76)]
    chord = read(musicxml(("Piano", attributes() + note("C", 8) + note("E", 8, "chord"))))
    assert [rows(track) for track in chord.tracks] == [[(0, 4, 60), (0, 4, 64)]]


def test_a_transposing_instrument_is_written_down_as_it_sounds(read):
    score = read(musicxml(("Clarinet", attributes(transpose=-2) + note("D", 8))))
    assert rows(score.tracks[0]) == [(0, 4, 60)]


def test_tempo_and_chord_symbols(read):
    mark = (
        "<direction><direction-type><metronome><beat-unit>half</beat-unit><per-minute>50</per-minute></metronome>"
        "</direction-type></direction>"
    )
    harmony = "<harmony><root><root-step>A</root-step></root><kind>minor</kind></harmony>"
    score = read(musicxml(("", attributes() + mark + note("C", 4) + harmony + note("A", 4))))
    assert score.tempos == (Tempo(0, 100.0),)
    assert [(chord.tick, chord.text) for chord in score.chords] == [(2 * Q, "Am")]
    assert score.note_count == 2


# --- repeats and bars -------------------------------------------------------------------------------------------------


def test_endings_are_played_in_their_turn(read):
    first = bar_line("left", ending="1") + note("D", 8) + bar_line("right", "backward", "1", "stop")
    second = bar_line("left", ending="2") + note("E", 8) + bar_line("right", ending="2", kind="stop")
    score = read(musicxml(("", attributes() + note("C", 8), first, second, note("F", 8))))
    assert [pitch for *_, pitch in rows(score.tracks[0])] == [60, 62, 60, 64, 65]


def test_a_bar_cut_in_two_by_a_repeat_sign_is_one_bar(read):
    score = read(
        musicxml(
            (
                "",
                attributes() + note("G"),
                note("C", 8),
                note("D", 6) + bar_line("right", "backward"),
                note("A"),
                note("E", 8),
                note("C", 6),
            )
        )
    )
    assert score.upbeat == Q
    assert score.time_signatures == (TimeSignature(0, 4, 4),)
    starts = {int(pitch): start for start, _, pitch in rows(score.tracks[0])}
    assert (starts[64] - 1) % 4 == 0, "the bar after the repeat begins on the grid"


def test_an_odd_measure_gets_a_signature_of_its_own():
    lengths = [Fraction(quarters) for quarters in (4, 3, 4, 8, 2)]
    starts = [sum(lengths[:i], Fraction()) for i in range(len(lengths))]
    found = find_time_signatures([Measure(start, length) for start, length in zip(starts, lengths, strict=True)])
    assert found == (TimeSignature(0, 4, 4), TimeSignature(4 * Q, 3, 4), TimeSignature(7 * Q, 4, 4))


def direction(*words, sound=""):
    written = "".join(f"<direction-type><words>{text}</words></direction-type>" for text in words)
    return f"<direction>{written}{f'<sound {sound}/>' if sound else ''}</direction>"


def sign(tag):
    return f"<direction><direction-type><{tag}/></direction-type></direction>"


@pytest.mark.parametrize(
    ("measures", "played"),
    [
        (["C", "D" + direction("Fine"), "E" + direction("D.C. al Fine")], "CDECD"),
        (["C", "D" + direction(sound='fine="yes"'), "E" + direction(sound='dacapo="yes"')], "CDECD"),
        (["C", sign("segno") + "D", "E" + direction("D. S.")], "CDEDE"),
        (["C" + direction("To Coda"), "D" + direction("D.C. al Coda"), sign("coda") + "E"], "CDCE"),
        (["C" + sign("coda"), "D" + direction("da capo al coda"), sign("coda") + "E"], "CDCE"),
        (
            [
                direction(sound='segno="s"') + "C" + direction(sound='tocoda="c"'),
                "D" + direction(sound='dalsegno="s"'),
                direction(sound='coda="c"') + "E",
            ],
            "CDCE",
        ),
        (["C" + sign("segno"), "D" + direction("dal segno")], "CDD"),  # at the end of a bar it is the next one's
        ([bar_line("right", "backward") + step for step in "CDE"], "CCDDEE"),
        (["C", bar_line("left", ending="1") + "D" + bar_line("right", ending="1", kind="stop"),
          bar_line("left", ending="2") + "E" + bar_line("right", ending="2", kind="discontinue"), "F"], "CDCEF"),
        ([bar_line("right", "backward").replace("/></bar", ' times="3"/></bar') + "C"], "CCC"),
    ],
)  # fmt: skip
def test_what_a_player_is_told_to_play_is_played(read, measures, played):
    written = [re.sub(r"(?<![A-Za-z.])([C-F])(?=$|<)", lambda step: note(step[1], 8), measure) for measure in measures]
    score = read(musicxml(("", attributes() + written[0], *written[1:])))
    assert "".join("CxDxEF"[pitch - 60] for *_, pitch in rows(score.tracks[0])) == played


def test_a_jump_that_leads_nowhere_is_named(read):
    with pytest.warns(ReadingWarning, match=r"piece\.musicxml: has a jump to a segno that is missing; .* as written"):
        score = read(musicxml(("", attributes() + note("C", 8), note("D", 8) + direction("D.S."))))
    assert score.note_count == 2


def test_signs_and_tempos_of_a_lower_part_count(read):
    low = attributes() + direction("Fine", sound='tempo="90"') + note("C", 8)
    score = read(musicxml(("", attributes() + note("C", 8), note("E", 8)), ("", low, note("G", 8) + direction("D.C."))))
    assert [pitch for *_, pitch in rows(score.tracks[0])] == [60, 64, 60]
    assert score.tempos == (Tempo(0, 90.0),)


# --- what is odd, but right -------------------------------------------------------------------------------------------


def test_words_between_the_notes_of_a_chord_do_not_part_them(read):
    score = read(musicxml(("", attributes() + note("C", 8) + direction("dolce") + note("E", 8, "chord"))))
    assert rows(score.tracks[0]) == [(0, 4, 60), (0, 4, 64)]


def test_a_second_staff_may_come_later_and_a_note_without_a_staff_is_on_the_first(read):
    both = note("A", 8) + "<backup><duration>8</duration></backup>"
    low = note("E", 8, octave=3).replace("</voice>", "</voice><staff>2</staff>")
    score = read(
        musicxml(("", attributes() + note("C", 8), "<attributes><staves>2</staves></attributes>" + both + low))
    )
    assert [rows(track) for track in score.tracks] == [[(0, 4, 60), (4, 4, 69)], [(4, 4, 52)]]


def test_what_sounds_is_said_by_alter_and_not_by_the_sign_that_is_drawn(read):
    drawn = note("A", 8).replace("<notations>", "<accidental>sharp</accidental><notations>")
    assert rows(read(musicxml(("", attributes() + drawn))).tracks[0]) == [(0, 4, 69)]


def test_drums_sound_as_their_instruments_say(read):
    sounds = (
        '<score-instrument id="S"/><score-instrument id="X"/><midi-instrument id="S"><midi-channel>10</midi-channel>'
        '<midi-unpitched>39</midi-unpitched></midi-instrument><midi-instrument id="X"><midi-channel>10</midi-channel>'
        "<midi-unpitched>64</midi-unpitched></midi-instrument></score-part>"
    )
    struck = "<note><unpitched/><duration>2</duration>{}<voice>1</voice></note>"
    beats = [struck.format(f'<instrument id="{name}"/>') for name in "SX"] + [struck.format("")] * 2
    text = musicxml(("Kit", attributes() + "".join(beats))).replace("</score-part>", sounds)
    with pytest.warns(LeftOutWarning, match=r"left out: notes of percussion that name no sound \(2\)"):
        score = read(text)
    assert [(track.name, track.is_drum, rows(track)) for track in score.tracks] == [
        ("Kit", True, [(0, 1, 38), (1, 1, 63)])
    ]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("<beats>3+2</beats><beat-type>8</beat-type>", (5, 8)),
        ("<beats>3</beats><beat-type>8</beat-type><beats>1</beats><beat-type>4</beat-type>", (5, 8)),
        ("<senza-misura/>", (4, 4)),
    ],
)
def test_time_signatures_that_are_no_plain_fraction(read, time, expected):
    signed = re.sub("<time>.*</time>", f"<time>{time}</time>", attributes())
    score = read(musicxml(("", signed + note("C", 5), note("D", 5), note("E", 5))))
    assert (score.time_signatures[0].numerator, score.time_signatures[0].denominator) == expected or time[1] == "s"
    assert score.note_count == 3


def test_each_key_without_a_mode_is_the_one_that_its_notes_speak_for(read):
    first, second = "".join(map(note, "CEGC")), "".join(map(note, "DAFD"))
    score = read(musicxml(("", attributes() + first, attributes(fifths=2) + second.replace("<alter>0", "<alter>1"))))
    assert [(mark.tick, mark.key.fifths) for mark in score.key_signatures] == [(0, 0), (4 * Q, 2)]


def test_what_is_left_out_is_said_once_a_kind(read):
    grace = note("B", 1, "grace")
    cue = note("D", 8).replace("<pitch>", "<cue/><pitch>")
    sung = note("C", 8).replace("</notations>", "</notations><lyric><text>la</text></lyric>")
    loud = "<direction><direction-type><dynamics><f/></dynamics></direction-type></direction>"
    with pytest.warns(LeftOutWarning) as warned:
        score = read(musicxml(("", attributes() + loud + grace + sung, grace + cue)))
    (left_out,) = (w.message for w in warned if isinstance(w.message, LeftOutWarning))
    assert left_out.counts == {"dynamics": 1, "grace notes": 2, "lyrics": 1, "cue notes": 1}
    assert score.note_count == 1


def packed(**members):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return data.getvalue()


def test_packed_and_plain_are_equal(read):
    text = musicxml(("", attributes() + note("C", 8)))
    assert read(packed(score_xml=text), ".mxl") == read(text, ".xml")


# --- what is refused --------------------------------------------------------------------------------------------------

LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><score-partwise>&b;</score-partwise>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><score-partwise>&a;</score-partwise>'


BEFORE_ITS_BEGINNING = bytes.fromhex(
    "504B0102 1400 1400 0000 0000 0000 0000"  # an entry of a directory: versions, flags, stored, time and date
    "00000000 00000000 00000000"  # checksum and sizes
    "0900 0000 0000 0000 0000 00000000 00000000"  # the length of its name; it begins at byte 0…
    "73636F72652E786D6C"  # score.xml
    "504B0506 0000 0000 0100 0100"  # the end of the directory, which has one entry
    "37000000 40000000 0000"  # of 55 bytes, from byte 64 on, though the file begins with it: so that 0 means -64
)
"""An archive whose only member would begin before the file does."""


@pytest.mark.parametrize(
    ("content", "suffix", "reason"),
    [
        (LAUGHS, ".xml", "declares entities"),
        (LAUGHS.encode("utf-16"), ".xml", "declares entities"),
        (OUTSIDE, ".musicxml", "declares entities"),
        (packed(score_xml=LAUGHS), ".mxl", "declares entities"),
        ("<score-partwise>" + "<a>" * 100_000, ".xml", "not well-formed"),
        ("<score-partwise>" + "<a>" * 100_000 + "</a>" * 100_000 + "</score-partwise>", ".xml", "contains no notes"),
        ("<score-partwise>" + "<a/>" * 2_500_000 + "</score-partwise>", ".xml", "more than 1,250,000 elements"),
        ("<html><body/></html>", ".xml", "not a MusicXML score"),
        ("<score-partwise><part", ".xml", "not well-formed"),
        ("<score-partwise><part-list/></score-partwise>", ".xml", "contains no notes"),
        (b"PK\3\4 and nothing more", ".mxl", "damaged"),
        (packed(readme_txt="hello"), ".mxl", "holds no score"),
        (BEFORE_ITS_BEGINNING, ".mxl", "damaged"),
        (b'<?xml version="1.0" encoding="shift_jis"?><score-partwise/>', ".xml", "in an unsupported encoding"),
        (b'<?xml version="1.0" encoding="rot13"?><score-partwise/>', ".xml", "in an unsupported encoding"),
        (packed(score_xml=b" " * (65 * 1024 * 1024)), ".mxl", "unpacks to more than 64 MB"),
        (b" " * (21 * 1024 * 1024), ".xml", "larger than 20 MB"),
        (musicxml(("", attributes() + note("C", 10**9))), ".xml", "more than 100,000 bars"),
        ("", ".musicxml", "not well-formed"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(read, content, suffix, reason):
    with pytest.raises(UnreadableFile, match=rf"piece\{suffix}: [^\n]*{reason}[^\n]*\.$"):
        read(content, suffix)


@pytest.mark.parametrize(
    ("content", "suffix"),
    [(BEFORE_ITS_BEGINNING, ".mxl"), (b'<?xml version="1.0" encoding="shift_jis"?><score-partwise/>', ".musicxml")],
)
def test_what_made_a_bad_file_is_asked_in_vain(tmp_path, content, suffix):
    path = tmp_path / f"piece{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile):
        formats.read_provenance(path)


def test_a_score_that_is_cut_short_anywhere_is_read_or_refused(read):
    text = musicxml(("", attributes() + note("C", 8), note("D", 8)))
    for end in range(0, len(text), 97):
        with pytest.raises(UnreadableFile):
            read(text[:end])
