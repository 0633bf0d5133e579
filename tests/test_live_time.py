"""Playing in time: clocks, messages, ports in memory, the sender, a jam, its screen and OSC. Most time is made up."""

import io
import random
import signal
import socket
import sys
import threading
import time
import tracemalloc
from statistics import median

import mido
import pytest
from rich.console import Console

from composer.errors import BadOption
from composer.generation.generator import Generator
from composer.generation.streaming import Event
from composer.io import formats
from composer.request import Request
from composer.testing import make_random_model
from composer.types import Piece
from composer_live import command, screen
from composer_live.clock import Follower, Taps, Timeline, list_beats
from composer_live.jam import Jam, Manner
from composer_live.osc import OscServer, parse_address
from composer_live.ports import MemoryPorts, SystemPorts, choose_port, find_port, strip_numbers
from composer_live.receiving import Receiver, parse_assignments
from composer_live.sending import Channels, Sender
from composer_live.session import Session
from composer_live.take import Take, make_piece
from composer_live.values import Command, Played, Setup
from composer_live.wiring import Wanted, Wiring

BAR = 1920
VOICES = Generator(make_random_model("gru", "voices", hidden_size=16, embedding_size=16), "voices")


class Time:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


class Wire:
    """An output that keeps what is sent; it may fail."""

    def __init__(self):
        self.sent, self.fails = [], False

    def send(self, message):
        if self.fails:
            raise OSError("gone")
        self.sent.append(message)


def sounding(messages):
    """What still sounds after these messages, by channel and pitch; all notes off ends a channel's."""
    found = set()
    for message in messages:
        kind, channel = message[0] & 0xF0, message[0] & 0x0F
        if kind == 0x90:
            found.add((channel, message[1]))
        elif kind == 0x80:
            found.discard((channel, message[1]))
    return found


def make_jam(mode="harmonize", *, manner=None, hands=(), wire=None, **more):
    """A jam on a clock that is set by hand, at 120 quarters a minute: a bar takes two seconds."""
    clock = Time()
    session = Session(VOICES, Setup(mode, **{"bars": 1, "request": Request(seed=3, key="C"), **more}))
    sender = Sender(Wire() if wire is None else wire, clock)
    return Jam(session, sender, Receiver(), manner or Manner(), hands, clock)


def go(jam, seconds, step=0.01):
    """Let time go by."""
    for _ in range(round(seconds / step)):
        jam.clock.now += step
        jam.step()
        jam.sender.send_due()


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_a_timeline_keeps_its_place_when_the_tempo_changes_or_it_stops():
    timeline = Timeline(120, tick=-BAR)
    timeline.start(10)
    assert timeline.find_tick(12) == 0
    timeline.set_tempo(13, 60)
    assert (timeline.find_tick(13), timeline.find_tick(14)) == (960, 1440)
    assert timeline.find_second(1440) == 14
    timeline.stop(14)
    assert timeline.find_tick(99) == 1440
    timeline.start(100)
    assert timeline.find_tick(101) == 1920
    assert timeline.changes == [(0, 120), (960, 60)]


@pytest.mark.parametrize("bpm", [0, -1, 1e9, float("nan")])
def test_a_tempo_out_of_range_is_refused(bpm):
    with pytest.raises(BadOption, match="'tempo' is"):
        Timeline(bpm)


def test_taps_set_the_tempo_and_a_pause_begins_a_series():
    taps = Taps()
    assert [taps.tap(second) for second in (1, 1.5, 2, 2.5)] == [None, 120, 120, 120]
    assert taps.tap(60) is None
    assert taps.tap(61) == 60


@pytest.mark.parametrize("jitter", [0.0, 0.002])
def test_a_follower_keeps_with_a_clock_that_is_not_even(jitter):
    rng, follower = random.Random(1), Follower(Timeline(120))
    follower.take("start", 0.0)
    second = 0.0
    for _ in range(24 * 32):
        follower.take("clock", second + rng.uniform(-jitter, jitter))
        second += 60 / 96 / 24
    timeline = follower.timeline
    assert timeline.bpm == pytest.approx(96, rel=0.02)
    assert timeline.find_tick(second) == pytest.approx(480 * 32, abs=12)


