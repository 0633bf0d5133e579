"""`composer play`: a roll that is right, a transport that obeys, and players that are started and stopped."""

import os
import pty
import select
import subprocess
import sys
import time
import wave
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from music import BAR, QUARTER, line, score
from rich.console import Console

from composer.errors import CannotWrite
from composer.io import formats
from composer.music.score import Score, Tempo
from composer.music.tempo_map import make_tempo_map
from composer.plugins.discovery import Plugin
from composer.plugins.offers import Offer, Registry
from composer.plugins.registry import registry
from composer.types import Piece
from composer_play import audio as sounds
from composer_play import command
from composer_play.keyboard import Transport, find_next_bar, find_previous_bar, read_keys
from composer_play.roll import ASCII, View, draw_legend, draw_roll, make_roll

TWO_BARS = score(
    line((72, 1), (74, 1), (76, 2), (72, 4), name="flute"), line((48, 4), (43, 4), name="bass"),
    tempos=(Tempo(0, 60.0), Tempo(BAR, 120.0)),
)  # fmt: skip


@pytest.fixture
def piece(tmp_path):
    """Two bars, of four seconds and of two, as a file."""
    formats.write([Piece(TWO_BARS)], tmp_path / "two.mid")
    return tmp_path / "two.mid"


# --- time -------------------------------------------------------------------------------------------------------------


def test_ticks_and_seconds_follow_the_tempos():
    found = make_tempo_map(TWO_BARS)
    for tick, second in [(0, 0.0), (QUARTER, 1.0), (BAR, 4.0), (2 * BAR, 6.0), (3 * BAR, 8.0)]:
        assert found.find_second(tick) == pytest.approx(second)
        assert found.find_tick(second) == pytest.approx(tick)


def test_before_the_first_tempo_the_usual_one_holds():
    assert make_tempo_map(Score()).find_second(QUARTER) == 0.5
    assert make_tempo_map(Score(tempos=(Tempo(QUARTER, 60.0),))).find_second(2 * QUARTER) == 1.5


def test_a_transport_goes_on_pauses_and_is_moved():
    playing = Transport(since=10.0)
    assert playing.find_second(12.5) == 2.5
    paused = playing.pause_or_resume(12.5)
    assert paused.find_second(99.0) == 2.5
    assert paused.pause_or_resume(100.0).find_second(101.0) == 3.5
    assert playing.move_to(7.0, 20.0).find_second(21.0) == 8.0
    assert paused.move_to(-1.0, 20.0).find_second(21.0) == 0.0


def test_arrows_go_to_bars():
    roll, its_timing = make_roll(TWO_BARS), make_tempo_map(TWO_BARS)
    assert [find_next_bar(roll, its_timing, second) for second in (0.0, 3.9, 4.0, 6.0)] == [4.0, 4.0, 6.0, 6.0]
    assert [find_previous_bar(roll, its_timing, second) for second in (0.3, 3.9, 4.3, 4.6)] == [0.0, 0.0, 0.0, 4.0]


# --- the roll ---------------------------------------------------------------------------------------------------------


def plain(music, **view):
    asked = {"begin": 0, "step": 240, "columns": 16, "rows": 40, "symbols": ASCII, **view}
    return [row.plain for row in draw_roll(make_roll(music), View(**asked))]


def test_a_roll_holds_two_pitches_a_row():
    assert plain(score(line((60, 1), (61, 1), (63, 1), (62, 1), (0, 4), ((60, 61), 4)))) == [
        "     1       2",
        "     |   ''..|",
        "  C4 ..''    |",
    ]


def test_an_upbeat_is_bar_0_and_pitches_share_a_row_where_there_are_few():
    assert plain(score(line((60, 1), (72, 3), (84, 4)), upbeat=QUARTER), rows=3) == [
        "     0 1       2",
        "  C6 | |     ........",
        "  C5 | ......  |",
        "  C4 ..|       |",
    ]


