"""Sessions with a model at ticks: modes, commands, takes, and the cursor behind them."""

from dataclasses import replace

import numpy as np
import pytest

from composer.errors import BadOption, NothingAllowed
from composer.generation import tasks
from composer.generation.composer import open_model
from composer.generation.generator import Generator, generate
from composer.generation.streaming import Cursor
from composer.model import save
from composer.request import Request, Spec
from composer.testing import make_random_model
from composer_live.session import Session
from composer_live.take import Take, make_piece, read_take
from composer_live.values import LEAD, LOOK_AHEAD, Command, Played, Setup
from composer_live.writing import PLAYED, PartNote, take_highest

BAR = 1920
SCALE = (60, 62, 64, 65, 67, 69, 71, 72)
MODELS = {
    name: Generator(make_random_model("gru", name, hidden_size=16, embedding_size=16), name)
    for name in ("voices", "remi", "frames")
}
REQUEST = Request(seed=3, key="C", time_signature="4/4")
MODES = ("answer", "continue", "harmonize", "accompany", "loop")


def setup_of(mode, **more):
    return Setup(mode, **{"bars": 1, "request": REQUEST, **more})


def play(*pitches, at=0, length=200, step=240, velocity=80):
    """One note after the other, each a little shorter than the step."""
    return [
        action
        for number, pitch in enumerate(pitches)
        for action in (
            Played(at + number * step, pitch, velocity),
            Played(at + number * step + length, pitch, 0),
        )
    ]


def run_session(mode, actions, end, model="voices", **more):
    """All events of the model, in order, of a session up to `end`."""
    session = Session(MODELS[model], setup_of(mode, **more))
    for action in actions:
        session.act(action)
        session.take()
    session.close(end)
    assert_released(session.given)
    return session, session.given


def assert_released(events):
    """Every note ends after it began, and nothing sounds at the end."""
    sounding = {}
    for event in sorted(events):
        sound = event.program, event.is_drum, event.track, event.pitch
        sounding[sound] = sounding.get(sound, 0) + (1 if event.velocity else -1)
        assert sounding[sound] >= 0, event
    assert not any(sounding.values())


def onsets(events):
    return [(event.tick, event.pitch) for event in sorted(events) if event.velocity]


# --- the cursor -------------------------------------------------------------------------------------------------------