def test_a_follower_stops_goes_on_and_begins_again_without_going_back():
    follower = Follower(Timeline(120))

    def beat(quarters, second):
        for pulse in range(24 * quarters):
            follower.take("clock", second + pulse / 48)

    beat(1, 0)
    assert not follower.timeline.runs
    follower.take("start", 1)
    beat(3, 1)
    follower.take("stop", 2.5)
    stood = follower.timeline.find_tick(2.5)
    assert follower.timeline.find_tick(9) == stood == pytest.approx(1440, abs=1)
    follower.take("songpos", 10, 16)  # sixteenths: the second bar
    follower.take("continue", 10)
    follower.take("clock", 10)
    assert follower.timeline.find_tick(10) == 1920
    follower.take("start", 11)
    follower.take("clock", 11)
    assert follower.timeline.find_tick(11) == 3840  # a bar line, since what was played is played


def test_beats_of_the_count_in_are_counted_from_below():
    assert list(list_beats(-960, 481, 480)) == [-960, -480, 0, 480]
    assert list(list_beats(1, 480, 480)) == []


# --- receiving --------------------------------------------------------------------------------------------------------


def test_the_pedal_holds_notes_and_unplugging_lifts_everything():
    receiver = Receiver()
    assert receiver.take((0x91, 60, 90), 5) == [Played(5, 60, 90)]
    assert receiver.take((0xB0, 64, 127), 6) == []
    assert receiver.take((0x90, 60, 0), 7) == []
    assert receiver.take((0xB0, 64, 0), 8) == [Played(8, 60, 0)]
    receiver.take((0x90, 62, 90), 9)
    receiver.take((0xB0, 64, 127), 9)
    receiver.take((0x90, 64, 90), 9)
    receiver.take((0x80, 62, 0), 9)
    assert receiver.release(10) == [Played(10, 62, 0), Played(10, 64, 0)]
    assert receiver.release(11) == []


def test_keys_controllers_and_programs_are_commands():
    receiver = Receiver(
        parse_assignments(["key108=vary", "cc20=temperature", "pedal=again", "program1=mode:loop", "cc21=bars:4"])
    )
    assert receiver.take((0x90, 108, 90), 1) == [Command(1, "vary")]
    assert receiver.take((0x80, 108, 0), 2) == []
    assert receiver.take((0xB0, 20, 127), 3) == [Command(3, "temperature", 2.0)]
    assert receiver.take((0xB0, 64, 127), 4) == [Command(4, "again")]
    assert receiver.take((0xB0, 64, 120), 4) == []  # still down
    assert receiver.take((0xC0, 1), 5) == [Command(5, "mode", "loop")]
    assert receiver.take((0xC0, 2), 5) == []
    assert receiver.take((0xB0, 21, 64), 6) == [Command(6, "bars", 4.0)]


@pytest.mark.parametrize("text", ["key=vary", "key200=vary", "pedal3=vary", "cc20", "cc20=polka"])
def test_an_assignment_that_is_none_is_refused(text):
    with pytest.raises(BadOption, match=r"invalid assignment|unknown command 'polka'"):
        parse_assignments([text])


MALFORMED = ((), (0x90,), (0x90, 60), (60, 90), (0x90, 200, 300))
FOREIGN = ((0xF0, 1, 2, 0xF7), (0xE0, 0, 64), (0xFE,), (0xA0, 1, 2))


@pytest.mark.parametrize("message", [*MALFORMED, *FOREIGN])
def test_what_is_foreign_or_malformed_is_left_out(message):
    assert Receiver().take(message, 0) == []


# --- sending ----------------------------------------------------------------------------------------------------------