def test_tracks_have_their_colours_and_beginnings_are_bright():
    roll = make_roll(score(line((60, 1)), line((61, 1), name="\x1b[2J")))
    row = draw_roll(roll, View(0, 240, 4, 4))[1]
    assert row.plain == "  C4 ▀▀"
    assert [str(span.style) for span in row.spans if span.start >= 5][:2] == [
        "bright_yellow on bright_cyan",
        "yellow on cyan",
    ]
    assert draw_legend(roll).plain == "     track 1  [2J  "


def test_the_column_that_sounds_is_marked():
    assert plain(score(line((60, 4), (0, 4), (60, 4))), begin=BAR, columns=8, head=4)[1] == "  C4 |   |"


def test_many_tracks_are_not_all_named():
    roll = make_roll(Score(tuple(line((60, 1)) for _ in range(2_000))))
    assert draw_legend(roll).plain.endswith("track 7  and 1,993 more tracks")
    assert draw_roll(roll, View(0, 240, 4, 4))[1].plain == "  C4 ▄▄"


# --- printed ----------------------------------------------------------------------------------------------------------


def test_on_a_pipe_the_whole_roll_is_printed(run, piece):
    ran = run("play", piece)
    assert (ran.status, ran.err) == (0, "")
    first, *rows, names = ran.out.splitlines()
    assert first.split() == ["1", "2"]
    assert [row[:5] for row in rows if row.strip()[0] == "C"] == ["  C5 ", "  C4 ", "  C3 "]
    assert names.split() == ["flute", "bass"]


def test_ten_hours_are_printed_in_so_many_lines(run, tmp_path):
    hours = score(line(*[(60, 4)] * 4), line((0, 72_000), (64, 4)))
    formats.write([Piece(hours)], tmp_path / "long.mid")
    ran = run("play", tmp_path / "long.mid")
    assert ran.status == 0
    assert len(ran.out.splitlines()) < 2_000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no.mid", "no such file."),
        ("folder.mid", "is a folder."),
        ("a.txt", "no plugin reads '.txt' files"),
        ("words.mid", "is not a MIDI file"),
        ("empty.mid", "contains no notes."),
        ("endless.mid", "is too long to be shown (more than 100000 bars)."),
    ],
)
def test_what_cannot_be_played_is_one_sentence(run, tmp_path, name, said):
    (tmp_path / "folder.mid").mkdir()
    (tmp_path / "a.txt").write_text("words")
    (tmp_path / "words.mid").write_text("words")
    formats.write([Piece(Score())], tmp_path / "empty.mid")
    formats.write([Piece(score(line((60, 1), (0, 500_000), (60, 1))))], tmp_path / "endless.mid")
    ran = run("play", tmp_path / name)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err.splitlines()[-1]


# --- while it plays ---------------------------------------------------------------------------------------------------


@dataclass
class Recorded:
    """A sound that notes what it is asked; it fails after so many requests."""

    asked: list[str] = field(default_factory=list)
    fails_after: int = 1000

    def start(self, second):
        self._note(f"start {second:g}")

    def stop(self):
        self._note("stop")

    def check(self):
        if len(self.asked) > self.fails_after:
            raise sounds.NoSound("it is broken")

    def _note(self, what):
        self.asked.append(what)


@dataclass
class Pressed:
    """Keys at moments of a clock that goes on by a second whenever a key is waited for."""

    script: dict[int, str]
    now: float = 0.0

    def clock(self):
        return self.now

    def keys(self, seconds):
        key = self.script.get(int(self.now), "")
        self.now += 1.0
        return key


def played(script, recorded):
    """The status lines of a run."""
    console = Console(file=StringIO(), width=80, height=20, force_terminal=True)
    stage = command.Stage(make_roll(TWO_BARS), make_tempo_map(TWO_BARS), console)
    pressed, attempt = Pressed(script), sounds.Attempt(recorded)
    found = []
    for shown in command.draw_moments(stage, pressed.keys, attempt, pressed.clock):
        *_, status = shown.renderables
        found.append(status.plain.partition("   ")[0])
    return found, attempt


