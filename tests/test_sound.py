"""Sound: what is written is heard in what another library reads; what cannot be played is refused in one sentence."""

import shutil
import struct
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from music import BAR, QUARTER, drums, line, score
from scipy.io import wavfile
from scipy.signal import lfilter

from composer.errors import BadOption, CannotWrite
from composer.io import formats
from composer.music.score import Score, Tempo, Text, Track, make_notes
from composer.plugins.registry import registry
from composer.types import Piece
from composer_sound import encoding, renderer, rendering, soundfonts, takes
from composer_sound.exporting import SoundExporter

XYLOPHONE, WOODBLOCK, ORGAN, FLUTE, STRINGS, GLOCKENSPIEL = 13, 115, 19, 73, 48, 9
RATE = 48_000
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")

# Four quarters, two of silence, and four more, by two voices.
TUNE = score(
    line((72, 1), (74, 1), (76, 1), (77, 1), (0, 2), (79, 1), (77, 1), (76, 1), (72, 2)),
    line((48, 4), (0, 2), (43, 3), (48, 2)),
)

LONG = score(line((60, 1), (0, 48), (64, 1), (0, 48), (67, 1)))  # begun in three stretches


def heard(music, path, **options):
    """What libsndfile reads in the file that was written: (samples, 2)."""
    formats.write([Piece(music)], path, **options)
    sound, rate = soundfile.read(path)
    assert rate == RATE
    return sound


def wav(music, path, **options):
    """What SciPy reads in a WAV file: mono, full scale being 1."""
    formats.write([Piece(music)], path / "a.wav", **options)
    rate, sound = wavfile.read(path / "a.wav")
    assert (rate, sound.dtype, sound.shape[1]) == (RATE, np.int16, 2)
    return sound.mean(1) / 32768


def level(sound):
    """Root mean square in dB below full scale."""
    return 20 * np.log10(np.sqrt(np.mean(np.square(sound))) + 1e-9)


def between(sound, first, last):
    """The part from one second to another."""
    return sound[int(first * RATE) : int(last * RATE)]