def test_a_sender_sends_in_order_and_releases_everything():
    clock, wire = Time(), Wire()
    sender = Sender(wire, clock)
    sender.send((0x91, 60, 80), 100.5)
    sender.send((0x90, 64, 80), 100.2)
    sender.send((0xB2, 7, 100), 99)
    assert wire.sent == [(0xB2, 7, 100)]
    clock.now = 100.5
    sender.send_due()
    assert wire.sent[1:] == [(0x90, 64, 80), (0x91, 60, 80)]
    sender.send((0x93, 1, 1), 200)
    sender.release()
    assert sounding(wire.sent) == set()
    assert sender.sounding == 0
    assert {(0xB0 | channel, 123, 0) for channel in (0, 1, 2)} <= set(wire.sent)
    assert (0x93, 1, 1) not in wire.sent


def test_a_sender_whose_port_is_lost_goes_on_with_another():
    wire, lost = Wire(), []
    sender = Sender(wire, Time(), lambda: lost.append(1))
    wire.fails = True
    sender.send((0x90, 60, 80), 0)
    sender.send((0x80, 60, 64), 0)
    assert lost == [1]
    other = Wire()
    sender.replace_output(other)
    sender.send((0x90, 62, 80), 0)
    sender.release()
    assert sounding(other.sent) == set()


def test_the_thread_of_a_sender_keeps_to_the_time():
    wire = Wire()
    sender = Sender(wire)
    sender.late = []
    sender.start()
    begin = time.monotonic() + 0.02
    for number in range(20):
        sender.send((0x90, 60 + number, 80), begin + number / 200)
    while len(sender.late) < 20:
        time.sleep(0.01)
    sender.close()
    assert [message[1] for message in wire.sent[:20]] == list(range(60, 80))
    assert min(sender.late) >= 0


def test_tracks_have_channels_and_programs_of_their_own():
    channels = Channels(8)
    tracks = [Event(0, 80, 60, 52, False, "Alto"), Event(0, 80, 50, 33, False, "Bass"), Event(0, 80, 36, 0, True, "")]
    assert [channels.translate(event) for event in tracks] == [
        [(0xC8, 52), (0x98, 60, 80)],
        [(0xCA, 33), (0x9A, 50, 80)],
        [(0x99, 36, 80)],
    ]
    assert channels.translate(Event(5, 0, 60, 52, False, "Alto")) == [(0x88, 60, 64)]


# --- a jam ------------------------------------------------------------------------------------------------------------


def test_voices_sound_as_soon_as_a_note_comes_in_and_end_with_it():
    jam = make_jam()
    jam.start()
    go(jam, 0.1)
    jam.receive(jam.clock(), (0x90, 67, 100))
    jam.step()
    voices = len(VOICES.tokenizer.token_info.voices) - 1
    assert len(sounding(jam.sender.output.sent)) == voices
    jam.receive(jam.clock(), (0x80, 67, 0))
    go(jam, 0.1)
    assert sounding(jam.sender.output.sent) == set()


def test_an_answer_comes_on_the_bar_line_to_the_tick():
    hands = [Played(0, 60, 80), Played(400, 60, 0), Played(480, 67, 80), Played(1900, 67, 0)]
    jam = make_jam("answer", hands=hands)
    times = []
    jam.on_events = lambda timed: times.extend(second for second, message in timed if message[0] & 0xF0 == 0x90)
    jam.start()
    go(jam, 6)
    assert times
    assert all(102 <= second <= 104 for second in times)
    expected = Session(VOICES, jam.session.setup)
    for action in hands:
        expected.act(action)
    expected.close(BAR * 3)
    ticks = sorted(event.tick for event in expected.given if event.velocity)
    assert sorted(times) == pytest.approx([100 + tick / 960 for tick in ticks])


def test_a_count_in_sounds_before_the_first_bar_and_a_metronome_goes_on():
    jam = make_jam(manner=Manner(count_in=1))
    jam.start()
    jam.receive(jam.clock(), (0x90, 60, 80))  # in the count-in: it counts as the first note
    go(jam, 4)
    clicks = [message for message in jam.sender.output.sent if message[0] == 0x99]
    assert [message[1] for message in clicks] == [76, 77, 77, 77]
    jam = make_jam(manner=Manner(metronome=True))
    jam.start()
    go(jam, 2)
    assert [m[1] for m in jam.sender.output.sent if m[0] == 0x99] == [76, 77, 77, 77, 76][: 4 + 1]


