"""Finished pieces: transformed and judged in every task, told in their provenance, and made again to the byte."""

import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from music import line, score

from composer.errors import BadOption, UnknownName
from composer.generation import finishing, streaming, tasks
from composer.generation.continuation import make_continuation
from composer.generation.finishing import describe_broken, read_rules, read_transforms, transform_score
from composer.generation.form_spec import Form
from composer.generation.infilling import plan_gap
from composer.generation.ranking import Standard, compute_nats_per_note, find_best, find_broken_rules
from composer.io.formats import read, read_provenance
from composer.music.merging import merge_new_notes
from composer.music.score import Track, make_notes
from composer.plugins.registry import registry
from composer.request import Request, Spec
from composer.types import Piece
from composer_batch.filters import make_gates, measure
from composer_midifile.writing import MidiExporter

TRANSFORMS = read_transforms(["humanize:timing=1", "transpose"])
TUNE = score(line((60, 1), (62, 1), (64, 2), (67, 4)))


def onsets(piece):
    return [track.notes["start"].tolist() for track in piece.score.tracks]


def pitches(piece):
    return [track.notes["pitch"].tolist() for track in piece.score.tracks]


# --- transforms -------------------------------------------------------------------------------------------------------


def test_a_piece_is_changed_after_it_is_made_and_by_its_own_chance(player):
    plain = tasks.make(player, [Request(seed=3, index=n, bars=2) for n in range(3)])
    changed = tasks.make(player, [Request(seed=3, index=n, bars=2, transforms=TRANSFORMS) for n in range(3)])
    alone = tasks.make(player, [Request(seed=3, index=2, bars=2, transforms=TRANSFORMS)])[0]
    assert alone.score == changed[2].score
    shifts = []
    for before, after in zip(plain, changed, strict=True):
        assert onsets(before) != onsets(after)
        moved = {
            int(b) - int(a)
            for x, y in zip(pitches(before), pitches(after), strict=True)
            for a, b in zip(x, y, strict=True)
        }
        shifts.append(moved)
        assert compute_nats_per_note(before, 0) == compute_nats_per_note(after, 0)
    assert len(set(map(frozenset, shifts))) > 1


def _make_tasks(player):
    request = Request(seed=5, bars=1, transforms=TRANSFORMS, rules=read_rules("leaps:12"))
    humanized = replace(request, transforms=TRANSFORMS[:1])
    return {
        "request": request,
        "continuation": make_continuation(player, request, TUNE),
        "fill": plan_gap(player, TUNE, humanized, bars=(2, 2), particles=4),
        "form": Form.parse(request, "AB"),
    }


@pytest.mark.parametrize("kind", ["request", "continuation", "fill", "form"])
def test_every_kind_of_piece_is_made_again_from_its_provenance(player, kind):
    piece = tasks.make(player, [_make_tasks(player)[kind]])[0]
    again = tasks.regenerate(player, json.loads(json.dumps(piece.provenance, sort_keys=True)))
    assert (again.score, again.provenance) == (piece.score, piece.provenance)


def test_pieces_of_all_kinds_side_by_side_are_as_they_are_alone(player):
    kinds = _make_tasks(player)
    alone = [tasks.make(player, [one])[0].score for one in kinds.values()]
    assert [piece.score for piece in tasks.make(player, list(kinds.values()))] == alone


def test_of_a_fill_only_new_notes_change(player):
    wanted = plan_gap(player, TUNE, Request(seed=5, transforms=read_transforms("humanize:timing=1")), bars=(2, 2))
    notes = tasks.make(player, [wanted])[0].score.tracks[0].notes
    assert notes[notes["start"] < 1920 - 60].tolist() == TUNE.tracks[0].notes[:3].tolist()
    new = tasks.make(player, [replace(wanted, request=replace(wanted.request, transforms=()))])[0].score.tracks[0].notes
    assert notes.tolist()[3:] != new.tolist()[3:]


