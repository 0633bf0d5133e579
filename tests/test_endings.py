"""How new pieces end: with a cadence, unless they are left open or asked for something else."""

from dataclasses import replace

import numpy as np
import pytest

from composer import open_model
from composer.generation.composer import Composer
from composer.generation.defaults import choose_new_samplers
from composer.generation.finishing import BROKEN
from composer.generation.generator import generate
from composer.generation.tasks import make, regenerate
from composer.metrics.score_view import find_final_chord
from composer.music.keys import parse_key
from composer.music.score import KeySignature, Score, Track, concatenate_notes, make_notes
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.types import Occasion
from composer_harmony.endings import choose_ending, describe_end


@pytest.fixture(scope="module")
def chorales() -> Composer:
    return open_model("chorales")


def find_end(score):
    """The final chord and the bass before it, in semitones above the tonic."""
    parts = [track.notes for track in score.tracks if len(track.notes)]
    tonic = score.key_signatures[-1].key.tonic
    bass = [pitch for pitch in parts[-1]["pitch"].tolist() if pitch != parts[-1]["pitch"][-1]]
    return [(int(pitch) - tonic) % 12 for pitch in find_final_chord(concatenate_notes(parts))], (bass[-1] - tonic) % 12


def find_last_but_one(score):
    """What sounds just before the final chord, in semitones above the tonic."""
    notes = concatenate_notes([track.notes for track in score.tracks])
    last = max(track.notes["start"][-1] for track in score.tracks)
    sounding = (notes["start"] < last) & (notes["start"] + notes["duration"] >= last)
    return {(int(pitch) - score.key_signatures[-1].key.tonic) % 12 for pitch in notes["pitch"][sounding]}


@pytest.mark.parametrize("time_signature", ["3/4", "4/4"])
def test_new_pieces_end_with_a_cadence(chorales, time_signature):
    for piece in chorales.generate(count=40, bars=4, time_signature=time_signature, seed=3):
        chord, before = find_end(piece.score)
        assert (chord[0] == 0 and set(chord) <= {0, 3, 7}) or set(chord) <= {0, 4, 7}
        assert {3, 4} & set(chord)
        assert before in (5, 7)
        assert (11 in find_last_but_one(piece.score)) == (before == 7), "a dominant has its leading tone"
        assert "broken" not in piece.provenance


@pytest.mark.parametrize(
    "wishes",
    [{"range": "tenor=D3:A3"}, {"chords": "C | F F F F | Dm Dm C C"}],
    ids=["a tenor without the leading tone", "no chord with the leading tone"],
)
def test_a_cadence_that_is_asked_for_is_found_beside_other_wishes(chorales, wishes):
    for piece in chorales.generate(count=4, bars=3, key="C", time_signature="4/4", seed=1, ending=True, **wishes):
        chord, before = find_end(piece.score)
        assert (chord[0], before in (5, 7)) == (0, True)


def test_a_given_tenor_with_the_leading_tone_keeps_the_cadence(chorales):
    asked = {"voice": "Tenor", "key": "C", "seed": 1, "particles": 4}
    kinds = [
        next(spec for spec in piece.provenance["request"]["samplers"] if spec["name"] == "ending")["options"]["kind"]
        for piece in (chorales.harmonize(f"E3 F3 G3 F3 {last} C3*2", **asked) for last in ("B2*2", "G3*2"))
    ]
    assert kinds == ["cadence", "full"]


def test_a_piece_may_be_left_open(chorales):
    piece = chorales.generate(bars=4, seed=1, ending=False)
    assert "ending" not in [spec["name"] for spec in piece.provenance["request"]["samplers"]]


def test_a_request_without_an_ending_has_none_when_it_is_made_again(chorales):
    old = make(chorales, [Request(seed=1, bars=4, samplers=chorales.suggested.samplers)])[0]
    assert regenerate(chorales, old.provenance).provenance == old.provenance
    assert "ending" not in str(old.provenance["request"])


@pytest.mark.parametrize(
    ("chords", "key", "ends"),
    [("G7 | Cmaj7", "C", True), ("C | Am", "C", False), ("C | G7", "C", False), ("G7 | C", None, False)],
)
def test_chords_that_lead_elsewhere_say_how_a_piece_ends(chorales, chords, key, ends):
    request = Request(bars=2, key=key, samplers=(SamplerSpec("chords", {"chords": chords}),))
    chosen = choose_ending(None, Occasion(chorales.tokenizer.token_info, request, is_whole=True))
    assert (chosen is not None) == ends


def test_models_without_keys_and_bars_are_not_asked():
    frames = registry().make("tokenizers", "frames")
    assert choose_ending(None, Occasion(frames.token_info, Request(), is_whole=True)) is None


@pytest.mark.parametrize(
    ("pitches", "said"),
    [
        ([60, 64, 67, 72], ""),
        ([60, 63, 67, 72], ""),  # the other mode
        ([64, 67, 72, 79], "ends on E4 in C"),
        ([60, 67, 72, 79], "ends without the third of C"),
        ([60, 64, 67, 70], "ends with other tones than those of C"),
    ],
)
def test_an_end_is_judged(pitches, said):
    tracks = tuple(Track(make_notes([(0, 480, pitch, 80)])) for pitch in pitches)
    score = Score(tracks=tracks, key_signatures=(KeySignature(0, parse_key("C")),))
    assert describe_end(score, None, 3) == said


def test_drums_have_no_end_to_judge():
    drums = Track(make_notes([(0, 480, 38, 80)]), is_drum=True)
    assert describe_end(Score(tracks=(drums,)), parse_key("C"), 3) == ""


@pytest.mark.parametrize(
    "melody",
    ["C4 F4*2 A4 C5 Bb4 A4 G4*2 A4 C5 Bb4 G4 F4*3", "C5*2 A4*2 G4 F4*2"],
    ids=["a short last bar", "a weak beat"],
)
def test_a_harmonisation_ends_with_its_tune(chorales, melody):
    piece = chorales.harmonize(melody, key="F", seed=1, particles=16)
    tune, *others = [track.notes for track in piece.score.tracks]
    end = int(tune["start"][-1] + tune["duration"][-1])
    assert all(int((part["start"] + part["duration"]).max()) == end for part in others)
    assert all(int(part["start"][-1]) <= int(tune["start"][-1]) for part in others)
    chord, _ = find_end(piece.score)
    assert chord[0] == 0
    assert set(chord) <= {0, 4, 7}


def test_a_tune_that_ends_on_another_tone_is_left_open(chorales):
    piece = chorales.harmonize("C4 E4 G4 D4", key="C", seed=1, particles=4)
    assert "ending" not in str(piece.provenance["request"]["samplers"])
    assert np.array_equal(piece.score.tracks[0].notes["pitch"], [60, 64, 67, 62])


@pytest.mark.parametrize("metre", ["3/4", "4/4"])
def test_even_an_untrained_model_ends_at_its_first_attempt(model_file, metre):
    """The bass is there, and lowest: a wish that gives way cannot go back to mend it."""
    walks = open_model(str(model_file))
    one = replace(walks.suggested, bars=1, time_signature=metre, seed=1, backend="numpy")
    wanted = choose_new_samplers(walks.tokenizer.token_info, one)
    pieces = generate(walks, [replace(wanted, index=index) for index in range(40)], redraws=0)
    assert not any(BROKEN in piece.provenance for piece in pieces)
