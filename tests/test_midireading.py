"""What a MIDI file plays: pedals, programs, bar lines, what is left out, and the same notes as other readers find."""

import random
import warnings
from collections import defaultdict

import mido
import pretty_midi
import pytest
from midibytes import C4, D4, END, header, track, tune

from composer.errors import LeftOutWarning, ReadingWarning
from composer.music.score import Score, Tempo, TimeSignature, Track, make_notes
from composer.plugins.registry import registry
from composer.types import Piece
from composer_midifile.reading import MidiReader
from composer_midifile.writing import MidiExporter

DOWN, UP = "00 B0 40 7F", "00 B0 40 00"


@pytest.fixture
def read(tmp_path):
    """The score in some bytes, what was said of them, and what was left out."""

    def read_bytes(data, **options):
        path = tmp_path / "song.mid"
        path.write_bytes(data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            score = MidiReader(**options)(path)
        left_out = [warning.message.counts for warning in caught if isinstance(warning.message, LeftOutWarning)]
        assert len(left_out) <= 1
        said = [str(w.message) for w in caught if not isinstance(w.message, LeftOutWarning)]
        return score, " ".join(said), left_out[0] if left_out else {}

    return read_bytes


def ends(score, number=0):
    """(pitch, start, end) of the notes of a track."""
    return [(int(n["pitch"]), int(n["start"]), int(n["start"] + n["duration"])) for n in score.tracks[number].notes]


# --- the pedal --------------------------------------------------------------------------------------------------------


def test_notes_sound_on_while_the_pedal_is_down(read):
    data = header() + track(DOWN, C4, D4, "83 60 B0 40 00", C4, END)
    score, said, left_out = read(data)
    assert ends(score) == [(60, 0, 1440), (62, 480, 1440), (60, 1440, 1920)]
    assert (said, left_out) == ("", {})


def test_an_ignored_pedal_is_left_out_and_said(read, tmp_path):
    data = header() + track(DOWN, C4, D4, "83 60 B0 40 00", C4, END)
    score, _, left_out = read(data, pedal="ignore")
    assert ends(score) == [(60, 0, 480), (62, 480, 960), (60, 1440, 1920)]
    assert left_out == {"sustain pedal": 1}
    with pytest.warns(LeftOutWarning, match=r"song\.mid: left out: sustain pedal \(1\)\.$"):
        MidiReader(pedal="ignore")(tmp_path / "song.mid")


def test_a_pitch_that_is_struck_again_ends_what_the_pedal_holds(read):
    score, said, _ = read(header() + track(DOWN, C4, D4, C4, "83 60 B0 40 00", END))
    assert ends(score) == [(60, 0, 960), (62, 480, 1920), (60, 960, 1920)]
    assert said == ""


@pytest.mark.parametrize(("value", "end"), [("3F", 480), ("40", 960), ("7F", 960)])
def test_the_pedal_is_down_from_64_on(read, value, end):
    score, *_ = read(header() + track(f"00 B0 40 {value}", C4, "83 60 B0 40 00", END))
    assert ends(score) == [(60, 0, end)]


def test_the_pedal_counts_from_the_moment_that_it_goes_down(read):
    during = header() + track("00 90 3C 50 81 70 B0 40 7F 81 70 80 3C 00 83 60 B0 40 00", END)
    assert ends(read(during)[0]) == [(60, 0, 960)]
    with_the_end = header() + track("00 90 3C 50 83 60 80 3C 00", DOWN, "83 60 B0 40 00", END)
    assert ends(read(with_the_end)[0]) == [(60, 0, 480)]
    lifted_and_pressed = header() + track(DOWN, C4, "83 60 B0 40 00", DOWN, "83 60 B0 40 00", END)
    assert ends(read(lifted_and_pressed)[0]) == [(60, 0, 960)]


def test_a_pedal_belongs_to_its_channel_in_whichever_track_it_stands(read):
    notes = track("00 90 3C 50 00 91 40 50 83 60 80 3C 00 00 81 40 00", END)
    score, *_ = read(header(tracks=2) + track(DOWN, "87 40 B0 40 00", END) + notes)
    assert [ends(score, number) for number in (0, 1)] == [[(60, 0, 960)], [(64, 0, 480)]]
    other_port = track("00 FF 21 01 01", DOWN, "87 40 B0 40 00", END)
    assert ends(read(header(tracks=2) + other_port + notes)[0]) == [(60, 0, 480)]


def test_drums_are_not_held(read):
    score, *_ = read(header() + track("00 B9 40 7F 00 99 24 50 60 89 24 00 60 B9 40 00", END))
    assert ends(score) == [(36, 0, 96)]


def test_a_pedal_that_stays_down_comes_up_after_the_last_note(read):
    score, said, _ = read(header() + track(DOWN, C4, D4, END))
    assert ends(score) == [(60, 0, 960), (62, 480, 960)]
    assert "a sustain pedal that stays down was taken to come up after the last note." in said


def test_the_reset_of_all_controllers_lifts_the_pedal(read):
    score, said, _ = read(header() + track(DOWN, C4, "00 B0 79 00", D4, END))
    assert ends(score) == [(60, 0, 480), (62, 480, 960)]
    assert said == ""


PERFORMANCE = header() + track(DOWN, C4, D4, "83 60 B0 40 00", END)


def length_of_first(path):
    return int(registry().make("readers", path.suffix)(path).tracks[0].notes["duration"][0])


def test_what_sounds_is_as_long_as_the_pedal_holds_it_and_a_score_as_the_keys_are_down(run, tmp_path):
    piece, heard, seen = (tmp_path / name for name in ("piece.mid", "heard.mid", "seen.musicxml"))
    piece.write_bytes(PERFORMANCE)
    with pytest.warns(LeftOutWarning, match=r"sustain pedal \(1\)"):
        run("export", piece, heard, seen)
    assert (length_of_first(heard), length_of_first(seen)) == (1440, 480)
    again = [tmp_path / name for name in ("a.mid", "a.musicxml")]
    with pytest.warns(LeftOutWarning):
        run("export", piece, *again, "--pedal", "ignore")
    assert [length_of_first(path) for path in again] == [480, 480]
    again = [tmp_path / name for name in ("b.mid", "b.musicxml")]
    run("export", piece, *again, "--pedal", "extend")
    assert [length_of_first(path) for path in again] == [1440, 1440]


@pytest.mark.filterwarnings("ignore::composer.errors.LeftOutWarning")
def test_sound_lasts_as_long_as_the_pedal_holds_it(run, tmp_path):
    piece = tmp_path / "piece.mid"
    piece.write_bytes(header() + track("00 C0 10", "00 B0 40 7F", C4, "BC 00 B0 40 00", END))  # an organ, 8 seconds on
    sizes = []
    for pedal in ("extend", "ignore"):
        out = tmp_path / f"{pedal}.wav"
        assert run("export", piece, out, "--pedal", pedal).status == 0
        sizes.append(len(out.read_bytes()))
    assert sizes[0] > 2 * sizes[1]


@pytest.mark.filterwarnings("ignore::composer.errors.LeftOutWarning")
def test_a_pedal_is_extended_or_ignored(run, tmp_path):
    piece = tmp_path / "piece.mid"
    piece.write_bytes(PERFORMANCE)
    assert (
        "reader '.mid': 'pedal' is 'half', which is not extend or ignore."
        in run("export", piece, tmp_path / "x.mid", "--pedal", "half").err
    )
    held, still = (run("play", piece, "--still", "--pedal", pedal).out for pedal in ("extend", "ignore"))
    assert held.count("▄") > still.count("▄") > 0


# --- what is left out -------------------------------------------------------------------------------------------------


def test_each_kind_that_is_left_out_is_counted(read):
    events = ["00 B0 07 40", "00 B0 07 30", "00 B0 0A 00", "00 B0 01 05", "00 B0 0B 20", "00 B0 00 01", "00 B0 42 7F"]
    events += ["00 B0 43 7F", "00 B0 5B 28", "00 E0 00 50", "00 D0 20", "00 A0 3C 20", "00 F0 03 43 12 F7"]
    events += ["00 FF 05 02 6C 61", "00 FF 54 05 01 00 00 00 00"]
    score, said, left_out = read(tune(*events))
    assert left_out == {
        "volume": 2, "pan": 1, "modulation": 1, "expression": 1, "bank selects": 1, "sostenuto pedal": 1,
        "soft pedal": 1, "other controllers": 1, "pitch bends": 1, "aftertouch": 2, "system exclusive messages": 1,
        "lyrics": 1, "SMPTE offsets": 1,
    }  # fmt: skip
    assert (score.note_count, said) == (2, "")


def test_what_says_the_same_as_nothing_is_not_counted(read):
    events = ["00 B0 07 64", "00 B0 0A 40", "00 B0 0B 7F", "00 B0 00 00", "00 B0 40 00", "00 B0 79 00", "00 B0 7B 00"]
    events += ["00 E0 00 40", "00 FF 01 03 41 42 43", "00 FF 02 01 41", "00 FF 54 05 00 00 00 00 00", "00 FF 05 00"]
    assert read(tune(*events))[1:] == ("", {})


# --- programs ---------------------------------------------------------------------------------------------------------


def programs(score):
    return [(its.program, len(its.notes)) for its in score.tracks]


def test_a_program_set_in_another_track_is_that_of_its_channel(read):
    score, *_ = read(header(tracks=3) + track("00 C0 28", END) + track(C4, END) + track(D4, END))
    assert programs(score) == [(40, 1), (40, 1)]


def test_a_change_in_another_track_counts_from_its_tick_on(read):
    score, *_ = read(header(tracks=2) + track("00 C0 28 83 60 C0 07", END) + track(C4, D4, END))
    assert [(its.program, ends(score, i)) for i, its in enumerate(score.tracks)] == [
        (7, [(62, 480, 960)]),
        (40, [(60, 0, 480)]),
    ]


def test_a_track_goes_by_its_own_program_where_it_has_one(read):
    shared = header(tracks=2) + track("00 C0 28", C4, END) + track("00 C0 07", D4, END)
    assert programs(read(shared)[0]) == [(40, 1), (7, 1)]
    late = header(tracks=2) + track("00 C0 28", END) + track(C4, "00 C0 07", D4, END)
    assert programs(read(late)[0]) == [(7, 1), (40, 1)]


def test_a_channel_of_another_port_is_another_one(read):
    ported = track("00 FF 21 01 01 00 C0 28", END)
    assert programs(read(header(tracks=2) + ported + track(C4, END))[0]) == [(0, 1)]
    assert programs(read(header(tracks=2) + ported + track("00 FF 21 01 01", C4, END))[0]) == [(40, 1)]


# --- bar lines --------------------------------------------------------------------------------------------------------


FOUR, THREE = "FF 58 04 04 02 18 08", "FF 58 04 03 02 18 08"


@pytest.mark.parametrize("times", [("8E 7F", 1919), ("8F 01", 1921), ("8E 7E", 1918), ("8F 02", 1922)])
def test_a_time_signature_beside_a_bar_line_is_moved_to_it(read, times):
    score, said, _ = read(tune(f"00 {FOUR}", f"{times[0]} {THREE}"))
    assert score.time_signatures == (TimeSignature(0, 4, 4), TimeSignature(1920, 3, 4))
    assert "a time signature a tick or two beside a bar line was moved to it." in said


def test_a_time_signature_on_a_bar_line_or_within_a_bar_stays(read):
    for time, tick in (("8F 00", 1920), ("8B 20", 1440), ("8E 78", 1912)):
        score, said, _ = read(tune(f"00 {FOUR}", "9E 00 B0 07 64", f"{time} {THREE}"))
        assert score.time_signatures[1].tick == 3840 + tick
        assert said == ""


def test_the_bars_after_a_moved_one_are_counted_from_it(read):
    score, *_ = read(tune(f"00 {FOUR}", f"8F 01 {THREE}", f"8B 1F {FOUR}"))  # at 1921, and at 1921 + 1439
    assert [its.tick for its in score.time_signatures] == [0, 1920, 3360]


def test_a_tick_of_a_coarse_file_is_some_of_a_score(read):
    score, *_ = read(tune(f"00 {FOUR}", f"83 01 {THREE}", division=96))  # at 385, where a bar has 384
    assert score.time_signatures[1].tick == 1920


def test_a_score_with_a_time_signature_beside_a_bar_line_comes_back_as_it_is(tmp_path):
    signatures = (TimeSignature(0, 4, 4), TimeSignature(1921, 3, 4))
    score = Score((Track(make_notes([(0, 4800, 60, 80)])),), time_signatures=signatures)
    MidiExporter()([Piece(score)], tmp_path / "a.mid")
    assert MidiReader()(tmp_path / "a.mid") == score


# --- as others read it ------------------------------------------------------------------------------------------------


def size_of(number):
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def drawn_file(draw, *, overlapping=True):
    """Tracks of notes, programs, pedals and tempos on a few channels, in bytes."""
    tracks = []
    for _ in range(draw.choice([1, 2, 3])):
        channels = draw.sample([0, 1, 9], draw.choice([1, 1, 2]))
        events, sounding = [], {}
        for _ in range(draw.choice([3, 30, 60])):
            channel, pitch, kind = draw.choice(channels), draw.randrange(60, 64), draw.randrange(10)
            time = draw.choice([0, 0, 1, 20, 120, 200])
            if kind == 0 and overlapping:
                event = bytes([0xB0 | channel, 64, draw.choice([0, 63, 64, 127])])
            elif kind == 1 and overlapping:
                event = bytes([0xC0 | channel, draw.randrange(128)])
            elif kind == 2 and overlapping:
                event = draw.choice([bytes([0xB0 | channel, 7, 90]), b"\xff\x51\x03\x07\xa1\x20", b"\xff\x01\x01A"])
            elif overlapping:
                event = bytes([draw.choice([0x90, 0x80]) | channel, pitch, draw.randrange(1, 128)])
            else:
                sounds = sounding.get((channel, pitch), False)
                sounding[channel, pitch] = not sounds
                event, time = bytes([0x90 | channel, pitch, 0 if sounds else 80]), max(time, 1)
            events.append(size_of(time) + event)
        tracks.append(track(b"".join(events).hex(), END))
    return header(tracks=len(tracks), division=draw.choice([480, 96, 120])) + b"".join(tracks)


def played(path):
    """What a player makes of a file: [start, end, track, channel, program, pitch] in ticks, by mido's parser.

    It goes through the messages of all tracks by time. A key is let go by the first end of its track; a string sounds
    on while the pedal is down, and until it is struck again.
    """
    file = mido.MidiFile(path)
    messages = [(tick, i, message) for i, its in enumerate(file.tracks) for tick, message in timed(its)]
    messages.sort(key=lambda each: each[0])
    ended = with_ends(messages)
    ends_of_notes = {id(message) for message in ended.values()}
    last = max((tick for tick, _, message in messages if id(message) in ends_of_notes), default=0)
    programs = [(at, *each) for at, each in enumerate(messages) if each[2].type == "program_change"]
    pedal = defaultdict(bool)
    keys, struck, lasting, notes = {}, {}, defaultdict(list), []
    for at, (tick, number, message) in enumerate(messages):
        channel = getattr(message, "channel", None)
        if message.type == "control_change" and message.control == 64:
            pedal[channel] = message.value >= 64
            for note in [] if pedal[channel] else lasting.pop(channel, []):
                note[1] = tick
        elif id(message) in ended:
            for note in [note for note in lasting[channel] if note[5] == message.note]:
                note[1] = max(tick, note[1])
                lasting[channel].remove(note)
            program = program_of([each for each in programs if each[3].channel == channel], at, tick, number)
            notes.append([tick, None, number, channel, program, message.note])
            struck[channel, message.note] = tick
            keys[id(ended[id(message)])] = notes[-1]
        elif id(message) in keys:
            note = keys[id(message)]
            note[1] = tick
            again = struck[channel, message.note] == tick > note[0]
            if pedal[channel] and channel != 9 and not again:
                lasting[channel].append(note)
    for note in (note for its in lasting.values() for note in its):
        note[1] = last
    return file.ticks_per_beat, notes


def program_of(programs, place, tick, number):
    """The last that the track gives its channel before a note, or else that any other has given it by then."""
    own = [message.program for at, _, i, message in programs if i == number and at < place]
    others = [message.program for _, since, i, message in programs if i != number and since <= tick]
    return [0, *others, *own][-1]


def with_ends(messages):
    """The message that ends each that begins a note, by the identity of the latter."""
    open_notes, ended = defaultdict(list), {}
    for _, number, message in messages:
        if message.type in ("note_on", "note_off"):
            begun = open_notes[number, message.channel, message.note]
            if message.type == "note_on" and message.velocity:
                begun.append(message)
            elif begun:
                ended[id(begun.pop(0))] = message
    return ended


def timed(messages):
    tick = 0
    for message in messages:
        tick += message.time
        yield tick, message


def as_score_has_them(division, notes):
    """The notes by part; one ends where the next of its pitch begins, and of twins the longer stays."""
    lines = defaultdict(dict)
    for start, end, number, channel, program, pitch in notes:
        first, until = (round_up(tick * 480, division) for tick in (start, end))
        line = lines[(number, channel, program), pitch]
        line[first] = max(line.get(first, 0), until, first + 1)
    parts = defaultdict(list)
    for (part, pitch), line in lines.items():
        starts = sorted(line)
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            end = line[start] if following is None else min(line[start], following)
            parts[part].append((start, pitch, end))
    return [sorted(parts[part]) for part in sorted(parts)]


def round_up(product, division):
    return (product + division // 2) // division


def test_what_is_drawn_at_random_is_read_as_a_player_plays_it(tmp_path):
    draw, path, count = random.Random(8), tmp_path / "a.mid", 0
    for _ in range(400):
        path.write_bytes(drawn_file(draw))
        with warnings.catch_warnings(action="ignore", category=ReadingWarning):
            score = MidiReader()(path)
        found = [
            sorted((start, pitch, end) for pitch, start, end in ends(score, number))
            for number in range(len(score.tracks))
        ]
        expected = as_score_has_them(*played(path))
        assert found == expected, path.read_bytes().hex()
        count += score.note_count
    assert count > 2000


def test_pretty_midi_finds_the_same_notes(tmp_path):
    draw, path, count = random.Random(3), tmp_path / "a.mid", 0
    for _ in range(60):
        path.write_bytes(drawn_file(draw, overlapping=False))
        with warnings.catch_warnings(action="ignore", category=ReadingWarning):
            score = MidiReader()(path)
        theirs = pretty_midi.PrettyMIDI(str(path))
        expected = [
            sorted(
                (round_up(theirs.time_to_tick(n.start) * 480, theirs.resolution), n.pitch,
                 round_up(theirs.time_to_tick(n.end) * 480, theirs.resolution), n.velocity)
                for n in its.notes
            )
            for its in theirs.instruments
        ]  # fmt: skip
        found = [
            sorted(
                (int(n["start"]), int(n["pitch"]), int(n["start"] + n["duration"]), int(n["velocity"]))
                for n in its.notes
            )
            for its in score.tracks
        ]
        assert sorted(found) == sorted(expected)
        count += score.note_count
    assert count > 500


def test_tempos_metres_and_keys_of_all_tracks_are_taken(read):
    late = track(f"83 60 FF 51 03 06 1A 80 8B 20 {THREE} 00 FF 59 02 02 00", END)
    score, *_ = read(header(tracks=2) + track("00 FF 51 03 07 A1 20", C4, D4, END) + late)
    assert score.tempos == (Tempo(0, 120.0), Tempo(480, 150.0))
    assert score.time_signatures == (TimeSignature(0, 4, 4), TimeSignature(1920, 3, 4))
    assert [(its.tick, str(its.key)) for its in score.key_signatures] == [(1920, "D")]
