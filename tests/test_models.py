"""The shipped models: they load, their cards are complete, and what they write still measures up to the cards."""

import json
from dataclasses import replace

import pytest

from composer import model
from composer.generation import generator
from composer.generation.composer import open_model
from composer.metrics import Figure
from composer.plugins.registry import registry
from composer.training import model_card

NAMES = registry().list_names("models")


MOST_OUTSIDE = {"quartets": 1 / 3}
"""Share of the figures of a model that may lie outside, if not a fifth."""


@pytest.fixture(params=NAMES)
def player(request):
    return open_model(request.param)


def test_what_people_ask_for_is_shipped():
    assert {"chorales", "tunes", "drums", "leadsheets", "quartets", "songs"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_small(name):
    assert model.find_model(name).stat().st_size <= 8_000_000


def test_card_is_complete(player):
    card = player.model.card
    assert card["command"].startswith(("composer train ", "composer finetune "))
    for word in ("title", "licence", "seed", "parameters"):
        assert card[word] not in (None, ""), word
    assert {"name", "source", "citation", "split"} <= set(card["dataset"])
    assert 0 < card["test"]["masked"]["nats_per_note"] <= card["test"]["nats_per_note"]
    json.dumps(card)


@pytest.mark.uncounted
def test_what_it_writes_measures_up_to_real_music(player):
    """What is written now lies where the card says, and most of it in the bands of real pieces."""
    told = [Figure.from_json(row) for row in player.model.card["listening"]["figures"]]
    outside = [figure.name for figure in told if not figure.inside]
    assert [figure.name for figure in model_card.judge_again(player) if not figure.inside] == outside
    assert len(outside) <= MOST_OUTSIDE.get(player.name, 0.2) * len(told)


@pytest.mark.uncounted
def test_it_copies_less_than_real_pieces_do(player):
    found = player.model.card["originality"]
    if not found:
        pytest.skip("there are no melodies to copy")
    assert 0 <= found["copied_share"] < found["held_out"]["copied_share"]
    if player.model.card["dataset"]["name"].split(":")[0] != "openscore":  # a piano goes on with its figures
        assert found["longest"]["notes"] < found["held_out"]["longest"]["notes"]


def test_asked_metre_and_key_are_heard(player):
    wishes = player.model.card["wishes"]
    assert len(wishes["time_signature"]) == 2
    for wish in wishes.values():
        assert all(found["bits_nearer"] > 0 for metre, found in wish.items() if is_learnt(player, metre))


def is_learnt(player, wish):
    """Whether a key, or a time signature that more than a handful of pieces have."""
    return "/" not in wish or player.model.card["metres"].get(wish, 0) > 10


@pytest.mark.soak
def test_asked_metre_and_key_are_heard_again(player):
    real = model_card.read_real_scores(player)
    for wish in model_card.measure_conditions(player, real, seed=1).values():
        assert all(found["bits_nearer"] > 0 for found in wish.values())


def test_a_piece_ends_where_it_was_asked_to(player):
    from composer.music.score import compute_bars

    asked = [replace(player.suggested, index=index, bars=6) for index in range(4)]
    for piece in generator.generate(player, asked):
        whole = len(compute_bars(piece.score).signatures) - (piece.score.upbeat > 0)
        assert whole == 6