CHAINS = {
    "free": (),
    "constrained": (Spec("range", {"range": "C2:C6"}),),
    "shaped": (Spec("temperature", {"temperature": 0.8}), Spec("min-p", {"p": 0.02})),
    "remembering": (Spec("mirostat", {"tau": 2.0}),),
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("name", MODELS)
def test_a_cursor_draws_the_piece_that_is_generated(name, chain):
    request = Request(seed=5, bars=4, samplers=CHAINS[chain])
    cursor = Cursor(MODELS[name], request)
    while not cursor.tokens or cursor.tokens[-1] != 1:
        cursor.draw()
    assert (
        MODELS[name].tokenizer.decode(np.array(cursor.tokens)) == generate(MODELS[name], [request], redraws=0)[0].score
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_cursor_goes_back_and_reads_what_it_has_drawn(name):
    cursor = Cursor(MODELS[name], Request(seed=5, bars=4, samplers=CHAINS["shaped"]))
    drawn = [cursor.draw() for _ in range(30)]
    after = [cursor.draw() for _ in range(10)]
    cursor.rewind(12)
    assert len(cursor) == 12
    cursor.move_to(drawn)
    assert [cursor.draw() for _ in range(10)] == after
    other = Cursor(MODELS[name], Request(seed=5, bars=4, samplers=CHAINS["shaped"]))
    other.move_to(drawn)
    assert [other.draw() for _ in range(10)] == after
    other.rewind(30)
    other.turn = 1
    assert [other.draw() for _ in range(10)] != after


def test_what_samplers_remember_goes_along_with_a_cursor():
    request = Request(seed=5, bars=4, samplers=CHAINS["remembering"])
    cursor, other = Cursor(MODELS["voices"], request), Cursor(MODELS["voices"], request)
    drawn = [cursor.draw() for _ in range(30)]
    cursor.rewind(12)
    assert [cursor.draw() for _ in range(18)] == drawn[12:]
    other.move_to(drawn)
    cursor.forget()
    other.forget()
    assert [cursor.draw() for _ in range(10)] == [other.draw() for _ in range(10)]


@pytest.mark.parametrize("mode", MODES)
def test_samplers_with_memory_leave_a_session_as_repeatable(mode):
    request = replace(REQUEST, samplers=CHAINS["remembering"])
    actions = [*play(*SCALE), *play(*SCALE, at=2 * BAR), Command(4 * BAR, "vary")]
    _, given = run_session(mode, actions, 6 * BAR, request=request)
    session = Session(MODELS["voices"], setup_of(mode, request=request))
    for tick in range(0, 6 * BAR, 240):
        while actions and actions[0].tick <= tick:
            session.act(actions.pop(0))
        session.advance(tick)
        session.prepare()
    session.close(6 * BAR)
    assert session.given == given


def test_a_cursor_draws_within_a_mask_and_refuses_an_empty_one():
    cursor = Cursor(MODELS["voices"], REQUEST)
    only = np.zeros_like(cursor.allowed)
    only[np.flatnonzero(cursor.allowed)[-1]] = True
    assert cursor.draw(only) == int(only.argmax())
    with pytest.raises(NothingAllowed, match="loosen them"):
        cursor.draw(np.zeros_like(only))
    assert len(cursor) == 1
    with pytest.raises(ValueError, match="cannot go to 2"):
        cursor.rewind(2)


def test_a_cursor_keeps_its_last_states_only(monkeypatch):
    monkeypatch.setattr("composer.generation.streaming.MOST_STATES", 8)
    cursor = Cursor(MODELS["voices"], REQUEST)
    tokens = [cursor.draw() for _ in range(20)]
    assert (len(cursor), cursor.tokens) == (20, tokens[-7:])
    with pytest.raises(ValueError, match="13 to 20"):
        cursor.rewind(12)
    cursor.move_to(tokens[:5])
    assert cursor.tokens == tokens[:5]


# --- modes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["voices", "remi"])
@pytest.mark.parametrize("mode", MODES)
def test_a_session_depends_on_what_is_played_and_not_on_when_it_is_asked(mode, model):
    if (mode, model) == ("harmonize", "remi"):
        pytest.skip("to harmonize, a model needs voices, and this one has none")
    actions = [*play(*SCALE), *play(*reversed(SCALE), at=4 * BAR), Command(5 * BAR, "vary")]
    actions += play(60, 64, 67, at=6 * BAR)
    session, given = run_session(mode, actions, 9 * BAR, model)
    assert onsets(given)
    often = Session(MODELS[model], setup_of(mode))
    waiting = list(actions)
    for tick in range(0, 9 * BAR, 13):
        while waiting and waiting[0].tick <= tick:
            often.act(waiting.pop(0))
        often.advance(tick)
        if tick % 11 == 0:
            often.prepare()
        assert all(event.tick <= often.tick + LOOK_AHEAD for event in often.take())
    often.close(9 * BAR)
    assert sorted(often.given) == sorted(given)
    assert often.actions == session.actions


@pytest.mark.parametrize("model", MODELS)
def test_an_answer_fills_the_bars_after_the_turn_and_no_others(model):
    _, given = run_session("answer", play(*SCALE * 2, at=BAR), 8 * BAR, model, bars=2)
    assert onsets(given)
    assert all(3 * BAR <= event.tick <= 5 * BAR for event in given)


def test_an_answer_depends_on_what_was_played():
    answers = set()
    for notes in (SCALE, SCALE[::-1]):
        session = Session(open_model("tunes"), setup_of("answer"))
        for action in play(*notes):
            session.act(action)
        session.close(3 * BAR)
        answers.add(str(onsets(session.given)))
    assert len(answers) == 2


def test_a_note_just_before_the_bar_belongs_to_the_turn_that_it_begins():
    _, given = run_session("answer", play(60, 62, at=BAR - LEAD // 2), 4 * BAR)
    assert min(event.tick for event in given) >= 2 * BAR


def test_who_plays_into_an_answer_has_the_next_turn_after_it():
    actions = [*play(*SCALE), *play(60, 62, at=BAR + 400), *play(*SCALE, at=2 * BAR)]
    _, given = run_session("answer", actions, 5 * BAR)
    bars = {tick // BAR for tick, _ in onsets(given)}
    assert bars == {1, 3}


def test_an_answer_is_played_again_or_varied_or_kept_as_a_loop():
    turn = play(*SCALE)
    _, given = run_session("answer", [*turn, Command(3 * BAR - 900, "again")], 6 * BAR)
    first = [(tick - BAR, pitch) for tick, pitch in onsets(given) if tick < 2 * BAR]
    assert [(tick - 3 * BAR, pitch) for tick, pitch in onsets(given) if tick >= 2 * BAR] == first
    _, given = run_session("answer", [*turn, Command(3 * BAR - 900, "vary")], 6 * BAR)
    assert [(tick - 3 * BAR, pitch) for tick, pitch in onsets(given) if tick >= 2 * BAR] not in ([], first)
    kept = [Command(3 * BAR, "keep"), Command(3 * BAR, "mode", "loop")]
    session, given = run_session("answer", [*turn, *kept], 6 * BAR)
    assert (session.mode, [(tick - 4 * BAR, pitch) for tick, pitch in onsets(given) if 4 * BAR <= tick < 5 * BAR]) == (
        "loop",
        first,
    )


def test_undo_lets_the_model_forget_the_last_turn():
    later = play(*SCALE, at=4 * BAR)
    session, _ = run_session("answer", [*play(*SCALE), Command(3 * BAR, "undo"), *later], 5 * BAR)
    assert min(note.start for note in session.memory.notes) == 4 * BAR


def test_continue_goes_on_in_silence_and_stops_at_once_for_a_note():
    actions = [*play(*SCALE), *play(60, at=4 * BAR, length=BAR)]
    _, given = run_session("continue", actions, 5 * BAR)
    ticks = [tick for tick, _ in onsets(given)]
    assert BAR + 240 <= min(ticks) < 2 * BAR
    assert max(event.tick for event in given) <= 4 * BAR + LOOK_AHEAD
    assert max(ticks) > 3 * BAR


def test_continue_waits_while_a_note_is_held():
    _, given = run_session("continue", [Played(0, 60, 80)], 6 * BAR)
    assert given == []


def test_harmonize_sets_voices_at_the_tick_of_each_note_and_releases_them_with_it():
    _, given = run_session("harmonize", play(64, 65, at=17, length=200), 2 * BAR)
    by_tick = {}
    for event in given:
        by_tick.setdefault(event.tick, []).append(event)
    assert set(by_tick) == {17, 217, 257, 457}
    assert all(event.velocity and event.pitch <= 64 for event in by_tick[17])
    assert len(by_tick[17]) == len(MODELS["voices"].tokenizer.token_info.voices) - 1
    assert not any(event.velocity for event in by_tick[217])


def test_harmonize_follows_the_highest_note_that_is_held():
    chord = [Played(0, 72, 80), Played(10, 60, 80), Played(20, 55, 80), Played(900, 72, 0), Played(950, 60, 0)]
    _, given = run_session("harmonize", [*chord, Played(1000, 55, 0)], BAR)
    assert {tick for tick, _ in onsets(given)} == {0}
    assert {event.tick for event in given if not event.velocity} == {1000}


def test_harmonize_reaches_notes_outside_of_the_range_of_the_model():
    _, given = run_session("harmonize", play(3, 125), 2 * BAR)
    assert {tick for tick, _ in onsets(given)} <= {0, 240}


def test_harmonize_goes_on_after_a_long_silence():
    _, given = run_session("harmonize", [*play(60), *play(62, at=100 * BAR + 7)], 101 * BAR)
    assert {tick for tick, _ in onsets(given)} == {0, 100 * BAR + 7}


def test_harmonize_takes_a_note_just_before_the_bar_line_into_the_next_bar():
    actions = [*play(60, at=BAR - 3), *play(62, at=BAR + 2), *play(64, at=BAR + 500)]
    _, given = run_session("harmonize", sorted(actions, key=lambda action: action.tick), 2 * BAR)
    assert {tick for tick, _ in onsets(given)} <= {BAR - 3, BAR + 2, BAR + 500}
    assert {BAR - 3, BAR + 500} <= {tick for tick, _ in onsets(given)}


def test_harmonize_follows_the_key_that_it_estimates():
    sharp = [66, 68, 70, 71, 73, 75, 77, 78]
    request = Request(seed=3, time_signature="4/4")
    session = Session(MODELS["voices"], setup_of("harmonize", request=request))
    for action in play(*sharp * 2):
        session.act(action)
        session.take()
    session.close(3 * BAR)
    assert str(session.player._key) == "F#"
    assert {tick for tick, _ in onsets(session.given)} >= {0, BAR, 2 * BAR - 240}
    assert_released(session.given)


def test_harmonize_varies_the_voices_of_the_note_that_is_held():
    actions = [Played(0, 67, 80), *(Command(100 * number, "vary") for number in range(1, 6))]
    _, given = run_session("harmonize", actions, BAR)
    assert {tick for tick, _ in onsets(given)} - {0}


@pytest.mark.parametrize("model", ["voices", "remi"])
def test_accompany_begins_with_the_next_bar_and_rests_with_the_player(model):
    _, given = run_session("accompany", play(*SCALE * 2), 12 * BAR, model)
    ticks = [event.tick for event in given]
    assert min(ticks) >= BAR
    assert max(ticks) <= 5 * BAR
    assert all(event.track != "Voice 1" for event in given)


def list_places(events):
    """The places of the model's notes by bars, in sixteenths."""
    found = {}
    for tick, _ in onsets(events):
        found.setdefault(tick // BAR, set()).add(tick % BAR // 120)
    return found


def test_drums_strike_in_each_bar_where_somebody_played_in_the_bar_before():
    drums = make_random_model("gru", "drums", {"fine_steps": 0, "triplets": False}, hidden_size=16)
    session = Session(Generator(drums, "drums"), setup_of("accompany", request=replace(REQUEST, tempo=96.0)))
    rhythms = {1: (0, 6, 8, 13), 2: (0, 2, 3, 15), 3: (1, 4, 11), 7: (0,)}
    late = (13, -20, 31, 8)  # ticks beside the grid
    for bar, places in rhythms.items():
        for number, place in enumerate(places):
            for action in play(60, at=bar * BAR + place * 120 + late[number], length=60):
                session.act(action)
                session.take()
    session.close(12 * BAR)
    assert not session.trouble
    assert_released(session.given)
    assert all(event.is_drum for event in session.given)
    places = list_places(session.given)
    assert min(places) == 2
    for bar, wanted in ((2, {0, 6, 8, 13}), (3, {0, 2, 3}), (4, {1, 4, 11, 15}), (8, {0})):
        assert wanted <= places[bar]  # the last sixteenth comes too late for the bar after it, and is in the next one
    assert not {6, 7, 11} & set(places)  # two bars after the last note
    written = session.writer.generator.tokenizer.decode(np.array(session.writer.cursor.tokens))
    assert written.tempos[0].bpm == pytest.approx(96, rel=0.05)


def test_a_loop_repeats_what_was_played_and_varies_its_second_half():
    phrase = play(60, 64, 67, 72, step=480, length=400)
    _, given = run_session("loop", [*phrase, Command(3 * BAR - 500, "vary")], 5 * BAR)
    rounds = [[(tick - n * BAR, pitch) for tick, pitch in onsets(given) if tick // BAR == n] for n in range(1, 5)]
    assert rounds[0] == rounds[1] == [(0, 60), (480, 64), (960, 67), (1440, 72)]
    assert rounds[3][:2] == rounds[0][:2]
    assert rounds[3] != rounds[0]


def test_a_model_that_cannot_play_a_mode_says_so_in_a_sentence():
    with pytest.raises(BadOption, match=r"^'tunes' writes a single part, and 'accompany' needs another beside yours;"):
        Session(open_model("tunes"), setup_of("accompany"))
    with pytest.raises(BadOption, match=r"^'remi' writes notes and no voices, and 'harmonize' needs voices;"):
        Session(MODELS["remi"], setup_of("harmonize"))
    with pytest.raises(BadOption, match=r"unknown mode 'anwser'.*'answer'"):
        Session(MODELS["voices"], setup_of("anwser"))


# --- commands ---------------------------------------------------------------------------------------------------------


def test_stop_is_silence_until_start():
    actions = [*play(*SCALE), Command(BAR + 100, "stop"), *play(*SCALE, at=2 * BAR)]
    session, given = run_session("answer", [*actions, Command(4 * BAR, "start"), *play(60, at=5 * BAR)], 7 * BAR)
    assert not [event for event in given if BAR + 100 + LOOK_AHEAD < event.tick < 6 * BAR]
    assert [tick for tick, _ in onsets(given) if tick >= 6 * BAR]
    assert not session.is_stopped


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        (Command(0, "mode", "polka"), "unknown mode 'polka'"),
        (Command(0, "temperature", -3.0), "temperature"),
        (Command(0, "temperature", "hot"), "takes a number"),
        (Command(0, "temperature", float("nan")), "takes a number"),
        (Command(0, "bars", 0.0), "must be from 1"),
        (Command(0, "seed", -1.0), "'seed' is -1"),
        (Command(0, "varry"), "unknown command 'varry'"),
    ],
    ids=str,
)
def test_a_command_that_cannot_be_followed_is_named_and_the_music_goes_on(command, trouble):
    session, given = run_session("answer", [command, *play(*SCALE)], 3 * BAR)
    assert trouble in session.trouble
    assert onsets(given) == onsets(run_session("answer", play(*SCALE), 3 * BAR)[1])
    assert command not in session.actions


def test_samplers_that_leave_nothing_end_the_phrase_and_not_the_session(monkeypatch):
    def refuse(*_):
        raise NothingAllowed("the samplers leave nothing.")

    for mode in MODES:
        session = Session(MODELS["voices"], setup_of(mode))
        for action in play(60, 62, 64):
            session.act(action)
        monkeypatch.setattr(Cursor, "draw", refuse)
        for action in [*play(60, at=2 * BAR), Command(2 * BAR + 400, "vary")]:
            session.act(action)
        session.advance(5 * BAR)
        assert session.trouble == "the samplers leave nothing."
        monkeypatch.undo()
        for action in play(60, 62, 64, at=6 * BAR):
            session.act(action)
        session.close(10 * BAR)
        assert_released(session.given)
        assert [tick for tick, _ in onsets(session.given) if tick >= 6 * BAR]


# --- takes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_take_is_made_again_from_what_was_played(mode):
    actions = (*play(*SCALE), Command(2 * BAR, "temperature", 0.7), *play(*SCALE, at=3 * BAR), Command(4 * BAR, "vary"))
    session, _ = run_session(mode, actions, 6 * BAR)
    take = Take(session.setup, tuple(session.actions), 6 * BAR)
    piece = make_piece(session, take)
    again = tasks.regenerate(MODELS["voices"], piece.provenance)
    assert again.score == piece.score
    assert again.provenance == piece.provenance
    assert {(track.name, len(track.notes)) for track in piece.score.tracks} >= {("played", 16)}
    other = tasks.replace_request(tasks.read_task(piece.provenance), replace(take.request, seed=99))
    assert tasks.make(MODELS["voices"], [other])[0].score.tracks[0] == piece.score.tracks[0]


@pytest.mark.parametrize(
    "broken", [{"end": -1}, {"actions": [[0, "polka", None]]}, {"actions": [[0, 300, 1]]}, {"setup": {}}]
)
def test_a_damaged_take_is_refused(broken):
    take = Take(setup_of("answer"), (), BAR).to_json()
    with pytest.raises(BadOption, match="invalid take"):
        read_take({**take, "played": {**take["played"], **broken}})


def test_a_piece_of_a_command_that_is_not_there_is_refused():
    with pytest.raises(BadOption, match="'composer polka', which no installed plugin offers"):
        tasks.read_task({"request": {}, "command": "polka"})


def test_the_highest_notes_are_a_line():
    notes = [PartNote(0, 960, 72, 80, PLAYED), PartNote(5, 960, 60, 80, PLAYED), PartNote(480, 960, 64, 80, PLAYED)]
    assert [note.pitch for note in take_highest(notes)] == [72]
    assert [n.pitch for n in take_highest([*notes, PartNote(700, 900, 76, 80, PLAYED)])] == [72, 76]


def test_jam_plays_from_a_file_and_regenerate_makes_it_again(run, here, small_score):
    from composer.io import formats
    from composer.types import Piece

    formats.write([Piece(small_score("C5/2 D5/2 E5/2 F5/2 G5/2 A5/2 B5/2 C6/2"))], here / "played.mid")
    ran = run("jam", "--in", "played.mid", "--record", "take.mid", "--fast", "--bars", 1, "--seed", 4)
    assert (ran.status, ran.err) == (0, "")
    assert run("regenerate", "take.mid", "again.mid").status == 0
    assert (here / "take.mid").read_bytes() == (here / "again.mid").read_bytes()
    assert run("regenerate", "take.mid", "other.mid", "--seed", "+1").status == 0
    assert run("jam", "--in", "played.mid", "--fast").err.startswith("composer: --fast plays from a file to a file")
    refused = run("jam", "--mode", "accompany", "--model", "tunes", "--in", "played.mid", "--record", "x.mid", "--fast")
    assert "writes a single part" in refused.err
    assert not (here / "x.mid").exists()
    assert run("jam", "--tempo", 0, "--in", "played.mid").err == (
        "composer: 'tempo' is 0, and must be from 5 to 1000 beats a minute.\n"
    )


def test_jam_records_drums_that_follow_and_makes_them_again(run, here, small_score):
    from composer import read
    from composer.io import formats
    from composer.types import Piece

    save(make_random_model("gru", "drums", {"time_signatures": ("4/4",)}, hidden_size=16), here / "drummer.safetensors")
    formats.write([Piece(small_score("C5 D5/2 E5/2 F5 G5/2 A5/2 " * 3))], here / "played.mid")
    own = ("--model", "drummer.safetensors", "--mode", "accompany")
    options = (*own, "--in", "played.mid", "--fast", "--tempo", 96)
    ran = run("jam", *options, "--record", "take.mid", "--seed", 4)
    assert (ran.status, ran.err) == (0, "")
    played, drums = read("take.mid").score.tracks
    assert (played.is_drum, drums.is_drum, drums.name) == (False, True, "Drums")
    assert run("regenerate", "take.mid", "again.mid", *own[:2]).status == 0
    assert (here / "take.mid").read_bytes() == (here / "again.mid").read_bytes()
    refused = run("jam", *options, "--record", "x.mid", "--time-signature", "7/8")
    assert refused.err == "composer: this model has no bars of 7/8; it has 4/4.\n"
