"""Repetition: loops are found, drawn anew from the piece's own stream, and counted; what real music does is none."""

import json
import re
from dataclasses import replace

import pytest
from music import drums, line, score

from composer.errors import BadModelFile
from composer.generation import degeneration, generator, infilling, tasks
from composer.generation.composer import open_model
from composer.generation.continuation import add_primer
from composer.generation.degeneration import (
    DEFAULT,
    LEAST,
    RETRIES,
    Limits,
    count_equal_bars,
    count_repeated_notes,
    describe_loops,
    describe_silence,
    measure_limits,
    read_limits,
)
from composer.generation.form_spec import Form
from composer.generation.generator import generate
from composer.io.formats import read_provenance
from composer.io.outputs import write_piece
from composer.model import Model, load, save
from composer.music.score import END, Text
from composer.request import Request
from composer.training import model_card
from composer.types import Span

SCALE = [(pitch, 1) for pitch in (60, 62, 64, 65, 67, 69, 71, 72)]
"""Two bars of 4/4, all of it different."""


# --- one note ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("track", "run"),
    [
        (line(*SCALE), 1),
        (line((60, 1), (62, 1), (62, 2), (62, 0.5), (60, 1)), 3),  # whatever their lengths
        (line((62, 1), (0, 6), (62, 1)), 2),  # and over a rest
        (line(((60, 64), 1), ((60, 64), 1), ((60, 64, 67), 1)), 2),  # a chord is all of its notes
        (line(((60, 64), 1), ((60, 65), 1), ((60, 67), 1)), 1),
        (drums(*((beat, 42) for beat in range(16))), 0),
        (line(), 0),
    ],
    ids=["none", "lengths", "rest", "chord", "other chords", "drums", "empty"],
)
def test_a_note_that_is_struck_again(track, run):
    assert count_repeated_notes(score(track)) == run


def test_a_run_is_of_one_track():
    assert count_repeated_notes(score(line((60, 1), (62, 1)), line((60, 1), (64, 1)))) == 1
    assert count_repeated_notes(score(line(*SCALE), line(*[(48, 1)] * 5))) == 5


# --- one bar ----------------------------------------------------------------------------------------------------------

FIGURE = [(60, 1), (64, 1), (67, 2)]


@pytest.mark.parametrize(
    ("tracks", "run"),
    [
        ([line(*SCALE)], 1),
        ([line(*FIGURE * 3, *SCALE)], 3),
        ([line(*FIGURE * 3), line(*SCALE, (48, 4))], 1),  # all tracks count
        ([line(*FIGURE, *FIGURE[::-1], *FIGURE)], 1),
        ([line((60, 4), (60, 2), (60, 2))], 1),  # the same pitch in other lengths
        ([line((60, 1), (0, 19), (62, 1))], 4),  # silence
        ([line((60, 2), (62, 18), (64, 4))], 5),  # the bars in which a note only sounds on
        ([line((60, 2), (62, 18)), line(*FIGURE, (0, 16))], 5),
        ([line((60, 16)), line(*SCALE * 2)], 1),  # a pedal below what moves
        ([line((62, 3), *[(60, 4)] * 4, (62, 1))], 3),  # tied over every bar line
        ([drums(*((beat, 42) for beat in range(16)))], 4),
        ([], 0),
    ],
    ids=[
        "none",
        "figure",
        "tracks",
        "apart",
        "rhythm",
        "rest",
        "held",
        "held chord",
        "pedal",
        "ties",
        "drums",
        "empty",
    ],
)
def test_a_bar_that_comes_again(tracks, run):
    assert count_equal_bars(score(*tracks)) == run


def test_bars_of_two_lengths_differ_and_an_upbeat_is_a_bar_of_its_own():
    changing = score(line((60, 3), (60, 3), (60, 4), (60, 4)), metres=((0, 3, 4), (2880, 4, 4)))
    assert count_equal_bars(changing) == 2
    assert count_equal_bars(score(line((60, 1), (60, 4), (60, 4)), upbeat=480)) == 2


