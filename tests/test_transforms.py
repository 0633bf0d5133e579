"""Transforms and rules: what each does to music that a musician would call simple, and what their contracts find."""

import random
import re
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import pytest
from documents import PLUGINS, text
from music import drums, line, notes, score
from randomscores import random_score

from composer.errors import BadOption, CannotExpress, ComposerError
from composer.music.keys import parse_key
from composer.music.score import ChordSymbol, KeySignature, Score, Tempo, Text, TimeSignature, Track, make_notes
from composer.plugins.registry import registry
from composer.plugins.specs import parse_spec
from composer.testing import check_rule, check_transform
from composer.testing.transforms import check_change
from composer_transforms.parts import DropVoice, Octave, Transpose
from composer_transforms.timing import Humanize, Quantize, ScaleTempo

TUNE = score(line((60, 1), (64, 0.5), (65, 0.5), (67, 2)), key="C")


def change(transform, before, seed=0):
    return transform(before, np.random.default_rng(seed))


def played(*rows, **track):
    """A score of one part, from rows of (start, duration, pitch) in ticks."""
    return score(Track(make_notes([(*row, 80) for row in rows]), **track))


def times(changed, track=0):
    return [(int(n["start"]), int(n["duration"])) for n in changed.tracks[track].notes]


# --- quantize ---------------------------------------------------------------------------------------------------------


def test_onsets_and_ends_go_to_the_nearest_step_and_notes_that_met_still_meet():
    loose = played((7, 231, 60), (238, 260, 62), (498, 440, 64))
    assert times(change(Quantize(grid=4), loose)) == [(0, 240), (240, 240), (480, 480)]


def test_half_the_strength_is_half_the_way():
    assert times(change(Quantize(grid=2, strength=0.5), played((40, 240, 60)))) == [(20, 240)]


def test_no_note_is_shorter_than_a_step_and_two_of_a_pitch_at_one_step_are_one():
    ghosts = played((10, 20, 60), (130, 5, 62), (118, 30, 62))
    assert times(change(Quantize(grid=4), ghosts)) == [(0, 120), (120, 120)]


def test_swung_quavers_stay_long_and_short_where_triplets_are_asked_for():
    swung = played((3, 310, 60), (317, 160, 62), (480, 235, 64), (722, 240, 65))
    assert times(change(Quantize(grid=2, triplets=True), swung)) == [(0, 320), (320, 160), (480, 240), (720, 240)]
    assert times(change(Quantize(grid=2), swung))[:2] == [(0, 240), (240, 240)]


def test_the_grid_begins_at_each_bar_line_also_after_a_pickup_and_in_odd_metres():
    metres = score(metres=((0, 3, 8), (1680, 4, 4)), upbeat=240)  # bar lines at 240, 960 and 1680
    late = replace(metres, tracks=(Track(make_notes([(tick, 100, 60, 80) for tick in (255, 950, 1420, 1700, 2170)])),))
    assert [start for start, _ in times(change(Quantize(grid=1), late))] == [240, 960, 1440, 1680, 2160]


def test_drums_are_quantized_too():
    beat = Score((drums((0.02, 36), (0.48, 42), (1.03, 38)),))
    assert [start for start, _ in times(change(Quantize(grid=2), beat))] == [0, 240, 480]


# --- humanize ---------------------------------------------------------------------------------------------------------


CHORDS = score(
    *(line(*[((low, low + 4, low + 7), 0.5)] * 16, name=str(low)) for low in (48, 60)), drums((0, 36), (1, 38))
)


def test_onsets_move_less_than_half_a_step_keep_their_order_and_are_led_back_by_quantizing():
    human = change(Humanize(timing=1.0, grid=4), CHORDS)
    for before, after in zip(CHORDS.tracks, human.tracks, strict=True):
        by_pitch = [np.sort(track.notes, order=["pitch", "start"])["start"] for track in (before, after)]
        assert 0 < np.abs(by_pitch[0] - by_pitch[1]).max() < 60
    straight = change(Quantize(grid=4), human)
    assert [notes(track) for track in straight.tracks[:2]] == [notes(track) for track in CHORDS.tracks[:2]]
    assert human.end <= CHORDS.end