@dataclass(frozen=True)
class Unruly:
    """A transform of notes that puts them elsewhere."""

    fault: str
    of_notes = True

    def __call__(self, before, rng):
        return replace(before, tracks=tuple(replace(one, notes=make_notes(self._move(one))) for one in before.tracks))

    def _move(self, track):
        end = int((track.notes["start"] + track.notes["duration"]).max(initial=0))
        for start, length, pitch, velocity in track.notes.tolist():
            yield start, length, pitch, velocity
            if self.fault == "echoes":
                yield start + 1000, length, pitch, velocity - 9
            if self.fault == "retrograde":
                yield end - start - length, length, pitch, velocity
            if self.fault == "early":
                yield start - 300, length, pitch + 5, velocity
            if self.fault == "drone":
                yield start, 10_000, 40, 1


@pytest.fixture
def unruly(monkeypatch):
    """The transforms are unruly ones, named by their faults."""
    monkeypatch.setattr(finishing, "make_transforms", lambda specs: [Unruly(spec.name) for spec in specs])


FOUR_BARS = score(line(*[(60 + n % 5, 1) for n in range(16)], name="Lead"))


LEAVES = {"echoes": True, "retrograde": True, "drone": False, "early": False}
"""Faults that lead outside the bars."""


@pytest.mark.parametrize(("fault", "outside"), LEAVES.items())
def test_of_a_fill_nothing_changes_outside_the_new_bars(player, unruly, recwarn, fault, outside):
    wanted = plan_gap(player, FOUR_BARS, Request(seed=11, transforms=(Spec(fault),)), bars=(2, 2))
    plain = replace(wanted, request=replace(wanted.request, transforms=()))
    made, rows = (tasks.make(player, [one])[0].score.tracks[0].notes.tolist() for one in (plain, wanted))
    assert [row for row in rows if not 1920 <= row[0] < 3840] == [row for row in made if not 1920 <= row[0] < 3840]
    assert (len(rows) > len(made)) >= (fault in ("drone", "early"))
    assert max(start + length for start, length, *_ in rows if start < 3840) <= 3840
    sentence = rf"transform '{fault}': \d+ notes? (is|are) left out, which would lie outside the new bars and voices\."
    said = [str(one.message) for one in recwarn]
    assert [bool(re.fullmatch(sentence, one)) for one in said] == [True] * outside


def test_a_transform_does_not_make_notes_of_one_pitch_overlap_and_file_and_count_agree(unruly, tmp_path):
    before = score(line((60, 4), (60, 1), (62, 1)))
    after = finishing.transform_score(before, [Spec("echoes")], (0, 0, 0))
    assert after.tracks[0].notes.tolist() == [
        *[(0, 1000, 60, 80), (1000, 920, 60, 71), (1920, 480, 60, 80), (2400, 480, 62, 80)],
        *[(2920, 480, 60, 71), (3400, 480, 62, 71)],
    ]
    MidiExporter()([Piece(after, {})], tmp_path / "a.mid")
    assert read(tmp_path / "a.mid").tracks[0].notes.tolist() == after.tracks[0].notes.tolist()


def test_notes_that_overlapped_before_stay_so(unruly):
    unison = score(Track(make_notes([(0, 960, 60, 80), (480, 960, 60, 80)])))
    assert finishing.transform_score(unison, [Spec("nothing")], (0, 0, 0)) == unison


def test_new_notes_give_way_to_fixed_ones_of_their_pitch():
    fixed = make_notes([(480, 480, 60, 80)])
    new = make_notes([(400, 100, 60, 70), (500, 90, 60, 70), (900, 200, 60, 70), (0, 960, 62, 70)])
    assert merge_new_notes(fixed, new).tolist() == [
        *[(0, 960, 62, 70), (400, 80, 60, 70), (480, 480, 60, 80)],
        (960, 140, 60, 70),
    ]


def test_of_a_fill_a_transform_of_the_whole_is_refused(player):
    with pytest.raises(BadOption, match=r"^'transpose' transforms a whole piece, and fixed notes stay as they are; "):
        plan_gap(player, TUNE, Request(transforms=read_transforms("transpose:2")), bars=(2, 2))


def test_a_stream_takes_neither(player):
    with pytest.raises(BadOption, match="played as it is drawn"):
        next(streaming.stream_bars(player, Request(transforms=TRANSFORMS)))


