"""Options of backends and metrics are typed after the name and a colon, as `composer plugins show` prints them."""

import json
import shlex
from dataclasses import replace
from typing import Annotated

import pytest
from walks import walk

from composer.io.formats import read_provenance
from composer.metrics import get_definition, make_metrics
from composer.plugins.offers import Offer
from composer.plugins.registry import registry
from composer.plugins.specs import split_specs
from composer.types import Metric, Piece


def off_beat(names: tuple[str, ...] = (), beats: Annotated[int, "beats in a row", "2"] = 1) -> Metric:
    """Measure nothing but its options."""
    return Metric("beats", lambda view: view.origins[:, None] * 0 + beats, lambda sums: sums[..., 0] * 0 + beats)


def needy(key: str) -> Metric:
    """Need a key."""
    return Metric(key, lambda view: view.origins[:, None] * 0, lambda sums: sums[..., 0])


@pytest.fixture(autouse=True)
def _metrics(monkeypatch):
    """Two metrics with options, of which one is needed."""
    there = registry()
    plugin = there.offers["metrics"]["polyphony"].plugin
    mine = {name: Offer("metrics", name, make, plugin) for name, make in (("off-beat", off_beat), ("needy", needy))}
    metrics = {"polyphony": there.offers["metrics"]["polyphony"], **mine}
    found = replace(there, offers={**there.offers, "metrics": metrics})
    monkeypatch.setattr("composer.plugins.registry._build_registry", lambda _: found)


@pytest.fixture
def piece(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry().make("exporters", ".mid")([Piece(walk(1))], tmp_path / "piece.mid")
    return "piece.mid"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("polyphony,off-beat", ["polyphony", "off-beat"]),
        ("polyphony,off beat:beats=2,polyphony", ["polyphony", "off beat:beats=2", "polyphony"]),
        ("off-beat:beats=2,names=a,b,needy:Dm", ["off-beat:beats=2,names=a,b", "needy:Dm"]),
        ("off-beat:a,b", ["off-beat:a,b"]),
        ("off-beat,no-such,all", ["off-beat", "no-such", "all"]),
    ],
)
def test_names_are_divided_at_commas_but_not_within_their_options(text, parts):
    assert split_specs(text, "metrics") == parts


def test_a_metric_is_measured_with_its_options_and_named_by_them(run, piece):
    ran = run("metrics", piece, "--json", "--metrics", "off-beat:beats=3,off-beat,polyphony")
    found = json.loads(ran.out)["metrics"]
    assert (found["off beat (beats=3)"]["figure"], found["off beat"]["figure"]) == (3, 1)
    assert set(found) == {"off beat (beats=3)", "off beat", "polyphony"}
    assert get_definition("off beat (beats=3)") == "Measure nothing but its options."


def test_all_leaves_out_a_metric_that_needs_an_option():
    assert set(make_metrics()) == {"off beat", "polyphony"}
    assert set(make_metrics(["all", "needy:Dm"])) == {"off beat", "polyphony", "needy (key=Dm)"}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("off-beet", "no plugin offers the metric 'off-beet': did you mean 'off-beat'?"),
        ("off-beat:beat=2", "metric 'off-beat' has no option 'beat': did you mean 'beats'?"),
        ("off-beat:beats=x", "metric 'off-beat': 'beats' is 'x', which is not int."),
        ("polyphony:2", "metric 'polyphony' has no options, and so takes no"),
        ("needy", "metric 'needy' needs the option 'key'."),
    ],
)
def test_a_wrong_option_of_a_metric_is_one_sentence(run, piece, typed, sentence):
    ran = run("metrics", piece, "--metrics", typed)
    assert (ran.status, len(ran.err.splitlines())) == (2, 1)
    assert sentence in ran.err


def test_a_backend_takes_its_options_wherever_it_is_named(run, model_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["--model", model_file, "--bars", 1, "--seed", 1, "--quiet"]
    assert run("generate", "a.mid", *line, "--backend", "native:threads=1").status == 0
    made = read_provenance(tmp_path / "a.mid")
    assert made["request"]["stepper"] == "native:threads=1"
    assert run("regenerate", "a.mid", "b.mid", "--model", model_file).status == 0
    assert (tmp_path / "b.mid").read_bytes() == (tmp_path / "a.mid").read_bytes()
    job = {"model": str(model_file), "bars": 1, "seed": 1, "stepper": "native:1"}
    (tmp_path / "jobs.jsonl").write_text(json.dumps(job) + "\n")
    assert run("batch", "jobs.jsonl", "--out", "out", "--executor", "here", "--quiet").status == 0
    refused = run("generate", "c.mid", *line, "--backend", "native:thread=1")
    assert "backend 'native' has no option 'thread': did you mean 'threads'?" in refused.err


@pytest.mark.parametrize(
    ("name", "row"),
    [("native", "--backend native:threads=    int, default 0"), ("off-beat", "--metrics off-beat:beats=")],
)
def test_what_is_shown_can_be_typed(run, model_file, piece, name, row):
    shown = run("plugins", "show", name).out
    assert row in shown
    words = shlex.split(shown.splitlines()[-1])[1:]
    more = ["--model", model_file, "--bars", 1, "--force"] if name == "native" else []
    assert run(*words, *more).status == 0