def test_an_own_clock_is_sent():
    jam = make_jam(manner=Manner(sends_clock=True))
    jam.start()
    go(jam, 1.0)
    sent = jam.sender.output.sent
    assert sent[0] == (0xFA,)
    assert sent.count((0xF8,)) == pytest.approx(48, abs=1)


def test_a_clock_that_comes_in_starts_stops_and_goes_on():
    jam = make_jam("loop", manner=Manner(follows=True))
    jam.start()
    go(jam, 0.5)
    assert jam.tick == 0
    jam.receive(jam.clock(), (0xFA,))
    for number in range(24 * 8):
        jam.receive(jam.clock(), (0xF8,))
        if number in (0, 40):
            jam.receive(jam.clock(), (0x90 if number == 0 else 0x80, 60, 80))
        go(jam, 60 / 100 / 24, 60 / 100 / 24)
    assert jam.timeline.bpm == pytest.approx(100, rel=0.02)
    assert any(message[0] & 0xF0 == 0x90 for message in jam.sender.output.sent)
    jam.receive(jam.clock(), (0xFC,))
    go(jam, 1)
    assert sounding(jam.sender.output.sent) == set()
    assert jam.session.is_stopped
    jam.receive(jam.clock(), (0xFB,))
    jam.receive(jam.clock(), (0xF8,))
    go(jam, 0.1)
    assert not jam.session.is_stopped


def test_where_no_clock_comes_an_own_tempo_is_taken():
    jam = make_jam(manner=Manner(follows=True))
    jam.start()
    go(jam, 4)
    assert list(jam.notes) == ["no MIDI clock comes in; the tempo is 120."]
    assert jam.timeline.runs


def test_taps_and_tempos_are_the_clocks_and_a_bad_one_is_named():
    jam = make_jam()
    jam.start()
    for _ in range(3):
        jam.command("tap")
        go(jam, 0.6)
    assert jam.timeline.bpm == 100
    jam.command("tempo", 0)
    jam.command("tempo", "fast")
    go(jam, 0.1)
    assert jam.timeline.bpm == 100
    assert [note.split()[0] for note in jam.notes] == ["'tempo'", "'fast'"]
    assert jam.session.actions == []


def test_what_is_played_is_sent_on_to_a_channel_of_its_own():
    jam = make_jam("answer", manner=Manner(thru=15))
    jam.start()
    jam.receive(jam.clock(), (0x90, 60, 77))
    go(jam, 0.1)
    assert jam.sender.output.sent == [(0x9F, 60, 77)]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_every_note_is_released_whatever_ends_a_jam(failure, monkeypatch):
    jam = make_jam()
    jam.start()
    jam.receive(jam.clock(), (0x90, 67, 100))
    go(jam, 0.1)
    assert sounding(jam.sender.output.sent)

    def fail(*_):
        raise failure

    monkeypatch.setattr(jam, "step", fail)
    with pytest.raises(failure):
        jam.run()
    assert sounding(jam.sender.output.sent) == set()