def test_a_request_is_the_same_from_text_and_from_its_own_json():
    request = Request(transforms=read_transforms(["quantize:strength=0.5,grid=8"]), rules=read_rules("leaps"))
    assert Request.from_json(json.loads(json.dumps(request.to_json(), sort_keys=True))) == request
    assert request.transforms == read_transforms(Spec("quantize", {"strength": 0.5, "grid": 8}))
    with pytest.raises(BadOption, match="'transforms' is"):
        Request(transforms=("quantize",))
    with pytest.raises(UnknownName, match="did you mean 'quantize'"):
        read_transforms("quantise")


# --- rules ------------------------------------------------------------------------------------------------------------


def test_a_piece_that_breaks_a_rule_is_retried_and_the_last_attempt_is_kept_and_says_so(player):
    kept = tasks.make(player, [Request(seed=1, index=n, bars=1, rules=read_rules("leaps:9")) for n in range(8)])
    never = tasks.make(player, [Request(seed=1, bars=1, rules=read_rules("lasts:least=100"))])[0]
    retried = [piece for piece in kept if piece.provenance["request"].get("attempt")]
    assert retried
    for piece in kept:
        assert bool(describe_broken(piece.score, read_rules("leaps:9"))) == ("broken" in piece.provenance)
        assert "broken" not in piece.provenance or piece.provenance["request"]["attempt"] == 8
    assert never.provenance["request"]["attempt"] == 8
    (said,) = never.provenance["broken"].values()
    assert said.startswith("lasts ")
    assert said.endswith("seconds, less than 100")


def test_a_rule_judges_the_piece_as_it_is_in_the_end(player):
    request = Request(seed=1, bars=1, tempo=120.0, rules=read_rules("lasts:most=2.1"))
    slower = replace(request, transforms=read_transforms("tempo:0.5"))
    fast, slow = tasks.make(player, [request, slower])
    assert ("broken" in fast.provenance, "broken" in slow.provenance) == (False, True)


def test_a_broken_rule_of_the_request_counts_in_the_ranking(player):
    requests = [Request(seed=1, index=n, bars=1, rules=read_rules("leaps:9")) for n in range(8)]
    ranked = find_best(player, requests, 8)
    assert [len(one.broken) for one in ranked] == sorted(len(one.broken) for one in ranked)
    piece = tasks.make(player, [Request(seed=1, bars=1, rules=read_rules("lasts:least=100"))])[0]
    assert find_broken_rules(piece, Standard())[-1] == "lasts:least=100.0"


def test_a_gate_of_a_batch_takes_rules(player):
    piece = tasks.make(player, [Request(seed=1, bars=1)])[0]
    gates = make_gates({"rules": ["leaps:127", "lasts:least=100"]})
    fault = gates.find_fault(measure(piece, Standard(), rules=gates.rules))
    assert fault.startswith("rule lasts: lasts ")
    assert make_gates({"rules": ["leaps:127"]}).find_fault(measure(piece, Standard(), rules=["leaps:127"])) == ""
    with pytest.raises(UnknownName, match="did you mean 'leaps'"):
        make_gates({"rules": ["leap"]})


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def made(here, run, model_file):
    """A piece of the small model, and the command line."""
    assert run("generate", "a.mid", "--model", model_file, "--seed", 3, "--bars", 2).status == 0
    return run


def same(one, other):
    return (one.read_bytes(), json.loads(one.with_name(f"{one.name}.json").read_text())) == (
        other.read_bytes(),
        json.loads(other.with_name(f"{other.name}.json").read_text()),
    )


def test_an_exported_piece_is_made_again_with_what_was_done_to_it(here, made):
    steps = ("--transform", "humanize", "--transform", "octave", "--seed", 4)
    assert made("export", "a.mid", "b.mid", *steps).status == 0
    assert made("export", "b.mid", "c.mid", "--transform", "tempo:1.2").status == 0
    assert made("regenerate", "c.mid", "d.mid").status == 0
    assert same(here / "c.mid", here / "d.mid")
    assert (here / "b.mid").read_bytes() != (here / "a.mid").read_bytes()