def test_silence_up_to_a_stated_length_counts():
    assert count_equal_bars(score(line(*SCALE))) == 1
    assert count_equal_bars(score(line(*SCALE), markers=(Text(7 * 1920, END),))) == 5


def test_what_comes_before_a_place_does_not_count():
    loop = score(line(*[(60, 1)] * 16, *SCALE))
    assert (count_repeated_notes(loop), count_equal_bars(loop)) == (17, 4)
    assert (count_repeated_notes(loop, [Span(0, 4 * 1920)]), count_equal_bars(loop, [Span(0, 4 * 1920)])) == (1, 1)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_piece_beyond_what_real_ones_reach_is_degenerate():
    real = measure_limits([score(line(*[(72, 1)] * 3, *SCALE)), score(line(*FIGURE * 2))])
    assert real == Limits(notes=3, bars=2)
    assert describe_loops(score(line(*[(60, 0.5)] * 4)), real) == "one note 4 times in a row"
    assert describe_loops(score(line(*FIGURE * 3)), real) == "3 equal bars in a row"
    assert describe_loops(score(line(*[(60, 1)] * 12)), real) == "one note 12 times in a row, 3 equal bars in a row"
    assert describe_loops(score(line()), real) == "silent"
    assert describe_loops(score(line(*FIGURE * 2)), real) == ""


def test_a_card_states_the_limits():
    assert read_limits({"repetition": {"notes": 40, "bars": 9, "pieces": 100}}) == Limits(40, 9)
    assert read_limits({"repetition": {"notes": 2, "bars": 1, "pieces": 3}}) == LEAST
    assert read_limits({}) == DEFAULT
    for wrong in (None, [], {"notes": 3}, {"notes": "many", "bars": None}):
        with pytest.raises(BadModelFile, match="holds no limits of repetition; measure it again"):
            read_limits({"repetition": wrong})


def test_a_trained_model_states_what_its_pieces_reach(player, corpus):
    real = [player.tokenizer.decode(corpus.read_piece(number)) for number in corpus.split("train")]
    found = player.model.card["repetition"]
    assert found == {"notes": measure_limits(real).notes, "bars": measure_limits(real).bars, "pieces": len(real)}
    module = player.model.make_module()
    assert model_card.measure_reach(module, corpus, player.tokenizer)["repetition"] == found


@pytest.mark.machine
@pytest.mark.parametrize("name", ["chorales", "tunes"])
def test_what_a_shipped_model_writes_is_no_loop(name):
    shipped = open_model(name)
    assert shipped.model.card["repetition"]["pieces"] == shipped.model.card["dataset"]["split"]["train"]
    pieces = generate(shipped, [replace(shipped.suggested, index=index, bars=6) for index in range(5)])
    assert [piece.provenance for piece in pieces if {"redrawn", "degenerate"} & set(piece.provenance)] == []


# --- redraws ----------------------------------------------------------------------------------------------------------


def with_card(player, path, notes):
    """A file of the same model, whose card lets a note be struck so often in a row, and any bar come again."""
    model = player.model
    card = {**model.card, "repetition": {"notes": notes, "bars": 10**6, "pieces": 1}}
    save(Model(model.architecture, model.tokenizer, model.vocabulary, model.weights, card), path)
    return path


@pytest.fixture
def strict_file(player, tmp_path, monkeypatch):
    """A model, about half of whose pieces strike a note more often than it is allowed."""
    monkeypatch.setattr(degeneration, "LEAST", Limits(1, 1))
    return with_card(player, tmp_path / "strict.safetensors", 3)


@pytest.fixture
def strict(strict_file):
    return open_model(strict_file)


@pytest.fixture
def vain(player, tmp_path, monkeypatch):
    """A model that is not allowed a single note."""
    monkeypatch.setattr(degeneration, "LEAST", Limits(0, 1))
    return open_model(with_card(player, tmp_path / "vain.safetensors", 0))


COUNT = 12


def asked(indices, **wishes):
    return [Request(**{"seed": 1, "index": index, "bars": 2, **wishes}) for index in indices]


def redrawn(piece):
    return piece.provenance.get("redrawn", 0)