@pytest.mark.parametrize("mode", ["answer", "continue", "harmonize", "accompany", "loop"])
def test_a_storm_of_random_messages_leaves_no_note_and_can_be_made_again(mode):
    """Ten thousand messages in all, as in a minute of the worst keyboard."""
    rng, jam = random.Random(mode), make_jam(mode)
    jam.start()
    for number in range(2000):
        if number % 250 == 249:  # a moment in which it may play
            jam.receive(jam.clock(), (0xB0, 123, 0))
            jam.command("start")
            go(jam, 3, 0.05)
        status = rng.choice([0x90, 0x90, 0x90, 0x80, 0x80, 0x80, 0x80, 0xB0, 0xC0, 0xE0, 0xF0, 0xF8, 0xFA, 0xFC, 0xFF])
        size = rng.choice([0, 1, 2, 2, 2, 2, 200]) if status != 0x90 else 2
        first = status | rng.randrange(16) if status < 0xF0 else status
        data = rng.choices(range(128), k=size)
        if status in (0x80, 0x90) and size == 2 and rng.random() < 0.9:
            data[0] = rng.randrange(60, 65)
        jam.receive(jam.clock(), (first, *data))
        if rng.random() < 0.005:
            name = rng.choice(
                ["vary", "again", "keep", "undo", "stop", "start", "reset", "temperature", "mode", "polka"]
            )
            value = rng.choice(["answer", "loop", "continue", "harmonize"]) if name == "mode" else rng.uniform(-1, 2)
            jam.command(name, value)
        jam.clock.now += 0.006
        jam.step()
        jam.sender.send_due()
    sent = jam.sender.output.sent
    assert len([message for message in sent if message[0] & 0xF0 == 0x90]) > 20
    jam.sender.release()
    assert jam.sender.sounding == 0
    assert sounding(sent) == set()
    jam.session.close(jam.session.tick)
    balance = {}
    for event in sorted(jam.session.given):
        sound = event.program, event.is_drum, event.track, event.pitch
        balance[sound] = balance.get(sound, 0) + (1 if event.velocity else -1)
        assert balance[sound] >= 0
    assert not any(balance.values())
    take = Take(jam.session.setup, tuple(jam.session.actions), jam.session.tick)
    assert take.generate(VOICES).score == make_piece(jam.session, take).score


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["answer", "continue", "harmonize", "accompany"])
def test_an_hour_neither_grows_nor_slows(mode):
    """An hour of made-up time, four notes and a pause over and over; states of the cursor fill up in twenty minutes."""
    jam, memory, seconds = make_jam(mode), [], []
    jam.session.records = False
    jam.start()
    tracemalloc.start()
    for _ in range(60):
        began = time.process_time()
        for _ in range(12):
            for pitch in (60, 64, 67, 72):
                jam.receive(jam.clock(), (0x90, pitch, 90))
                go(jam, 0.5, 0.05)
                jam.receive(jam.clock(), (0x80, pitch, 0))
            go(jam, 3, 0.05)
        seconds.append(time.process_time() - began)
        jam.sender.output.sent.clear()
        memory.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(memory[-20:]) < max(memory[20:40]) + 1_000_000
    assert median(seconds[-20:]) < 2 * median(seconds[:20])


# --- ports ------------------------------------------------------------------------------------------------------------


PORTS = ["Midi Through:Midi Through Port-0 14:0", "Keystation 49:Keystation 49 MIDI 1 24:0", "IAC Bus 1"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("IAC Bus 1", 2), ("keystation", 1), ("2", 1), ("keystation 49:keystation 49 midi 1 32:0", 1), ("bus", 2)],
)
def test_a_port_is_found_by_its_name_a_part_of_it_or_its_number(wanted, found):
    assert find_port(wanted, PORTS, "MIDI input") == PORTS[found]


def test_a_port_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(BadOption, match=r"no MIDI input 'IAC Buss 1'; did you mean 'IAC Bus 1'\?"):
        find_port("IAC Buss 1", PORTS, "MIDI input")
    with pytest.raises(BadOption, match=r"no MIDI output 'x'; there is none\."):
        find_port("x", [], "MIDI output")


def test_the_obvious_port_is_not_the_one_that_passes_on():
    assert choose_port(PORTS) == PORTS[1]
    assert choose_port(PORTS[:1]) is None
    assert strip_numbers(PORTS[1]) == "Keystation 49:Keystation 49 MIDI 1"


def test_ports_are_taken_up_again_after_they_were_unplugged():
    jam = make_jam()
    ports = MemoryPorts(["Keys 20:0"], ["Synth 21:0"], jam.clock)
    wiring = Wiring(ports, Wanted(), jam, jam.sender)
    jam.start()
    ports.play("Keys 20:0", 0x90, 67, 100)
    jam.step()
    jam.clock.now += 0.1
    jam.step()
    jam.sender.send_due()
    assert sounding(message for _, message in ports.sent["Synth 21:0"])
    ports.unplug("Keys 20:0")
    wiring.check()
    go(jam, 0.1)
    assert jam.session.memory.held == {}
    assert sounding(message for _, message in ports.sent["Synth 21:0"]) == set()
    ports.unplug("Synth 21:0")
    ports.inputs, ports.outputs = ["Keys 24:0"], []
    wiring.check()
    assert jam.sender.output is None
    ports.play("Keys 24:0", 0x90, 67, 100)
    go(jam, 0.1)
    ports.outputs = ["Synth 25:0"]
    wiring.check()
    ports.play("Keys 24:0", 0x80, 67, 0)
    ports.play("Keys 24:0", 0x90, 60, 100)
    go(jam, 0.1)
    assert sounding(message for _, message in ports.sent["Synth 25:0"])
    assert len([note for note in jam.notes if note.endswith("' is back.")]) == 2
    wiring.close()


