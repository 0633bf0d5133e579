"""Metrics against values worked out by hand, those that other tools get wrong among them, and sets of pieces."""

import json
from dataclasses import replace

import numpy as np
import pytest
from music import BAR, QUARTER, drums, line, score

from composer import metrics
from composer.errors import BadOption, EmptyDataset, UnknownName
from composer.metrics import distances, plain_values
from composer.metrics.distances import Densities, compute_kl_divergence, measure_overlap
from composer.music.score import END, Score, Text
from composer.types import Piece


def figure(name, *scores):
    return metrics.compute_figures(scores, names=[name]).get(name.replace("-", " "))


def in_bars(name, piece):
    """The figure of each bar."""
    return metrics.measure([piece], [name]).compute_by_bar(0)[name.replace("-", " ")].tolist()


def tune(*notes, **fields):
    return score(line(*notes), **fields)


# --- rhythm -----------------------------------------------------------------------------------------------------------

FOUR = [(60, 1)] * 4


def test_two_bars_of_one_rhythm_have_one_groove():
    assert figure("groove-consistency", tune(*FOUR, *FOUR)) == 1.0  # muspy says 0.875
    assert figure("groove-consistency", tune(*FOUR, (72, 1), (0, 0.5), (72, 0.5), (48, 2))) == 1 - 3 / 48


def test_a_groove_is_of_whole_bars_of_one_length_and_not_of_silence():
    upbeat = tune((60, 1), *FOUR, *FOUR, upbeat=QUARTER)
    assert in_bars("groove-consistency", upbeat)[2:] == [1.0]
    assert np.isnan(in_bars("groove-consistency", upbeat)[:2]).all()
    changes = tune(*FOUR, *FOUR, *[(60, 1)] * 3, metres=((0, 4, 4), (2 * BAR, 3, 4)))
    assert np.isnan(in_bars("groove-consistency", changes)[2])
    silence = tune(*FOUR, (0, 8), *FOUR)
    assert in_bars("groove-consistency", silence)[1::2] == [1 - 4 / 48] * 2
    assert np.isnan(in_bars("groove-consistency", silence)[2])


def test_a_performance_has_the_groove_of_its_nearest_places():
    played = tune(*FOUR, *FOUR)
    played.tracks[0].notes["start"] += np.array([0, 9, -9, 4, -9, 3, 7, -5])
    assert figure("groove-consistency", played) == 1.0


def test_a_note_that_ends_on_a_beat_does_not_fill_the_next():
    assert figure("empty-beats", tune((0, 1), (60, 1), (0, 1), (60, 1))) == 50.0  # muspy says 25
    assert figure("empty-beats", tune((60, 2), (0, 1), (60, 0.5))) == 25.0
    assert in_bars("empty-beats", tune((60, 5), (0, 3), (60, 1))) == [0.0, 75.0, 0.0]


