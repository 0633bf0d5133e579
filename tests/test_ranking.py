"""Ranking: the pieces that are kept are those that break the fewest rules and are about as likely as real ones."""

import json
import re
import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from music import line, score

from composer.errors import BadModelFile
from composer.generation import ranking
from composer.generation.composer import open_model
from composer.generation.continuation import add_primer
from composer.generation.ranking import (
    Standard,
    compute_standard,
    find_best,
    find_broken_rules,
    measure_rules,
    read_standard,
)
from composer.model import Model, save
from composer.music.score import END, Text
from composer.request import Request
from composer.training import model_card
from composer.training.evaluation import compute_likelihood
from composer.types import Piece

# --- measures ---------------------------------------------------------------------------------------------------------


def test_the_measures_of_a_line():
    found = measure_rules(score(line((60, 2), (61, 2), (0, 8), (72, 4)), key="C"))
    assert found == {
        "notes per bar": 3 / 4,
        "silent bars": 2 / 4,
        "lowest pitch": 60,
        "highest pitch": 72,
        "notes outside the key": 1 / 3,
    }


def test_a_note_sounds_in_every_bar_that_it_reaches_into():
    assert measure_rules(score(line((60, 9), (0, 7), (62, 4))))["silent bars"] == 1 / 5
    assert (
        measure_rules(score(line((60, 4)), line((0, 4), (50, 4)), markers=(Text(4 * 1920, END),)))["silent bars"]
        == 2 / 4
    )


def test_parallels_are_of_four_voices():
    voices = [line((72, 2), (74, 2)), line((67, 2), (67, 2)), line((60, 2), (62, 2)), line((53, 2), (55, 2))]
    found = measure_rules(score(*voices))
    assert (found["parallel octaves"], found["parallel fifths"]) == (1 / 4, 2 / 4)  # in four beats
    assert "parallel octaves" not in measure_rules(score(*voices[:3]))


def test_a_score_without_notes_has_no_pitches():
    assert measure_rules(score()) == {"notes per bar": 0, "silent bars": 0}


# --- the standard -----------------------------------------------------------------------------------------------------


def made(*tracks, nats=10.0, **told):
    return Piece(score(*tracks), {"nats": {"model": nats}, **told})


def test_rules_are_what_nearly_all_real_pieces_keep():
    real = [score(line((60 + number % 12, 1), (80, 3))) for number in range(298)]
    odd = [score(line((20, 1), (80, 3))), score(line((127, 4)))]
    held = compute_standard([*real, *odd], np.array([1.0, 1.7, 9.0]))
    assert held.nats_per_note == 1.7
    assert (held.rules["lowest pitch"], held.rules["highest pitch"]) == ((60, 71), (80, 80))
    assert held.rules["silent bars"] == (0, 0)
    assert find_broken_rules(made(line((60, 1), (80, 3))), held) == ()
    assert find_broken_rules(made(line((59, 1), (80, 3))), held) == ("lowest pitch",)
    wrong = made(line((59, 1), *[(80, 1)] * 3, (0, 4), (90, 2), (90, 2)))
    assert set(find_broken_rules(wrong, held)) == {"lowest pitch", "highest pitch", "silent bars"}
    assert find_broken_rules(made(line((60, 1), (80, 3)), degenerate="one note 9 times in a row"), held) == (
        "repetition",
    )


def test_of_faults_none_is_too_little():
    chromatic = [score(line((61, 1), (60, 3)), key="C") for _ in range(5)]
    held = compute_standard(chromatic, np.ones(1))
    assert held.rules["notes outside the key"] == (0, 0.5)


