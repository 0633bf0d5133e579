"""Requests: plain values that survive JSON, and nothing that no model could follow."""

import copy
import json
import random

import pytest

from composer.errors import BadOption
from composer.generation.continuation import Continuation
from composer.generation.form_spec import Form
from composer.generation.infilling import Fill
from composer.request import Request, SamplerSpec

FULL = Request(
    seed=2**64 - 1,
    index=17,
    attempt=2,
    bars=16,
    time_signature="3/4",
    key="Dm",
    tempo=96.5,
    primer=(3, 20, 31),
    primer_ticks=1920,
    samplers=(SamplerSpec("temperature", {"temperature": 0.9}), SamplerSpec("top-p", {"p": "0.95"})),
)


@pytest.mark.parametrize("request_", [Request(), Request(seed=3), FULL], ids=["empty", "seed", "full"])
def test_a_request_survives_json(request_):
    assert Request.from_json(json.loads(json.dumps(request_.to_json()))) == request_


def test_only_what_was_asked_for_is_written_down():
    assert Request().to_json() == {}
    assert Request(seed=3, bars=8).to_json() == {"seed": 3, "bars": 8}


@pytest.mark.parametrize(
    "values",
    [
        {"seed": -1},
        {"seed": 2**64},
        {"seed": 1.5},
        {"seed": "7"},
        {"index": -1},
        {"attempt": 2**32},
        {"bars": 0},
        {"bars": 2.5},
        {"bars": 10**7},
        {"most_bars": 0},
        {"tempo": 4.9},
        {"tempo": float("nan")},
        {"tempo": "fast"},
        {"time_signature": "3/5"},
        {"time_signature": 3},
        {"key": "H"},
        {"key": "\x1b[31m"},
        {"primer": ["x"]},
        {"primer": [-1]},
        {"primer": [1.5]},
        {"primer_ticks": -1},
        {"primer_ticks": "960"},
        {"stepper": 3},
        {"precision": None},
        {"device": ["cpu"]},
        {"tempo": True},
        {"samplers": [{"name": 3, "options": {}}]},
        {"primer": 3},
        {"samplers": ["temperature"]},
        {"samplers": [{"name": "temperature"}]},
        {"colour": "red"},
        {"\x1b[31m": 1},
    ],
    ids=str,
)
def test_what_no_model_could_follow_is_refused_in_a_sentence(values):
    with pytest.raises(BadOption) as caught:
        Request.from_json(values)
    assert str(caught.value).endswith(".")
    assert str(caught.value).isprintable()


# --- hostile values, anywhere -----------------------------------------------------------------------------------------

SCORE = {
    "tracks": [{"name": "a", "program": 1, "is_drum": False, "notes": [[0, 480, 60, 80]]}],
    "tempos": [[0, 90.0]],
    "time_signatures": [[0, 3, 4]],
    "key_signatures": [[0, "Dm"]],
    "upbeat": 0,
    "markers": [[0, "x"]],
}
GIVEN = {"score": SCORE, "spans": [[0, 960, None]], "particles": 4, "look_ahead": 2}
LONG = {**FULL.to_json(), "primer": [3, 20], "time_signature": "3/4"}
CARRIED = {
    "request": (lambda values: Request.from_json(values["request"]), {"request": LONG}),
    "fill": (Fill.from_json, {"request": LONG, "given": GIVEN}),
    "form": (Form.from_json, {"request": {"bars": 4}, "form": {"sections": "A B A'", "particles": 3, "look_ahead": 1}}),
    "continuation": (Continuation.from_json, {"request": LONG, "primer": SCORE}),
}
HOSTILE = [None, True, -1, 0, 2**64, 10**400, 1.5, float("nan"), float("inf"), "", "\x1b[31m", "9" * 999]
HOSTILE += [[], [[]], [None], [["a"] * 4], {}, {"name": 1}, [{}], [{"name": [], "options": {}}]]


def places(values, path=()):
    """The paths of all that stands in plain values."""
    inside = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from places(value, (*path, key))


def refusal(read, values):
    """The sentence that refuses values, or an empty one."""
    try:
        read(values)
    except BadOption as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", CARRIED)
def test_hostile_values_are_read_or_refused_in_a_sentence(kind):
    read, good = CARRIED[kind]
    read(good)
    rng = random.Random(0)
    for _ in range(1500):
        values = copy.deepcopy(good)
        path = rng.choice([place for place in places(values) if kind != "request" or len(place) > 1])
        at = values
        for key in path[:-1]:
            at = at[key]
        if rng.random() < 0.2:
            del at[path[-1]]
        else:
            at[path[-1]] = copy.deepcopy(rng.choice(HOSTILE))
        said = refusal(read, values)
        assert said.isprintable()
        assert len(said) < 400
