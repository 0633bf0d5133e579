"""Requests: plain values that survive JSON, and nothing that no model could follow."""

import json

import pytest

from composer.errors import BadOption
from composer.request import Link, Request

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
    samplers=(Link("temperature", {"temperature": 0.9}), Link("top-p", {"p": "0.95"})),
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