def test_beats_follow_the_metre_and_the_upbeat():
    compound = tune((60, 1.5), (0, 1.5), (60, 3), metres=((0, 6, 8),))
    assert figure("empty-beats", compound) == 25.0
    upbeat = tune((60, 0.5), (0, 1), (60, 3), upbeat=QUARTER // 2, metres=((0, 4, 4),))
    assert in_bars("empty-beats", upbeat) == [0.0, 25.0]


def test_a_bar_is_empty_if_nothing_sounds_up_to_the_stated_end():
    assert figure("empty-bars", tune((60, 4), (0, 4), (60, 4))) == pytest.approx(100 / 3)
    assert figure("empty-bars", tune((60, 5), (0, 3), (60, 4))) == 0.0
    ends_silent = tune((60, 4), markers=(Text(2 * BAR, END),))
    assert in_bars("empty-bars", ends_silent) == [0.0, 100.0]
    assert figure("empty-beats", ends_silent) == 50.0
    assert figure("length", ends_silent) == 1.0


# --- texture ----------------------------------------------------------------------------------------------------------


def test_two_voices_are_polyphony():
    two = score(line((72, 4), (74, 4)), line((60, 4), (62, 4)))
    assert figure("polyphony-rate", two) == 100.0  # muspy says 0
    assert figure("polyphony", two) == 2.0


def test_polyphony_is_of_the_time_that_sounds_and_its_rate_of_all():
    piece = tune((60, 1), ((60, 64, 67), 1), (0, 1), ((60, 64), 1))
    assert figure("polyphony", piece) == 2.0
    assert figure("polyphony-rate", piece) == 50.0


def test_a_pitch_that_several_notes_sound_is_one():
    unison = score(line((60, 4)), line((60, 2), (60, 2)), drums((0, 38), (1, 40)))
    assert figure("polyphony", unison) == 1.0
    assert figure("polyphony-rate", unison) == 0.0


# --- pitch ------------------------------------------------------------------------------------------------------------


def test_scale_consistency_is_of_the_best_scale_of_the_piece():
    assert figure("scale-consistency", tune(*[(p, 1) for p in range(60, 72)])) == pytest.approx(7 / 12)
    lydian = tune((64, 1), (66, 1), (64, 1), (66, 1), (65, 1), key="C")  # no scale with E and F# has an F
    assert figure("scale-consistency", lydian) == 0.8
    assert in_bars("scale-consistency", lydian) == [1.0, 0.0]


def test_keys_are_not_mixed_among_pieces():
    two = [tune(*[(p + shift, 1) for p in (60, 62, 64, 65, 67, 69, 71)]) for shift in (0, 6)]
    assert figure("scale-consistency", *two) == 1.0


def test_the_range_of_pieces_is_the_mean_of_their_own():
    low, high = tune((40, 1), (47, 1)), tune((80, 2), (80, 1), (81, 1), (0, 1), (85, 1))
    assert figure("pitch-range", low, high) == 6.0
    assert in_bars("pitch-range-per-bar", high) == [1.0, 0.0]
    assert figure("pitch-range", score(line((60, 4)), drums((0, 36), (1, 90)))) == 0.0


def test_entropy_of_one_bar_and_of_four():
    assert figure("pitch-class-entropy-of-1-bar", tune((60, 1), (72, 1), (67, 1), (55, 1))) == 1.0
    four = tune((60, 4), (62, 4), (64, 4), (65, 4), (65, 4))
    assert figure("pitch-class-entropy-of-1-bar", four) == 0.0
    assert in_bars("pitch-class-entropy-of-4-bars", four)[3:] == [2.0, 1.5]
    assert figure("pitch-class-entropy-of-4-bars", four) == 1.75
    assert figure("pitch-class-entropy-of-4-bars", tune((60, 4))) is None
    upbeat = tune((61, 1), (60, 4), (62, 4), (64, 4), (65, 4), upbeat=QUARTER)
    assert figure("pitch-class-entropy-of-4-bars", upbeat) == 2.0


# --- likeness ---------------------------------------------------------------------------------------------------------

A, B = [(60, 1), (62, 1), (64, 2)], [(60, 1), (65, 1), (67, 1), (65, 1)]


def test_self_similarity_by_lag():
    piece = tune(*A, *B, *A, *B)
    assert figure("self-similarity-at-2-bars", piece) == 1.0
    assert figure("self-similarity-at-1-bar", piece) == pytest.approx(2 * 1 / (3 + 4))  # the first note
    assert figure("self-similarity-at-4-bars", piece) is None


def test_bars_after_an_upbeat_are_compared_from_their_downbeats():
    piece = tune((55, 1), *A, *A, *B, upbeat=QUARTER)
    assert in_bars("self-similarity-at-1-bar", piece)[2:] == [1.0, pytest.approx(2 / 7)]
    assert in_bars("self-similarity-at-2-bars", piece)[3] == pytest.approx(2 / 7)


# --- voices -----------------------------------------------------------------------------------------------------------


def test_voice_leading_is_told_of_the_bar_in_which_it_is_heard():
    fifths = score(line((76, 8)), line((64, 8)), line((55, 4), (57, 4)), line((48, 4), (50, 4)))
    assert in_bars("parallel-fifths", fifths) == [0.0, 25.0]
    crossed = score(line((72, 8)), line((67, 4), (74, 4)), line((60, 8)), line((48, 8)))
    assert in_bars("voice-crossings", crossed) == [0.0, 100.0]
    leaps = score(line((60, 4), (74, 4)), line((60, 8)), line((55, 8)), line((48, 8)))
    assert in_bars("leaps-beyond-an-octave", leaps) == [0.0, 100.0]


# --- bars, pieces and sets --------------------------------------------------------------------------------------------


def test_bars_pieces_and_sets_are_counted_alike():
    one, two = tune(*FOUR, (60, 4)), tune((60, 4))
    found = metrics.measure([one, two], ["notes-per-beat"])
    assert found.compute_by_bar(0)["notes per beat"].tolist() == [1.0, 0.25]
    assert found.compute_by_piece()["notes per beat"].tolist() == [0.625, 0.25]
    assert found.compute_figures()["notes per beat"] == 6 / 12


def test_each_real_piece_is_held_against_the_others():
    same, other = tune((60, 1), (67, 1)), tune((61, 1), (66, 1))
    found = metrics.measure([same, same, other], ["pitch-classes"])
    assert found.compute_by_piece(found)["pitch classes"][2] == 1.0
    assert 0 < found.compute_by_piece(found)["pitch classes"][0] < 1
    assert np.isnan(found.compute_by_piece()["pitch classes"]).all()


def test_what_cannot_be_measured():
    with pytest.raises(UnknownName, match="did you mean 'polyphony'"):
        metrics.measure([tune((60, 1))], ["polyphon"])
    with pytest.raises(EmptyDataset):
        metrics.measure([])
    assert list(metrics.compute_figures([Score()])) == [
        "length",
        "ends on the tonic",
        "ends on the tonic chord",
        "four voices",
    ]


def test_every_metric_is_defined_in_words():
    assert all(metrics.get_definition(name).endswith(".") for name in metrics.make_metrics())


# --- sets of numbers --------------------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(1)


def near(ours, real, pieces=None):
    both = Densities(np.asarray(ours, dtype=float), np.asarray(real, dtype=float))
    p, q = both.estimate_ours()[0], both.estimate_real()[0]
    return float(measure_overlap(p, q)), float(compute_kl_divergence(q, p, pieces or len(ours)))


def test_overlap_and_divergence_of_normal_numbers_are_those_of_normal_distributions():
    area, bits = near(RANDOM.normal(1, 1, 4000), RANDOM.normal(0, 1, 4000))
    assert area == pytest.approx(0.617, abs=0.03)
    assert bits == pytest.approx(0.5 / np.log(2), abs=0.06)


def test_equal_sets_overlap_and_sets_apart_do_not():
    numbers = RANDOM.normal(0, 1, 40)
    assert near(numbers, numbers) == pytest.approx((1, 0))
    # Each on a grid between its own least and greatest number, as mgeval has them, these would be the same.
    area, bits = near(numbers + 100, numbers)
    assert area < 0.001
    assert bits > 3


def test_numbers_that_are_all_the_same():
    assert near([2, 2, 2], [2, 2]) == pytest.approx((1, 0))
    assert near([2, 2, 2], [3, 3])[0] < 0.001
    assert near([5], [5]) == pytest.approx((1, 0))


def test_the_frechet_distance_by_hand():
    real = RANDOM.normal(size=(200, 3))
    real -= real.mean(axis=0)
    assert distances.compute_distance(real, real) == pytest.approx(0, abs=1e-9)
    assert distances.compute_distance(real + np.array([3, 0, 4]), real) == pytest.approx(25)
    # Twice as wide everywhere: tr(4C + C - 2 * 2C) = tr(C).
    assert distances.compute_distance(2 * real, real) == pytest.approx(real.var(axis=0).sum())


def test_few_pieces_have_a_covariance_too():
    few = RANDOM.normal(size=(5, 30))
    assert np.linalg.eigvalsh(distances.estimate_covariance(few)).min() > 0.01
    many = RANDOM.normal(size=(20_000, 3)) @ np.array([[1, 2, 0], [0, 1, 1], [0, 0, 3]])
    assert distances.estimate_covariance(many) == pytest.approx(np.cov(many.T, bias=True), abs=0.01)


def test_features_that_are_missing_or_constant():
    ours = np.array([[1.0, 5.0, np.nan, 2.0], [3.0, 5.0, np.nan, np.nan], [5.0, 5.0, 1.0, 4.0]])
    real = np.array([[1.0, 5.0, 1.0, 1.0], [3.0, 5.0, 2.0, 3.0]])
    one, other = distances.select_comparable(ours, real)
    assert other.tolist() == [[-1, -1], [1, 1]]  # the first and the last; in standard deviations of the real ones
    assert one.tolist() == [[-1, 0], [1, 1], [3, 2]]


# --- sets of pieces ---------------------------------------------------------------------------------------------------


def walks(count, seed, widest=2):
    random = np.random.default_rng(seed)
    lines = [
        line(*[(int(p), 1) for p in 66 + np.cumsum(random.integers(-widest, widest + 1, 16))]) for _ in range(count)
    ]
    return [score(one) for one in lines]


NAMES = ["melodic-intervals", "repeated-notes", "pitch-range", "pitch-class-entropy-of-1-bar", "voice-crossings"]


def test_pieces_of_one_kind_are_nearer_than_those_of_another():
    real, same, other = (metrics.measure(walks(30, *kind), NAMES) for kind in ((1,), (2,), (3, 5)))
    near, far = metrics.contrast(same, real), metrics.contrast(other, real)
    assert near.distance.value < far.distance.value / 3
    assert far.distance.low > far.distance.halves
    assert near == metrics.contrast(same, real)
    for one, another in zip(near.features[:3], far.features[:3], strict=True):
        assert one.overlap.value > another.overlap.high, one.name
        assert one.divergence.value < another.divergence.value
        assert one.overlap.low <= one.overlap.value <= one.overlap.high
    assert near.dimensions == 4  # no piece has four voices
    with pytest.raises(BadOption, match="'seed'"):
        metrics.contrast(same, real, seed=-1)


def test_one_real_piece_has_no_interval():
    one, ours = (metrics.measure(walks(count, 1), NAMES) for count in (1, 4))
    found = metrics.contrast(ours, one)
    assert np.isfinite(found.distance.value)
    assert np.isnan([found.distance.low, found.distance.halves, found.features[1].overlap.low]).all()


def test_both_sets_as_plain_values():
    real, ours = (metrics.measure(walks(4, seed), NAMES) for seed in (1, 2))
    found = json.loads(
        json.dumps(plain_values.describe_contrast(metrics.contrast(ours, real), ours, real), allow_nan=False)
    )
    assert found["frechet_feature_distance"]["features"] == 4
    pitch = found["features"]["pitch range"]
    assert pitch["unit"] == "semitones"
    assert pitch["model"]["mean"] == pytest.approx(np.mean(pitch["model"]["pieces"]))
    assert [len(bars) for bars in found["features"]["repeated notes"]["real"]["bars"]] == [4] * 4
    assert found["features"]["voice crossings"]["overlapped_area"]["value"] is None
    assert sum(found["features"]["melodic intervals"]["model"]["histogram"]) == pytest.approx(1)


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    from composer.io import formats

    for number, piece in enumerate(walks(3, seed=1)):
        formats.write([Piece(replace(piece, title="$_"))], tmp_path / f"_${number}.mid")
    (tmp_path / "broken.mid").write_bytes(b"MThd")
    return tmp_path


def test_measuring_files(folder, run):
    ran = run("metrics", folder, "--metrics", "polyphony,pitch range", "--json", "--plot", folder / "p.svg")
    assert ran.status == 0
    assert "broken.mid" in ran.err
    found = json.loads(ran.out)
    assert found["files"] == ["_$0.mid", "_$1.mid", "_$2.mid"]
    assert found["metrics"]["polyphony"]["bars"] == [[1.0] * 4] * 3
    assert (folder / "p.svg").read_text().count("<svg") == 1
    shown = run("metrics", folder / "_$1.mid", "--metrics", "all")
    assert "Metrics of _$1.mid" in shown.out
    assert "groove consistency" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metrics", "poliphony"], "did you mean 'polyphony'"),
        (["--plot", "p.gif"], "a plot is written as .svg, .png, .pdf"),
        (["--plot", "no/p.svg"], "there is no folder"),
    ],
)
def test_what_the_command_refuses(folder, run, arguments, said):
    ran = run("metrics", folder, *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_nothing_that_can_be_measured(folder, run):
    ran = run("metrics", folder / "broken.mid")
    assert ran.status == 2
    assert "none of these files can be measured" in ran.err


def test_a_model_beside_real_music(tunes, model_file, run, tmp_path):
    asked = ["evaluate", model_file, f"folder:{tunes}", "--split", "train", "--metrics", "polyphony,pitch-range"]
    ran = run(*asked, "--count", 3, "--seed", 5, "--json", "--plot", tmp_path / "p.png")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["nats_per_note"] > 0
    beside = found["metrics"]
    assert beside["pieces"] == len(beside["features"]["polyphony"]["model"]["pieces"]) == 3
    assert len(beside["real_pieces"]) == len(beside["features"]["polyphony"]["real"]["pieces"]) == found["pieces"]
    assert beside["features"]["polyphony"]["model"]["figure"] > 1
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    shown = run(*asked, "--count", 2, "--against", f"folder:{tunes}").out
    assert "Likelihood of the train split" in shown
    assert "Fréchet feature distance" in shown


def test_what_evaluate_refuses_before_the_work(model_file, run):
    for option in (["--against", "chorales"], ["--plot", "p.svg"]):
        ran = run("evaluate", model_file, "chorales", *option)
        assert ran.status == 2
        assert "needs --metrics" in ran.err
    ran = run("evaluate", model_file, "chorales", "--metrics", "tempo")
    assert ran.status == 2
    assert "no plugin offers the metric 'tempo'" in ran.err