def test_with_osc_no_port_has_to_be_there():
    jam = make_jam()
    wiring = Wiring(MemoryPorts([], ["Synth"]), Wanted(required=False), jam, jam.sender)
    assert (wiring.input_name, wiring.output_name) == (None, "Synth")
    wiring = Wiring(MemoryPorts([], []), Wanted(required=False), jam, jam.sender)
    jam.sender.send((0x90, 60, 80), 0)
    wiring.check()
    wiring.close()


def test_a_port_that_is_taken_is_refused():
    jam, ports = make_jam(), MemoryPorts()
    ports.taken.add("Synth")
    with pytest.raises(BadOption, match="'Synth' cannot be opened"):
        Wiring(ports, Wanted(), jam, jam.sender)
    with pytest.raises(BadOption, match="there is no MIDI input; plug in a keyboard or start a synthesizer"):
        Wiring(MemoryPorts([], []), Wanted(), jam, jam.sender)


def test_virtual_ports_are_made_with_a_name():
    jam, ports = make_jam(), MemoryPorts([], [])
    wiring = Wiring(ports, Wanted(virtual="composer"), jam, jam.sender)
    assert (list(ports.inputs), list(ports.outputs)) == (["composer"], ["composer"])
    wiring.close()


def test_jam_plays_with_ports_and_records(run, here, monkeypatch):
    ports = MemoryPorts()
    monkeypatch.setattr(command, "open_ports", lambda: ports)

    def hands():
        while not ports.is_open("Keys"):
            time.sleep(0.01)
        for pitch in (60, 64, 67) * 4:
            ports.play("Keys", 0x90, pitch, 90)
            time.sleep(0.05)
            ports.play("Keys", 0x80, pitch, 0)

    thread = threading.Thread(target=hands)
    thread.start()
    ran = run(
        *(
            "jam",
            "--mode",
            "harmonize",
            "--model",
            "chorales",
            "--seconds",
            1.5,
            "--record",
            "take.mid",
            "--tempo",
            240,
        ),
        *("--count-in", 0, "--seed", 1),
    )
    thread.join()
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("harmonize, 2 bars, 240 a minute: Keys to Synth, seed 1\ntake.mid: ")
    assert sounding(message for _, message in ports.sent["Synth"]) == set()
    assert run("regenerate", "take.mid", "again.mid").status == 0
    assert (here / "take.mid").read_bytes() == (here / "again.mid").read_bytes()
    ran = run("jam", "--seconds", 0.1, "--record", "none.mid", "--in", "Key", "--out", "Syn")
    assert ran.err == "composer: nothing was played, so that nothing is recorded.\n"


def test_ctrl_c_ends_a_jam_and_keeps_what_was_played(run, here, monkeypatch):
    ports = MemoryPorts()
    monkeypatch.setattr(command, "open_ports", lambda: ports)
    before = signal.getsignal(signal.SIGINT)

    def hands():
        while not ports.is_open("Keys"):
            time.sleep(0.01)
        ports.play("Keys", 0x90, 60, 90)
        time.sleep(0.5)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=hands)
    thread.start()
    ran = run(
        "jam", "--mode", "harmonize", "--model", "chorales", "--record", "take.mid", "--count-in", 0, "--clock", "send"
    )
    thread.join()
    assert (ran.status, ran.err) == (0, "")
    assert signal.getsignal(signal.SIGINT) is before
    sent = [message for _, message in ports.sent["Synth"]]
    assert sounding(sent) == set()
    assert {(0xFA,), (0xF8,), (0xFC,)} <= set(sent)
    assert (here / "take.mid").exists()