def test_the_notes_of_a_chord_spread_less_than_onsets_move():
    human = change(Humanize(timing=1.0), CHORDS)
    moved = np.sort(human.tracks[0].notes["start"]).reshape(-1, 3)
    assert np.ptp(moved, axis=1).mean() < np.abs(moved.mean(axis=1) - 240 * np.arange(16)).mean() / 2


def test_a_melody_stays_a_single_line():
    human = change(Humanize(timing=1.0), TUNE).tracks[0].notes
    assert (human["start"][:-1] + human["duration"][:-1] <= human["start"][1:]).all()


def test_a_bar_begins_louder_than_its_weak_beats():
    human = change(Humanize(loudness=0, accents=10), score(line(*[(60, 0.5)] * 8)))
    assert human.tracks[0].notes["velocity"].tolist() == [90, 76, 84, 76, 84, 76, 84, 76]


def test_notes_nearer_than_a_step_keep_their_order():
    roll = played(*[(tick, 10, 60 + tick // 10) for tick in range(0, 300, 10)])
    human = change(Humanize(timing=1.0), roll).tracks[0].notes
    assert (np.diff(human["pitch"]) > 0).all()
    assert (np.diff(human["start"]) > 0).all()


# --- pitches, parts and tempo -----------------------------------------------------------------------------------------


def test_notes_keys_and_chord_symbols_move_together_and_drums_stay():
    texts = ("C", "F#m7b5", "G/B", "N.C.", "Fine")
    before = replace(TUNE, tracks=(*TUNE.tracks, drums((0, 36))), chords=tuple(Text(0, text) for text in texts))
    up = change(Transpose(3), before)
    assert [int(pitch) for pitch in up.tracks[0].notes["pitch"]] == [63, 67, 68, 70]
    assert up.tracks[1] == before.tracks[1]
    assert str(up.key_signatures[0].key) == "Eb"
    assert [chord.text for chord in up.chords] == ["Eb", "Am7b5", "Bb/D", "N.C.", "Fine"]
    assert [chord.text for chord in change(Transpose(-1), before).chords][:2] == ["B", "Fm7b5"]


def test_no_note_leaves_the_pitches_of_midi():
    high = score(line((120, 1)))
    with pytest.raises(CannotExpress, match="beyond the MIDI pitches"):
        change(Transpose(8), high)
    drawn = {int(change(Transpose(reach=12), high, seed).tracks[0].notes["pitch"][0]) for seed in range(200)}
    assert drawn == set(range(108, 128))


def test_one_part_goes_up_an_octave_by_name_or_drawn():
    two = score(line((60, 1), name="Alto"), line((120, 1), name="Bell"), drums((0, 36)))
    assert [int(t.notes["pitch"][0]) for t in change(Octave("alto", 1), two).tracks] == [72, 120, 36]
    drawn = {tuple(int(t.notes["pitch"][0]) for t in change(Octave(), two, seed).tracks) for seed in range(40)}
    assert drawn == {(72, 120, 36), (48, 120, 36), (60, 108, 36)}
    for voice, sentence in (("bass", "unknown voice 'bass'"), ("3", "drums")):
        with pytest.raises(CannotExpress, match=sentence):
            change(Octave(voice, 1), two)


def test_voices_are_left_out_by_name_or_drawn_and_one_stays():
    three = score(*(line((pitch, 1), name=name) for name, pitch in (("S", 72), ("A", 65), ("B", 50))))
    assert [track.name for track in change(DropVoice(("a", "3")), three).tracks] == ["S"]
    assert {change(DropVoice(), three, seed).tracks[0].name for seed in range(20)} == {"S", "A"}
    assert len(change(DropVoice(count=5), three).tracks) == 1
    with pytest.raises(CannotExpress, match="one must stay"):
        change(DropVoice(("s", "a", "b")), three)


def test_every_tempo_is_scaled_also_the_usual_one_of_a_piece_without():
    assert change(ScaleTempo(1.5), TUNE).tempos == (Tempo(0, 180.0),)
    slow = replace(TUNE, tempos=(Tempo(480, 40.0),))
    assert change(ScaleTempo(0.5), slow).tempos == (Tempo(0, 60.0), Tempo(480, 20.0))
    with pytest.raises(CannotExpress, match="is not from 5 to 1000"):
        change(ScaleTempo(0.1), slow)
    drawn = [change(ScaleTempo(reach=0.2), TUNE, seed).tempos[0].bpm for seed in range(50)]
    assert 100 <= min(drawn) < 110 < 130 < max(drawn) <= 144


@pytest.mark.parametrize("text", ["quantize:grid=0", "quantize:grid=3,triplets=yes", "humanize:timing=2", "tempo:0"])
def test_a_value_that_makes_no_sense_is_one_sentence(text):
    spec = parse_spec(text, "transforms")
    with pytest.raises(BadOption, match=f"^transform '{spec.name}': '"):
        registry().make("transforms", spec.name, **spec.options)


DRAWN = ["humanize:timing=1", "transpose:reach=24", "octave", "drop-voice:count=2", "tempo"]


@pytest.mark.parametrize("text", [*DRAWN, "quantize:3", "quantize:grid=2,triplets=yes", "quantize:grid=5,strength=0.3"])
def test_random_scores_stay_whole(text):
    spec = parse_spec(text, "transforms")
    transform = registry().make("transforms", spec.name, **spec.options)
    for seed in range(25):
        check_change(transform, random_score(random.Random(seed)), seed)


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("ends-on-tonic", "ends on G4 in C"),
        ("leaps:3", "leaps 4 semitones, more than 3"),
        ("leaps:4", ""),
        ("lasts:most=1.5", "lasts 2 seconds, more than 1.5"),
        ("lasts:least=2", ""),
        ("within:polyphony,least=2", "polyphony is 1 pitches, less than 2"),
        ("within:polyphony,least=1,most=1", ""),
    ],
)
def test_what_a_rule_says(rule, said):
    spec = parse_spec(rule, "rules")
    assert registry().make("rules", spec.name, **spec.options)(TUNE) == said


def test_the_tonic_is_that_of_the_last_key():
    rule = registry().make("rules", "ends-on-tonic")
    assert rule(replace(TUNE, key_signatures=(replace(TUNE.key_signatures[0], key=parse_key("G")),))) == ""
    assert rule(Score()) == "ends without a pitch"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("within:polyphony", "rule 'within': give 'least', 'most' or both."),
        ("within:polyphny,least=1", "no plugin offers the metric 'polyphny': did you mean 'polyphony'?"),
        ("within:chroma,least=1", "no plugin offers the metric 'chroma'"),
        ("lasts:least=nan", "rule 'lasts': 'least' is nan, and must be a number."),
        ("within:polyphony,most=nan", "rule 'within': 'most' is nan, and must be a number."),
        ("lasts:least=3,most=2", "rule 'lasts': 'least' is 3, and 'most' is only 2."),
    ],
)
def test_a_rule_that_makes_no_sense_is_one_sentence(rule, sentence):
    spec = parse_spec(rule, "rules")
    with pytest.raises(ComposerError) as caught:
        registry().make("rules", spec.name, **spec.options)
    assert str(caught.value).startswith(sentence)