def test_it_plays_to_the_end():
    found, attempt = played({}, None)
    assert found == [
        "plays  0:00 of 0:06, bar 1 of 2", "plays  0:01 of 0:06, bar 1 of 2", "plays  0:02 of 0:06, bar 1 of 2",
        "plays  0:03 of 0:06, bar 1 of 2", "plays  0:04 of 0:06, bar 2 of 2", "plays  0:05 of 0:06, bar 2 of 2",
    ]  # fmt: skip
    assert attempt.why == ""


def test_keys_pause_seek_and_end_it_and_the_sound_follows():
    recorded = Recorded()
    found, _ = played({1: " ", 3: " ", 4: "right", 6: "left", 7: "x", 8: "q"}, recorded)
    assert [status[:11] for status in found] == [
        "plays  0:00", "plays  0:01", "paused 0:02", "paused 0:02", "plays  0:02", "plays  0:04", "plays  0:05",
        "plays  0:04", "plays  0:05",
    ]  # fmt: skip
    assert recorded.asked == ["start 0", "stop", "start 2", "start 4", "start 4"]


def test_a_sound_that_fails_ends_and_the_music_goes_on():
    found, attempt = played({}, Recorded(fails_after=0))
    assert len(found) == 7  # with the second in which its sound would have died away
    assert (attempt.sound, attempt.why) == (None, "it is broken")


# --- sound ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wave:
    """Writes silence of the length of a piece, at a thousand frames a second."""

    def __call__(self, pieces, path):
        with wave.open(str(path), "wb") as file:
            file.setparams((2, 2, 1000, 0, "NONE", ""))
            file.writeframes(
                bytes(4 * round(1000 * make_tempo_map(pieces[0].score).find_second(pieces[0].score.length)))
            )


@pytest.fixture
def exporting(monkeypatch):
    """An exporter of `.wav`, whatever others there are; or none."""

    def offer(make):
        found = registry()
        exporters = {name: its for name, its in found.offers["exporters"].items() if name != ".wav"}
        if make:
            exporters[".wav"] = Offer("exporters", ".wav", make, Plugin("waves", "waves", "1"))
        offers = {**found.offers, "exporters": exporters}
        monkeypatch.setattr("composer.io.formats.registry", lambda: Registry(offers, found.plugins))

    return offer


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder that is all of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sounds, "find_spec", lambda name: None)
    return folder


def install(folder, name, *lines):
    """A program of a few lines of shell."""
    path = folder / name
    path.write_text("\n".join(["#!/bin/sh", *lines]))
    path.chmod(0o755)


def wait_for(path):
    """What somebody is about to write there."""
    for _ in range(500):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.01)
    raise AssertionError(f"nobody wrote {path}")