def test_a_loop_is_drawn_anew_as_the_next_attempt(strict):
    first, pieces = (generate(strict, asked(range(COUNT)), **more) for more in ({"redraws": 0}, {}))
    assert {redrawn(piece) for piece in first} == {0}
    assert len({redrawn(piece) for piece in pieces}) > 2
    for attempt, piece in zip(first, pieces, strict=True):
        looped = describe_loops(attempt.score, strict.limits)
        assert attempt.provenance.get("degenerate", "") == looped
        assert (attempt == piece) == (not looped)
        assert bool(redrawn(piece)) == bool(looped)
        assert piece.provenance["request"].get("attempt", 0) == redrawn(piece)
        assert count_repeated_notes(piece.score) <= 3


def test_the_last_attempt_is_kept_and_said_to_be_degenerate(vain):
    for piece, attempt in zip(generate(vain, asked([0, 1])), generate(vain, asked([0, 1], attempt=8)), strict=True):
        assert piece == attempt
        assert redrawn(piece) == RETRIES == 8
        assert piece.provenance["degenerate"] == f"one note {count_repeated_notes(piece.score)} times in a row"
    (later,) = generate(vain, asked([0], attempt=20))
    assert redrawn(later) == 20


def test_a_piece_is_the_same_alone_as_among_those_that_are_redrawn(strict, monkeypatch):
    together = generate(strict, asked(range(6)))
    assert any(map(redrawn, together))
    assert [generate(strict, asked([index]))[0] for index in range(6)] == together
    monkeypatch.setattr(generator, "BATCH_SIZE", 2)
    assert generate(strict, asked(range(6))[::-1]) == together[::-1]


def test_a_redrawn_piece_is_made_again_byte_for_byte(strict, vain, tmp_path):
    for player in (strict, vain):
        piece = max(generate(player, asked(range(COUNT))), key=redrawn)
        assert redrawn(piece) > 0
        assert generate(player, [Request.from_json(piece.provenance["request"])]) == [piece]
        write_piece(piece, tmp_path / "one.mid")
        write_piece(tasks.regenerate(player, read_provenance(tmp_path / "one.mid")), tmp_path / "two.mid")
        assert (tmp_path / "one.mid").read_bytes() == (tmp_path / "two.mid").read_bytes()


def test_a_piece_is_made_again_whatever_a_card_says_by_then(player, vain):
    (piece,) = generate(player, asked([0]))
    assert not redrawn(piece)
    assert tasks.regenerate(vain, piece.provenance).score == piece.score


def test_only_new_music_is_judged(player, small_score):
    request = add_primer(player, Request(seed=1, bars=2), small_score("C5 " * 64))
    (piece,) = generate(player, [request])
    assert count_repeated_notes(piece.score) >= 64 > player.limits.notes
    assert not {"redrawn", "degenerate"} & set(piece.provenance)


def test_of_what_is_given_nothing_counts():
    loop = score(line(*SCALE, *[(60, 1)] * 16, *SCALE), line(*[(48, 4)] * 8))
    middle = [Span(2 * 1920, 6 * 1920)]
    assert (count_repeated_notes(loop), count_equal_bars(loop)) == (17, 4)
    assert count_equal_bars(loop, [Span(2 * 1920, 5 * 1920)]) == 1
    assert count_equal_bars(loop, middle) == 1
    assert count_repeated_notes(loop, middle) == 4  # of the lower voice, before and after
    assert count_repeated_notes(loop, [Span(0, 8 * 1920, 1), *middle]) == 1
    assert count_equal_bars(loop, [Span(0, 8 * 1920, 1)]) == 4


def test_a_fill_that_repeats_itself_is_drawn_anew(strict, small_score):
    whole = small_score("C5 D5 E5 F5 " * 4, "C4*4 E4*4 C4*4 E4*4")
    wanted = [infilling.plan_gap(strict, whole, Request(seed=2, index=n), bars=(2, 3), particles=2) for n in range(6)]
    first, pieces = (tasks.make(strict, wanted, **more) for more in ({"redraws": 0}, {}))
    assert any(map(redrawn, pieces))
    for attempt, piece in zip(first, pieces, strict=True):
        assert (attempt == piece) == ("degenerate" not in attempt.provenance)
        assert piece.provenance["request"].get("attempt", 0) == redrawn(piece)
    again = max(range(6), key=lambda n: redrawn(pieces[n]))
    assert tasks.make(strict, [wanted[again]]) == [pieces[again]]
    assert tasks.regenerate(strict, pieces[again].provenance) == pieces[again]