# --- contracts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Faulty:
    """A transform that does nothing, or one thing wrong."""

    fault: str = ""
    idempotent: ClassVar[bool] = False

    def __call__(self, before, rng):
        tracks = [replace(track, notes=track.notes.copy()) for track in before.tracks]
        for track in tracks:
            _spoil(self.fault, track.notes)
        if self.fault == "in place":
            for track in before.tracks:
                track.notes["velocity"] = 1
        if self.fault == "own chance" and tracks:
            tracks[0].notes["velocity"] = np.random.default_rng().integers(1, 128, len(tracks[0].notes))
        if self.fault == "refuses":
            raise CannotExpress("never.")
        if self.fault == "no score":
            return tuple(tracks)
        if self.fault == "empty" and not before.note_count:
            raise ValueError("there is nothing")
        return replace(before, tracks=tuple(tracks))


def _spoil(fault, rows):
    if fault == "short":
        rows["duration"] -= 480
    if fault == "high":
        rows["pitch"] += 100
    if fault == "loud":
        rows["velocity"] += 40
    if fault == "unsorted":
        rows[:] = rows[::-1]
    if fault == "early":
        rows["start"] -= 1


class Often(Faulty):
    idempotent = True

    def __call__(self, before, rng):
        return change(ScaleTempo(1.01), before)