def runs(process):
    """Whether a process of this number is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_player_is_given_a_file_from_where_it_is_to_play_and_is_stopped(exporting, programs, tmp_path):
    exporting(Wave)
    install(programs, "aplay", f'echo "$$ $2" > {tmp_path}/started', "exec /bin/sleep 60")
    with sounds.make_sound(TWO_BARS) as sound:
        assert sound.command == (str(programs / "aplay"), "-q")
        for second, frames in [(0.0, 6000), (4.5, 1500), (99.0, 0)]:
            sound.start(second)
            process, path = wait_for(tmp_path / "started").split()
            (tmp_path / "started").unlink()
            with wave.open(path) as file:
                assert file.getnframes() == frames
            assert runs(int(process))
        sound.check()
        sound.stop()
        assert not runs(int(process))
        sound.start(0.0)
        process, path = wait_for(tmp_path / "started").split()
    assert not runs(int(process))
    assert not Path(path).parent.exists()


def test_a_player_that_fails_says_so(exporting, programs):
    exporting(Wave)
    install(programs, "paplay", "exit 3")
    with sounds.make_sound(TWO_BARS) as sound:
        sound.start(0.0)
        sound.process.wait()
        with pytest.raises(sounds.NoSound, match="paplay ended with status 3"):
            sound.check()


def test_why_there_is_no_sound_is_said(exporting, programs):
    exporting(Wave)
    with sounds.try_sound(TWO_BARS) as attempt:
        assert attempt.why.startswith("there is no player: install one of aplay,")
    install(programs, "ffplay", "exit 0")
    with sounds.try_sound(replace(TWO_BARS, tempos=(Tempo(0, 0.1),))) as attempt:
        assert attempt.why == "it lasts 80 minutes, and sound is made of at most 30"
    exporting(None)
    with sounds.try_sound(TWO_BARS) as attempt:
        assert attempt.why.startswith("no plugin writes '.wav' files")


def test_an_exporter_that_refuses_or_writes_another_form(exporting, programs):
    def refuse(pieces, path):
        raise CannotWrite(f"{path}: cannot be written as sound: no soundfont.")

    def words(pieces, path):
        path.write_text("words")

    install(programs, "afplay", "exit 0")
    exporting(lambda: refuse)
    with sounds.try_sound(TWO_BARS) as attempt:
        assert attempt.why == "cannot be written as sound: no soundfont"
    exporting(lambda: words)
    with sounds.try_sound(TWO_BARS) as attempt:
        attempt.do(lambda sound: sound.start(1.0))
        assert attempt.why.startswith("its sound cannot be cut")


def test_sounddevice_is_taken_where_it_is_installed(exporting, monkeypatch):
    exporting(Wave)
    asked = []
    library = SimpleNamespace(play=lambda samples, rate: asked.append((samples.shape, rate)), stop=lambda: None)
    monkeypatch.setattr(sounds, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    with sounds.make_sound(TWO_BARS) as sound:
        sound.start(4.0)
        assert asked == [((2000, 2), 1000)]
        library.play = lambda samples, rate: 1 / 0
        with pytest.raises(sounds.NoSound, match="the sound device fails"):
            sound.start(0.0)


# --- in a terminal ----------------------------------------------------------------------------------------------------


def test_keys_are_read_one_by_one():
    ours, theirs = pty.openpty()
    try:
        with read_keys(theirs) as keys:
            os.write(ours, b" \x1b[C\x1b[C\x1bODq")
            assert [keys(5.0) for _ in range(5)] == [" ", "right", "right", "left", "q"]
            assert keys(0.0) == ""
        with read_keys(None) as keys:
            assert keys(0.0) == ""
    finally:
        os.close(ours)
        os.close(theirs)


def until(terminal, said):
    """What a terminal shows until it has shown this."""
    shown = b""
    while said not in shown:
        assert select.select([terminal], [], [], 30.0)[0], shown
        shown += os.read(terminal, 65536)
    return shown


WITHOUT_SOUNDDEVICE = """
import sys
from composer import cli
from composer_play import audio
audio.find_spec = lambda name: None
cli.main(sys.argv[1:])
"""


def quit_by_key(process, terminal):
    os.write(terminal, b"q")


def ask_to_end(process, terminal):
    process.terminate()


@pytest.mark.parametrize("end", [quit_by_key, ask_to_end])
def test_in_a_terminal_it_scrolls_until_it_is_ended(piece, tmp_path, end):
    (tmp_path / "bin").mkdir()
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "PATH": str(tmp_path / "bin"),
        "TERM": "xterm-256color",
        "COLUMNS": "80",
        "LINES": "24",
    }
    program = [sys.executable, "-c", WITHOUT_SOUNDDEVICE, "play", str(piece)]
    process = subprocess.Popen(program, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment)
    os.close(theirs)
    try:
        shown = until(ours, b"plays  0:00 of 0:06, bar 1 of 2")
        assert b"\x1b[?1049h" in shown  # the other screen
        assert "▀".encode() in shown
        os.write(ours, b" ")
        until(ours, b"paused 0:0")
        end(process, ours)
        until(ours, b"\x1b[?1049l")
        said = process.stderr.read().decode()
        assert process.wait(30) == 0
        assert said.startswith("composer: no sound: ")
        assert len(said.splitlines()) == 1
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        os.close(ours)