def onsets(sound):
    """Seconds at which sound rises out of a stretch that is 26 dB softer than its highest peak or more."""
    loud = np.abs(sound) > np.abs(sound).max() / 20
    places = np.flatnonzero(loud)
    apart = np.flatnonzero(np.diff(places, prepend=-RATE) > RATE // 12)
    return places[apart] / RATE


def above_neighbours(sound, pitch):
    """By how many dB a pitch is stronger than those a semitone away."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**18)) ** 2
    lines = [440 * 2 ** ((near - 69) / 12) * 2**18 / RATE for near in (pitch, pitch - 1, pitch + 1)]
    here, *there = (power[int(at * 0.985) : int(at * 1.015) + 1].max() for at in lines)
    return 10 * np.log10(here / max(there))


def lufs(sound):
    """Loudness of a mono or stereo sound by the recommendation's own filters, sample by sample."""
    sound = np.asarray(sound, np.float64).reshape(len(sound), -1)
    shelf = lfilter([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585],
                    sound, axis=0)  # fmt: skip
    weighted = lfilter([1, -2, 1], [1, -1.99004745483398, 0.99007225036621], shelf, axis=0)
    starts = range(0, len(sound) - 4 * encoding.STEP + 1, encoding.STEP)
    blocks = np.array([np.mean(weighted[at : at + 4 * encoding.STEP] ** 2, axis=0).sum() for at in starts])
    blocks = blocks[-0.691 + 10 * np.log10(blocks + 1e-12) > -70]
    gate = blocks.mean() / 10
    return -0.691 + 10 * np.log10(blocks[blocks > gate].mean())


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_holds_the_same_sound(suffix, tmp_path):
    plain, sound = heard(TUNE, tmp_path / "a.wav"), heard(TUNE, tmp_path / f"b{suffix}")
    assert len(sound) == len(plain)
    assert 11 / 2 < len(sound) / RATE < 11 / 2 + 4  # eleven quarters at 120, and what dies away
    assert np.corrcoef(sound[:, 0], plain[:, 0])[0, 1] > 0.99
    assert level(sound) == pytest.approx(level(plain), abs=1.1)
    assert 0.1 < np.abs(sound).max() < 10 ** (-1 / 20)


@pytest.mark.parametrize(
    ("suffix", "content"), [(".wav", "PCM_16"), (".flac", "PCM_16"), (".ogg", "VORBIS"), (".mp3", "MPEG_LAYER_III")]
)
def test_the_same_piece_is_the_same_file(suffix, content, tmp_path):
    for name in "ab":
        SoundExporter()([Piece(TUNE, {"seed": 3})], tmp_path / (name + suffix))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert soundfile.info(tmp_path / f"a{suffix}").subtype == content


def test_a_piece_is_the_same_file_however_many_processors_there_are(tmp_path, monkeypatch):
    for processors in (1, 2, 3):
        monkeypatch.setattr(rendering, "_count_processors", lambda: processors)  # noqa: B023  (called at once)
        SoundExporter()([Piece(LONG)], tmp_path / f"{processors}.wav")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_wav_is_one_that_any_program_reads(tmp_path):
    SoundExporter()([Piece(TUNE)], tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        assert file.getnframes() * 4 + 44 == (tmp_path / "a.wav").stat().st_size


@pytest.mark.parametrize(
    "tempos",
    [
        pytest.param((), id="120 unless stated"),
        pytest.param((Tempo(0, 90.0),), id="90"),
        pytest.param((Tempo(0, 60.0), Tempo(2 * QUARTER, 200.0), Tempo(2 * QUARTER + 160, 75.5)), id="tempo changes"),
    ],
)
def test_notes_begin_when_the_score_says(tempos, tmp_path):
    ticks = [0, QUARTER, 2 * QUARTER, 3 * QUARTER + 160, 5 * QUARTER, 5 * QUARTER + 213]
    hits = Track(make_notes([(tick, 60, 84, 100) for tick in ticks]), program=WOODBLOCK)
    expected, second, tick, tempo = [], 0.0, 0, 120.0
    changes = {change.tick: change.bpm for change in tempos}
    for tick in range(ticks[-1] + 1):  # tick by tick: another way than the exporter's
        tempo = changes.get(tick, tempo)
        if tick in ticks:
            expected.append(second)
        second += 60 / tempo / QUARTER
    found = onsets(wav(Score((hits,), tempos=tempos), tmp_path))
    assert found == pytest.approx(expected, abs=0.010)


def test_notes_begin_on_time_far_into_a_piece(tmp_path):
    quarters = (1, 39, 40, 41, 119, 120, 121)  # before, at and after the ends of stretches
    hits = Track(make_notes([(at * QUARTER, 60, 84, 100) for at in quarters]), program=WOODBLOCK)
    assert onsets(wav(Score((hits,)), tmp_path)) == pytest.approx([at / 2 for at in quarters], abs=0.010)


def test_a_note_that_is_held_across_a_stretch_sounds_on(tmp_path):
    held = Track(make_notes([(118 * QUARTER, 8 * QUARTER, 69, 100)]), program=ORGAN)
    sound = wav(Score((held,)), tmp_path)
    levels = [level(between(sound, at, at + 0.1)) for at in np.arange(59.3, 62.8, 0.1)]
    assert max(levels) - min(levels) < 3
    assert level(between(sound, 0, 59)) < -90


def test_rests_are_silent(tmp_path):
    sound = wav(score(line((72, 1), (0, 7), (72, 1), program=FLUTE)), tmp_path)
    assert level(between(sound, 2.5, 4.0)) < level(between(sound, 0.1, 0.5)) - 50


@pytest.mark.parametrize("chord", [(57,), (60, 64, 67), (52, 59, 68, 76)])
def test_the_pitches_of_the_score_sound(chord, tmp_path):
    sound = wav(score(line((chord, 4), program=FLUTE)), tmp_path)
    for pitch in chord:
        assert above_neighbours(between(sound, 0.3, 1.9), pitch) > 20
    assert above_neighbours(between(sound, 0.3, 1.9), chord[0] + 2) < 10


def test_a_program_is_heard(tmp_path):
    struck, blown = (wav(score(line((60, 8), program=program)), tmp_path) for program in (XYLOPHONE, ORGAN))
    assert len(struck) < 2 * RATE
    assert level(between(blown, 2, 3)) > level(between(blown, 0, 0.2)) - 6


def test_drums_are_drums_whatever_else_sounds(tmp_path):
    alone = wav(score(drums(*((at, 42) for at in range(4)))), tmp_path)
    assert onsets(alone) == pytest.approx([0, 0.5, 1, 1.5], abs=0.010)
    spectrum = np.abs(np.fft.rfft(between(alone, 0, 0.2)))
    assert spectrum[1000:].sum() > spectrum[:1000].sum()  # a hi-hat lies above 5 kHz, pitch 42 at 92 Hz
    high = lfilter([1, -2, 1], [1], wav(score(line((36, 4), program=ORGAN), drums((1, 42), (3, 42))), tmp_path))
    assert onsets(high) == pytest.approx([0.5, 1.5], abs=0.010)


def test_forty_tracks_have_each_their_program(tmp_path):
    """Forty tracks in turn: of each pair the second has died away before the next, the first is held."""
    tracks = [line((60, 1), start=number * 2 * QUARTER, program=(ORGAN, XYLOPHONE)[number % 2]) for number in range(40)]
    together = [line((72, 80), program=GLOCKENSPIEL, velocity=20) for _ in range(3)]
    sound = wav(Score((*tracks, *together)), tmp_path)
    for number in range(40):
        begin, end = (level(between(sound, number + at, number + at + 0.1)) for at in (0.05, 0.38))
        assert (begin - end < 6) == (number % 2 == 0), number


def test_more_notes_at_once_than_a_synthesiser_has_voices(tmp_path):
    tracks = [line((36 + number, 4), program=STRINGS) for number in range(60)]
    sound = wav(Score(tuple(tracks)), tmp_path)
    power = np.abs(np.fft.rfft(between(sound, 0.3, 1.9) * np.hanning(int(1.6 * RATE)))) ** 2
    for pitch in range(48, 95, 7):
        line_at = round(440 * 2 ** ((pitch - 69) / 12) * 1.6)
        assert power[line_at - 3 : line_at + 4].max() > 1e-4 * power.max(), pitch


def test_it_ends_when_the_last_note_has_died_away(tmp_path):
    bell = replace(TUNE, tracks=(line((84, 1), program=14),), markers=(Text(100 * BAR, "end"),))
    for music, least, most in ((bell, 2.0, 12.0), (score(line((60, 1), program=XYLOPHONE)), 0.2, 3.0)):
        sound = wav(music, tmp_path)
        assert least < len(sound) / RATE < most
        assert level(sound[-RATE // 20 :]) < 20 * np.log10(np.abs(sound).max()) - 55
        assert level(sound[-RATE // 5 : -RATE // 10]) > -100


# --- loudness ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "velocity"), [(-18.0, 25), (-18.0, 127), (-23.0, 80), (-30.0, 80)])
def test_a_piece_is_as_loud_as_asked(target, velocity, tmp_path):
    music = score(line(((60, 64, 67), 4), ((62, 65, 69), 4), program=STRINGS, velocity=velocity))
    assert lufs(heard(music, tmp_path / "a.wav", loudness=target)) == pytest.approx(target, abs=0.2)


def test_peaks_stay_below_full_scale_however_loud_it_is_asked(tmp_path):
    for suffix, ceiling in ((".wav", -1), (".flac", -1), (".ogg", -1), (".mp3", -1)):
        peak = np.abs(heard(score(drums((0, 36), (1, 38))), tmp_path / f"a{suffix}", loudness=0)).max()
        assert -4 < 20 * np.log10(peak) <= ceiling + 0.01, suffix


def test_what_clips_in_the_synthesiser_is_played_softer_instead(tmp_path, monkeypatch):
    loud = score(line((tuple(range(24, 96, 3)), 2), program=ORGAN, velocity=127))
    found = wav(loud, tmp_path)
    monkeypatch.setattr(rendering, "_VOLUMES", (100,))
    assert np.corrcoef(found[:RATE], wav(loud, tmp_path)[:RATE])[0, 1] > 0.9999
    monkeypatch.setattr(rendering, "_VOLUMES", (127,))
    assert np.corrcoef(found[:RATE], wav(loud, tmp_path)[:RATE])[0, 1] < 0.9999


def test_loudness_is_that_of_the_recommendation():
    """A sine of 997 Hz at full scale in one channel is -3.01 LKFS; others as filtered sample by sample."""
    time = np.arange(3 * RATE) / RATE
    for frequency, tolerance in ((997.0, 0.05), (55.0, 0.1), (8000.0, 0.05)):
        sine = np.stack((np.sin(2 * np.pi * frequency * time), 0 * time), 1).astype(np.float32)
        found = encoding.measure_loudness(encoding.compute_powers(sine))
        assert found == pytest.approx(lufs(sine), abs=tolerance)
        if frequency == 997:
            assert found == pytest.approx(-3.01, abs=0.05)
    rng = np.random.default_rng(0)
    gusts = (rng.normal(size=(6 * RATE, 2)) * np.repeat([0.1, 0.0001, 0.02], 2 * RATE)[:, None]).astype(np.float32)
    assert encoding.measure_loudness(encoding.compute_powers(gusts)) == pytest.approx(lufs(gusts), abs=0.1)
    assert encoding.measure_loudness(np.zeros(0, np.float32)) == -70


# --- what is refused --------------------------------------------------------------------------------------------------


def refusal(pieces, folder, name="a.wav", **options):
    """The one sentence with which something is refused; nothing is left in the folder."""
    before = sorted(folder.iterdir())
    with pytest.raises(CannotWrite) as caught:
        formats.write(pieces, folder / name, **options)
    assert sorted(folder.iterdir()) == before
    said = str(caught.value)
    assert said.endswith(".")
    assert "\n" not in said
    return said


HOUR = 7200 * QUARTER  # quarters of half a second


@pytest.mark.parametrize(
    ("music", "said"),
    [
        pytest.param(Score(), "no notes", id="nothing"),
        pytest.param(Score((Track(make_notes([])),)), "no notes", id="an empty track"),
        pytest.param(score(*[line((60, 1))] * 20_000), "20,000 tracks, and at most 1,000", id="20,000 tracks"),
        pytest.param(
            score(line((60, 1), start=10 * HOUR)), "lasts 10.0 hours, and a sound file at most 2", id="ten hours"
        ),
        pytest.param(
            score(line((60, 1200))), "lasts 10.0 minutes, and one can sound for 5", id="a note of ten minutes"
        ),
        pytest.param(score(line((60, 1)), tempos=(Tempo(0, 0.0),)), "a tempo of 0.0", id="no tempo"),
        pytest.param(score(line((60, 1)), tempos=(Tempo(0, float("nan")),)), "a tempo of nan", id="tempo nan"),
        pytest.param(score(line((60, 1), program=128)), "the program 128", id="no such program"),
        pytest.param(Score((Track(make_notes([(0, 480, 128, 90)])),)), "a pitch outside 0..127", id="no such pitch"),
        pytest.param(Score((Track(make_notes([(-1, 480, 60, 90)])),)), "a note outside time", id="before the start"),
    ],
)
def test_music_that_cannot_be_played_is_refused(music, said, tmp_path):
    assert said in refusal([Piece(music)], tmp_path)


def test_a_file_holds_one_piece_and_stands_in_a_folder(tmp_path):
    assert "holds one piece, and here are 2" in refusal([Piece(TUNE)] * 2, tmp_path)
    assert "here are 0" in refusal([], tmp_path)
    with pytest.raises(CannotWrite, match="cannot be written"):
        formats.write([Piece(TUNE)], tmp_path / "nowhere" / "a.wav")
    (tmp_path / "a.wav").mkdir()
    assert "cannot be written" in refusal([Piece(TUNE)], tmp_path)
    with pytest.raises(CannotWrite, match="not a sound format"):
        SoundExporter()([Piece(TUNE)], tmp_path / "a.aiff")


SHIPPED = soundfonts.find_soundfont("").read_bytes()


def without_instruments(data):
    """The soundfont with every zone of its presets naming an instrument that is not there."""
    at = data.index(b"pgen") + 8
    size = struct.unpack("<I", data[at - 4 : at])[0]
    generators = np.frombuffer(data[at : at + size], "<u2").reshape(-1, 2).copy()
    generators[generators[:, 0] == 41, 1] = 60_000
    return data[:at] + generators.tobytes() + data[at + size :]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(None, "there is no soundfont", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"MThd" + bytes(100), "is not a soundfont", id="a MIDI file"),
        pytest.param(b"RIFF\4\0\0\0sfbk", "has no samples", id="a header alone"),
        pytest.param(SHIPPED[:3_000_000], "is cut off", id="cut off"),
        pytest.param(SHIPPED[:5_900_000], "is cut off", id="cut off late"),
        pytest.param(
            SHIPPED.replace(b"ifil\4\0\0\0\2", b"ifil\4\0\0\0\3"), "convert it to SoundFont 2", id="SoundFont 3"
        ),
        pytest.param(SHIPPED.replace(b"shdr", b"rdhs"), "has no whole list 'shdr'", id="no list of samples"),
        pytest.param(without_instruments(SHIPPED), "names instruments or samples that it has not", id="wrong numbers"),
    ],
)
def test_a_broken_soundfont_is_refused(data, said, tmp_path):
    if data is not None:
        (tmp_path / "my.sf2").write_bytes(data)
    sentence = refusal([Piece(TUNE)], tmp_path, soundfont=str(tmp_path / "my.sf2"))
    assert said in sentence
    assert "my.sf2" in sentence


@pytest.mark.parametrize("music", [pytest.param(TUNE, id="short"), pytest.param(LONG, id="in several processes")])
def test_a_soundfont_that_makes_the_synthesiser_panic_is_refused(music, tmp_path, monkeypatch):
    """Every pan of its instruments becomes a place in the samples, a thousand million samples further on."""
    monkeypatch.setattr(rendering, "_count_processors", lambda: 2)
    at = SHIPPED.index(b"igen") + 8
    size = struct.unpack("<I", SHIPPED[at - 4 : at])[0]
    generators = np.frombuffer(SHIPPED[at : at + size], "<u2").reshape(-1, 2).copy()
    generators[generators[:, 0] == 17] = (4, 30_000)
    (tmp_path / "my.sf2").write_bytes(SHIPPED[:at] + generators.tobytes() + SHIPPED[at + size :])
    assert "it is damaged" in refusal([Piece(music)], tmp_path, soundfont=str(tmp_path / "my.sf2"))


def test_a_synthesiser_that_breaks_down_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(rendering, "_count_processors", lambda: 2)
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    assert "the synthesiser has broken down" in refusal([Piece(LONG)], tmp_path)


def test_a_soundfont_of_ones_own_is_played(tmp_path):
    (tmp_path / "my.sf2").write_bytes(SHIPPED)
    assert np.array_equal(wav(TUNE, tmp_path, soundfont=str(tmp_path / "my.sf2")), wav(TUNE, tmp_path))


def test_a_piece_of_which_nothing_sounds_is_refused(tmp_path):
    assert "nothing sounds with the soundfont" in refusal([Piece(score(drums((0, 1))))], tmp_path)


def test_a_loudness_that_does_not_exist_is_refused():
    for value in ("5", "-80", "nan"):
        with pytest.raises(BadOption, match=r"not in -70\.\.0"):
            registry().make("exporters", ".wav", loudness=value)


# --- its rooms --------------------------------------------------------------------------------------------------------


def test_the_checksum_of_a_page_is_oggs():
    """Bit by bit, as RFC 3533 has it."""
    page, register = bytes(range(200)), 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register >> 31 else 0)) & 0xFFFFFFFF
    assert encoding.compute_checksum(page) == register


def test_every_note_is_in_one_take_and_every_channel_has_one_track():
    tracks = [line(*[((48, 52, 55), 1), (60, 1)] * 130, program=number) for number in range(40)]
    windows = list(takes.divide_into_windows(Score((*tracks, drums((0, 35), (200, 36)), drums((1, 40))))))
    played = [part for window in windows for take in window.takes for part in take]
    assert len(windows) == 7
    assert sum(len(part.notes) for part in played) == 40 * 130 * 4 + 3
    for window in windows:
        for take in window.takes:
            channels = [part.channel for part in take]
            assert len(set(channels)) == len(channels)


def test_help_and_the_list_of_plugins_import_no_library_of_sound():
    code = (
        "import sys; from composer.plugins.registry import registry; registry(); "
        "print({'soundfile', 'midirenderer'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_the_plugin_offers_its_suffixes():
    assert set(SUFFIXES) <= set(registry().list_names("exporters"))
    assert {Path(soundfonts.find_soundfont("")).name} == {"TimGM6mb.sf2"}


def test_a_process_that_renders_starts_without_libraries():
    """Each piece waits for it."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print({'numpy', 'composer'} & {*sys.modules})"
    shown = subprocess.run([sys.executable, "-P", "-c", code, renderer.__file__], capture_output=True, check=True)
    assert shown.stdout.strip() == b"set()"