def test_a_file_is_played_in_time_and_served_without_midi(run, here, small_score, monkeypatch):
    pytest.importorskip("pythonosc")

    def refuse():
        raise BadOption("this machine has no MIDI system.")

    monkeypatch.setattr(command, "open_ports", refuse)
    formats.write([Piece(small_score("C5/4 D5/4 E5/4 F5/4"))], here / "played.mid")
    line = ["jam", "--in", "played.mid", "--tempo", 600, "--bars", 1, "--count-in", 0, "--seed", 1]
    ran = run(*line, "--osc", 0, "--record", "take.mid")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("answer, 1 bars, 600 a minute: no MIDI ports, OSC at 0, seed 1\ntake.mid: ")
    assert run(*line).err == "composer: this machine has no MIDI system.\n"


def test_a_machine_without_midi_is_told_what_to_do(run, monkeypatch):
    pytest.importorskip("rtmidi")
    monkeypatch.setattr("rtmidi.MidiIn", lambda: (_ for _ in ()).throw(RuntimeError("no sequencer")))
    ran = run("jam", "--seconds", 0.1)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith("composer: this machine has no MIDI system (no sequencer)")


class Backend:
    """mido's backend of rtmidi, as far as it is used, without a machine behind it."""

    def __init__(self, name):
        assert name == "mido.backends.rtmidi"

    def get_input_names(self):
        return ["Keys 20:0", "Keys 20:0"]

    get_output_names = get_input_names

    def open_input(self, name, virtual, callback):
        if name != "Keys 20:0":
            raise OSError("unknown port")
        for data in ([0x90, 60, 80], [0xF0, 1, 2, 0xF7], [0xF8]):
            callback(mido.Message.from_bytes(data))
        return self

    def open_output(self, name, virtual, autoreset):
        return self

    def send(self, message):
        if message.note == 1:
            raise RuntimeError("gone")

    def close(self):
        pass


def test_ports_of_the_machine_are_those_of_mido(monkeypatch):
    pytest.importorskip("rtmidi")
    monkeypatch.setattr("rtmidi.MidiIn", lambda: None)
    monkeypatch.setattr("mido.Backend", Backend)
    ports, came = SystemPorts(), []
    assert ports.list_inputs() == ports.list_outputs() == ["Keys 20:0"]
    ports.open_input("Keys 20:0", lambda second, message: came.append(message)).close()
    assert came == [(0x90, 60, 80), (0xF8,)]
    with pytest.raises(BadOption, match="'Other' cannot be opened: unknown port"):
        ports.open_input("Other", lambda *_: None)
    port = ports.open_output("Keys 20:0")
    port.send((0x90, 60, 80))
    with pytest.raises(OSError, match="gone"):
        port.send((0x90, 1, 80))


def test_without_the_packages_of_live_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    monkeypatch.setitem(sys.modules, "pythonosc.dispatcher", None)
    for make in (SystemPorts, lambda: OscServer(make_jam(), ("127.0.0.1", 0))):
        with pytest.raises(BadOption, match=r"pip install 'composer-midi\[live\]'"):
            make()


@pytest.mark.alsa
def test_virtual_ports_of_this_machine():
    """With a sequencer: a note goes out of one virtual port, and voices come back from another."""
    jam, ports = make_jam(), SystemPorts()
    jam.clock = jam.sender._clock = time.monotonic
    wiring = Wiring(ports, Wanted(virtual="composer-test"), jam, jam.sender)
    backend = mido.Backend("mido.backends.rtmidi")
    there = [name for name in backend.get_output_names() if "composer-test" in name]
    back = backend.open_input(next(name for name in backend.get_input_names() if "composer-test" in name))
    jam.start()
    backend.open_output(there[0]).send(mido.Message("note_on", note=67, velocity=90))
    jam.run(time.monotonic() + 0.5)
    assert any(message.type == "note_on" for message in back.iter_pending())
    wiring.close()