def test_a_card_keeps_the_standard(player, corpus):
    real = [player.tokenizer.decode(corpus.read_piece(number)) for number in corpus.split("train")]
    valid, module = corpus.split("valid"), player.model.make_module()
    each = [compute_likelihood(module, corpus, player.tokenizer, valid[[n]], masked=True) for n in range(len(valid))]
    held = read_standard(json.loads(json.dumps(player.model.card)))
    assert held.rules == compute_standard(real, np.ones(1)).rules
    assert held.nats_per_note == pytest.approx(np.median([one.nats_per_note for one in each]), rel=1e-4)
    card = player.model.card["ranking"]
    assert (card["pieces"], card["held_out"]) == (len(real), len(valid))


def test_of_many_pieces_some_are_measured(player, corpus, monkeypatch):
    monkeypatch.setattr(model_card, "MOST_REAL", 5)
    found = model_card.measure_reach(player.model.make_module(), corpus, player.tokenizer)
    assert 3 <= found["ranking"]["pieces"] == found["repetition"]["pieces"] <= 5


def test_what_is_no_standard_is_refused():
    assert read_standard({}) == Standard(0.0, {})
    for wrong in (None, {}, {"nats_per_note": 1.0, "rules": {"silent bars": 3}}, {"nats_per_note": "few", "rules": {}}):
        with pytest.raises(BadModelFile, match="holds no standard of ranking; measure it again"):
            read_standard({"ranking": wrong})


@pytest.mark.parametrize("name", ["chorales", "tunes"])
def test_the_shipped_models_know_their_music(name):
    card = open_model(name).model.card
    held = read_standard(card)
    assert card["ranking"]["pieces"] == card["dataset"]["split"]["train"]
    assert card["ranking"]["held_out"] == card["dataset"]["split"]["valid"]
    assert held.nats_per_note == pytest.approx(card["test"]["masked"]["nats_per_note"], rel=0.1)
    assert set(held.rules) >= set(measure_rules(score(line((60, 1)))))


# --- the best ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def planted(monkeypatch):
    """A model that writes what is planted, by the index of a request: pitch of the first note, and nats per note."""
    pieces = dict(enumerate([(60, 1.0), (90, 1.7), (61, 1.6), (62, 2.6), (61, 1.8), (59, 0.1), (91, 1.2), (64, 1.0)]))
    written, alive = [], []

    def write(player, requests):
        for place, request in enumerate(requests):
            alive.append(sum(ref() is not None for ref in written))
            pitch, nats = pieces[request.index]
            music = made(line((pitch, 1), (70, 3)), nats=2 * nats)
            written.append(weakref.ref(music.score))
            yield place, music

    monkeypatch.setattr(ranking, "generate_each", write)
    rules = {"lowest pitch": [58, 66], "highest pitch": [60, 80], "silent bars": [0, 0]}
    card = {"ranking": {"nats_per_note": 1.7, "rules": rules}}
    asked = [Request(index=index) for index in range(8)]
    player = SimpleNamespace(model=SimpleNamespace(card=card))
    return SimpleNamespace(player=player, asked=asked, alive=alive)


def first_notes(kept):
    return [int(one.piece.score.tracks[0].notes["pitch"][0]) for one in kept]


def test_rules_come_first_and_then_how_near_the_likelihood_is_to_that_of_real_pieces(planted):
    kept = find_best(planted.player, planted.asked[:7], 8)
    assert [one.nats_per_note for one in kept] == pytest.approx([1.6, 1.8, 1.0, 2.6, 0.1, 1.7, 1.2])
    assert [one.broken for one in kept] == [()] * 5 + [("lowest pitch", "highest pitch")] * 2
    assert first_notes(find_best(planted.player, iter(planted.asked), 2)) == first_notes(kept)[:2]


def test_of_a_silent_card_the_likeliest_come_first(planted):
    planted.player.model.card.clear()
    assert first_notes(find_best(planted.player, planted.asked, 3)) == [59, 60, 64]


def test_of_equal_pieces_the_earlier_is_kept(planted):
    equal = [planted.asked[7], planted.asked[0]]
    assert first_notes(find_best(planted.player, equal, 1)) == [64]
    assert first_notes(find_best(planted.player, equal[::-1], 1)) == [60]