def test_a_transformed_piece_is_continued_and_filled_as_any_file(here, made, model_file):
    model = ("--model", model_file, "--seed", 1)
    assert (
        made("generate", "t.mid", *model, "--bars", 2, "--transform", "transpose:2", "--rule", "leaps:40").status == 0
    )
    assert made("generate", "more.mid", *model, "--bars", 1, "--primer", "t.mid").status == 0
    assert made("fill", "t.mid", "f.mid", "--bars", 1, "--particles", 2, "--transform", "humanize").status == 0
    assert made("regenerate", "t.mid", "r.mid", "--bars", 2, "--seed", "+1").status == 0
    first = [np.array(_read(here / name)) for name in ("t.mid", "r.mid")]
    assert (first[0] == first[1]).all()
    assert [one["name"] for one in read_provenance(here / "r.mid")["request"]["transforms"]] == ["dynamics"]


def _read(path):
    """The notes of the first bar."""
    from composer.io.formats import read_notes

    tracks = read_notes(path).tracks
    return [note for track in tracks for note in track.notes.tolist() if note[0] + note[1] < 1440]


def test_what_a_rule_says_in_the_end(made, model_file):
    ran = made("generate", "x.mid", "--model", model_file, "--bars", 1, "--rule", "lasts:least=100")
    assert ran.status == 0
    assert "redrawn 8 times, still against a rule (lasts " in ran.out
    several = made("generate", "y/", "--model", model_file, "--bars", 1, "--rule", "lasts:least=100", "--count", 2)
    assert several.out.splitlines()[-1] == "2 pieces: 2 redrawn, 16 redraws in all, 2 still against a rule"


@pytest.mark.parametrize(
    "steps", [3, [3], [{"seed": 1}], [{"seed": -1, "transforms": []}], [{"seed": 1, "transforms": [{"name": 3}]}]]
)
def test_what_a_stranger_wrote_in_a_file_is_refused_in_one_sentence(player, steps):
    piece = tasks.make(player, [Request(bars=1)])[0]
    with pytest.raises(BadOption):
        tasks.regenerate(player, {**piece.provenance, "transformed": steps})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("generate", "x.mid", "--transform", "quantise"), "transform 'quantise': did you mean 'quantize'?"),
        (("generate", "x.mid", "--rule", "leaps:far"), "rule 'leaps': 'most' is 'far', which is not int."),
        (("export", "a.mid", "x.mid", "--transform", "octave:kazoo"), "transform 'octave': unknown voice 'kazoo'"),
        (("fill", "a.mid", "x.mid", "--bars", "1", "--transform", "tempo"), "'tempo' transforms a whole piece"),
    ],
)
def test_a_mistake_is_one_sentence_and_no_file(here, made, arguments, sentence):
    ran = made(*arguments)
    assert ran.status == 2
    assert sentence in ran.err
    assert not (here / "x.mid").exists()


def test_the_options_are_shown_as_they_are_typed(run):
    assert "composer generate piece.mid --transform transpose:semitones=2" in run("plugins", "show", "transpose").out


def test_python_takes_them_as_they_are_typed(player):
    piece = player.generate(bars=1, seed=2, transforms=["transpose:2", "humanize"], rules="leaps:40")
    assert piece.provenance["request"]["transforms"][1] == {"name": "transpose", "options": {"semitones": 2}}
    assert player.regenerate(piece).score == piece.score
    filled = player.fill(TUNE, bars=2, seed=2, particles=2, transforms="quantize:2", dynamics="none")
    assert list(filled.provenance["request"]["transforms"]) == [{"name": "quantize", "options": {"grid": 2}}]


def test_what_a_plugin_makes_wrongly_is_one_sentence(monkeypatch):
    offers = registry().offers
    monkeypatch.setattr(offers["transforms"]["tempo"].load_thing(), "__call__", lambda *_: None)
    with pytest.raises(BadOption, match="transform 'tempo' makes a NoneType, and not a Score; tell its authors"):
        transform_score(TUNE, read_transforms("tempo:1.1"), (1, 0, 0))
    monkeypatch.setattr(offers["rules"]["leaps"].load_thing(), "__call__", lambda *_: True)
    with pytest.raises(BadOption, match="rule 'leaps:most=3' makes a bool, and not a str; tell its authors"):
        describe_broken(TUNE, read_rules("leaps:3"))