class Reaching(Faulty):
    of_notes = True

    def __call__(self, before, rng):
        return replace(before, tempos=())


class Rattling(Faulty):
    def __call__(self, before, rng):
        tracks = (replace(t, notes=_lift(t.notes)) if t.is_drum else t for t in before.tracks)
        return replace(before, tracks=tuple(tracks))


def _lift(rows):
    lifted = rows.copy()
    lifted["pitch"] += 1
    return lifted


@pytest.mark.parametrize(
    ("transform", "rule"),
    [
        (Faulty("in place"), "the argument of a transform is unchanged"),
        (Faulty("own chance"), "the same generator makes the same score"),
        (Faulty("short"), "notes last a tick at least"),
        (Faulty("high"), "pitches are from 0 to 127"),
        (Faulty("loud"), "velocities are from 1 to 127"),
        (Faulty("unsorted"), "notes are sorted by start, then pitch"),
        (Faulty("early"), "notes begin at tick 0 or later"),
        (Faulty("refuses"), "a transform changes one at least of a few small scores"),
        (Faulty("no score"), "a transform returns a score"),
        (lambda before, rng: before, "a transform is a frozen dataclass of its options"),
        (Often(), "an idempotent transform does nothing more"),
        (Reaching(), "a transform that states `of_notes` changes only notes"),
        (Rattling(), "drums keep their instruments; else say `changes_drums`"),
    ],
)
def test_a_transform_with_a_fault(transform, rule):
    check_transform(Faulty())
    with pytest.raises(AssertionError) as caught:
        check_transform(transform)
    assert str(caught.value).startswith(rule)


def test_a_transform_that_fails_on_an_empty_score_is_found():
    with pytest.raises(ValueError, match="there is nothing"):
        check_transform(Faulty("empty"))


@dataclass(frozen=True)
class FaultyRule:
    """A rule that is always kept, or has a fault."""

    fault: str = ""

    def __call__(self, judged):
        if self.fault == "in place":
            for track in judged.tracks:
                track.notes["velocity"] = 1
        said = {"truth": False, "none": None, "long": "x" * 300, "lines": "two\nlines", "": ""}
        return str(np.random.default_rng().random()) if self.fault == "chance" else said.get(self.fault, "")


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("in place", "the argument of a rule is unchanged"),
        ("truth", "a rule returns text"),
        ("none", "a rule returns text"),
        ("long", "a rule says what is broken in a few words"),
        ("lines", "a rule says what is broken in a few words"),
        ("chance", "the same score is judged alike each time"),
    ],
)
def test_a_rule_with_a_fault(fault, rule):
    check_rule(FaultyRule())
    with pytest.raises(AssertionError) as caught:
        check_rule(FaultyRule(fault))
    assert str(caught.value).startswith(rule)


def test_the_guide_lists_the_fields_of_a_score():
    table = text(PLUGINS).partition("| field of a `Score` |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)
    assert [name for name, _ in rows] == [field.name for field in fields(Score)]
    told = dict(rows)
    for kind, name in ((Track, "tracks"), (Tempo, "tempos"), (TimeSignature, "time_signatures")):
        assert all(field.name in told[name] for field in fields(kind))
    for kind, name in ((KeySignature, "key_signatures"), (Text, "markers"), (ChordSymbol, "chords")):
        assert f"{kind.__name__}({', '.join(field.name for field in fields(kind))})" in told[name]