@pytest.mark.uncounted
def test_every_section_of_a_form_is_judged(strict):
    forms = [Form.parse(Request(seed=1, index=n, bars=2, time_signature="4/4"), "ABC") for n in range(6)]
    pieces = tasks.make(strict, forms)
    later = [piece for piece in pieces if "attempts" in piece.provenance["form"]]
    assert later
    for piece in later:
        attempts = piece.provenance["form"]["attempts"]
        assert redrawn(piece) == piece.provenance["request"].get("attempt", 0) + sum(attempts.values())
        assert tasks.regenerate(strict, piece.provenance) == piece


def test_the_command_counts_them(run, strict, strict_file, tmp_path):
    pieces = generate(strict, asked(range(COUNT)))
    wishes = ["--model", strict_file, "--seed", 1, "--bars", 2, "--no-ending"]
    *lines, total = run("generate", tmp_path / "out", *wishes, "--count", COUNT).out.splitlines()
    times = ["", ", redrawn once", ", redrawn twice", *(f", redrawn {count} times" for count in range(3, RETRIES + 1))]
    said = [re.fullmatch(r".*: \d+ notes, \d+ bars(.*), seed 1", line)[1] for line in lines]
    assert said == [times[redrawn(piece)] for piece in pieces]
    counts = [redrawn(piece) for piece in pieces]
    assert total == f"{COUNT} pieces: {COUNT - counts.count(0)} redrawn, {sum(counts)} redraws in all"


def test_the_command_says_what_is_degenerate_still(run, vain, tmp_path):
    shown = run("generate", tmp_path / "out", "--model", vain.name, "--bars", 1, "--count", 2).out.splitlines()
    assert re.search(r", redrawn 8 times, still degenerate \(one note \d+ times in a row\), seed \d+$", shown[0])
    assert shown[-1] == "2 pieces: 2 redrawn, 16 redraws in all, 2 still degenerate"


FLAT = ("--dynamics", "none", "--no-ending")


def test_the_command_makes_a_redrawn_piece_again_and_another_seed_anew(run, strict, strict_file, tmp_path):
    index = next(n for n, piece in enumerate(generate(strict, asked(range(COUNT)))) if redrawn(piece))
    one, two, other = (tmp_path / name for name in ("one.mid", "two.mid", "other.mid"))
    run("generate", one, "--model", strict_file, "--seed", 1, "--bars", 2, "--index", index, *FLAT)
    assert run("regenerate", one, two).status == run("regenerate", one, other, "--seed", "+2").status == 0
    assert one.read_bytes() == two.read_bytes()
    made = json.loads((tmp_path / "other.mid.json").read_text())
    (wanted,) = generate(strict, [replace(strict.suggested, seed=3, bars=2, index=index)])
    assert {**made, "model": ""} == {**wanted.provenance, "model": ""}


def test_a_card_without_limits_is_refused(run, player, tmp_path):
    path = with_card(player, tmp_path / "damaged.safetensors", "lots")
    assert load(path).hash == player.model.hash
    ran = run("generate", tmp_path / "x.mid", "--model", path, "--bars", 1)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "composer: the card of this model holds no limits of repetition; measure it again.\n"


# --- silent parts -----------------------------------------------------------------------------------------------------


def test_a_part_that_is_never_heard_is_named():
    piano = line(*SCALE)
    assert describe_silence(score(line(*SCALE, name="Voice", program=52), piano)) == ""
    assert describe_silence(score(line(name="Voice", program=52), piano, line())) == "Voice and 3 silent"
    assert describe_silence(score(line(name="Tenor"), piano)) == ""


def test_a_song_is_sung():
    songs = open_model("songs").generate(count=6, bars=8, seed=1)
    assert all(len(track.notes) for song in songs for track in song.score.tracks)