def test_memory_does_not_grow_with_the_pieces_that_are_not_kept(planted):
    assert len(find_best(planted.player, planted.asked * 20, 2)) == 2
    assert len(planted.alive) == 160
    assert max(planted.alive) <= 2 + 3


def test_the_nats_are_of_new_music_over_its_notes(player, small_score):
    primed = add_primer(player, Request(seed=2, bars=2), small_score("C5 D5 E5 F5 " * 4))
    (kept,) = find_best(player, [primed], 1)
    new = sum(int((track.notes["start"] >= primed.primer_ticks).sum()) for track in kept.piece.score.tracks)
    assert 0 < new < kept.piece.score.note_count
    assert kept.nats_per_note == pytest.approx(kept.piece.provenance["nats"]["model"] / new)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_the_best_alone_and_best_first(run, player, model_file, tmp_path):
    wishes = ["--model", model_file, "--seed", 3, "--bars", 2, "--no-ending"]
    shown = run("generate", tmp_path / "best", *wishes, "--count", 10, "--best", 3)
    assert shown.status == 0
    run("generate", tmp_path / "all", *wishes, "--count", 10)
    requests = [replace(player.suggested, seed=3, bars=2, index=index) for index in range(10)]
    held = read_standard(player.model.card)
    every = list(ranking._rank_each(player, requests, held))
    wanted = sorted(range(10), key=lambda index: every[index].get_sort_key(held))[:3]
    lines = shown.out.splitlines()
    assert len(lines) == 3
    for place, (line_of, index) in enumerate(zip(lines, wanted, strict=True), start=1):
        one, name = every[index], f"3-{index:06d}.mid"
        rules = f"breaks {', '.join(one.broken)}" if one.broken else "no rule broken"
        assert line_of.startswith(f"{place}. {tmp_path / 'best' / name}: {one.piece.score.note_count} notes, ")
        assert re.search(rf", {one.nats_per_note:.3f} nats per note, {rules}, seed 3$", line_of)
        for end in ("", ".json"):
            assert (tmp_path / "best" / (name + end)).read_bytes() == (tmp_path / "all" / (name + end)).read_bytes()
    assert len(list((tmp_path / "best").iterdir())) == 6
    alone = ["--index", wanted[0]]
    run("generate", tmp_path / "one.mid", *wishes, *alone)
    assert (tmp_path / "one.mid").read_bytes() == (tmp_path / f"best/3-{wanted[0]:06d}.mid").read_bytes()


def test_quietly(run, model_file, tmp_path):
    wishes = ["--model", model_file, "--bars", 1, "--count", 2, "--best", 2, "--quiet"]
    assert run("generate", tmp_path / "out", *wishes).out == ""
    assert len(list((tmp_path / "out").glob("*.mid"))) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["out/", "--count", 3, "--best", 4], "--best 4 cannot be chosen from --count 3; ask for more pieces"),
        (["x.mid", "--best", 1], "--best chooses among the pieces of a folder; give --count, or a folder"),
    ],
    ids=["more than there are", "no folder"],
)
def test_what_cannot_be_chosen_is_refused(run, tmp_path, monkeypatch, model_file, arguments, said):
    monkeypatch.chdir(tmp_path)
    ran = run("generate", *arguments, "--model", model_file)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"composer: {said}")
    assert len(ran.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_standard_is_refused_before_the_work(run, player, tmp_path):
    model = player.model
    card = {**model.card, "ranking": {"rules": 3}}
    path = tmp_path / "x.safetensors"
    save(Model(model.architecture, model.tokenizer, model.vocabulary, model.weights, card), path)
    ran = run("generate", tmp_path / "out", "--model", path, "--count", 2, "--best", 1)
    assert ran.err == "composer: the card of this model holds no standard of ranking; measure it again.\n"