# --- OSC --------------------------------------------------------------------------------------------------------------


def test_osc_plays_and_commands_over_the_loopback():
    pytest.importorskip("pythonosc")
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import BlockingOSCUDPServer
    from pythonosc.udp_client import SimpleUDPClient

    jam = make_jam()
    server = OscServer(jam, parse_address("0"))
    jam.on_events = server.tell
    server.start()
    told = []
    dispatcher = Dispatcher()
    dispatcher.map("/composer/note", lambda _, *values: told.append(values))
    listener = BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher)
    client = SimpleUDPClient("127.0.0.1", server.port)
    jam.start()
    client.send_message("/composer/listen", listener.server_address[1])
    client.send_message("/composer/bars", 4)
    client.send_message("/composer/tempo", 96.0)
    client.send_message("/composer/mode", "polka")
    client.send_message("/composer/note", [67, 100])
    for bad in ([], [1], ["x", 2], [300, 1], [60, -1]):
        client.send_message("/composer/note", bad)
    client.send_message("/composer/polka", 1)
    deadline = time.monotonic() + 5
    while not jam.sender.output.sent and time.monotonic() < deadline:
        time.sleep(0.01)
        go(jam, 0.01)
    listener.timeout = 2
    for _ in range(len(VOICES.tokenizer.token_info.voices) - 1):
        listener.handle_request()
    listener.server_close()
    server.close()
    assert (jam.session.bars, jam.timeline.bpm) == (4, 96)
    assert any("unknown mode 'polka'" in note for note in jam.notes)
    assert {values[1] for values in told} == {80}
    assert {message[1] for message in jam.sender.output.sent if message[0] & 0xF0 == 0x90} == {v[0] for v in told}


def test_osc_is_bound_to_this_machine_unless_told_otherwise():
    assert parse_address("9000") == ("127.0.0.1", 9000)
    assert parse_address("0.0.0.0:9000") == ("0.0.0.0", 9000)
    for bad in ("", "x", "99999", ":9000"):
        with pytest.raises(BadOption, match="invalid OSC port"):
            parse_address(bad)


def test_an_osc_port_that_is_taken_is_refused():
    pytest.importorskip("pythonosc")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(BadOption, match="cannot be opened"):
            OscServer(make_jam(), ("127.0.0.1", taken.getsockname()[1]))


# --- the screen -------------------------------------------------------------------------------------------------------


def shown(jam):
    console = Console(width=100, height=24, force_terminal=False)
    with console.capture() as captured:
        console.print(screen.draw_screen(jam, 100, 24, "▀▄█│"))
    return captured.get()


def test_the_screen_shows_the_mode_the_bar_and_what_is_coming():
    jam = make_jam("answer")
    assert shown(jam).startswith("voices  answer, 1 bars  waits  bar 1.1  120 a minute  temperature 1\n")
    jam.start()
    jam.receive(jam.clock(), (0x90, 60, 100))
    go(jam, 2.1)
    jam.remark("a remark")
    text = shown(jam)
    assert "plays  bar 2.1" in text
    assert "you" in text
    assert "model" in text
    assert "a remark" in text
    assert "v: vary" in text


def test_the_screen_is_drawn_while_a_jam_runs_and_takes_keys():
    jam = make_jam("answer")
    pressed, file = iter(["v", "q"]), io.StringIO()

    def keys(seconds):
        time.sleep(0.01)
        return next(pressed, "")

    console = Console(file=file, force_terminal=True, width=80, height=20)
    with screen.show(jam, console, keys):
        while not jam.ends:
            time.sleep(0.005)
            jam.step()
    assert "v: vary" in file.getvalue()


def test_keys_are_commands():
    jam = make_jam("answer")
    jam.start()
    for key in "m+ xq":
        screen.press(jam, key)
        go(jam, 0.02)
    assert (jam.session.mode, jam.session.is_stopped, jam.ends) == ("continue", True, True)
    assert screen.find_temperature(jam) == 1.1
    screen.press(jam, " ")
    go(jam, 0.02)
    assert not jam.session.is_stopped
