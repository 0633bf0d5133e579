"""The figures of sets of scores, against values worked out by hand on tiny ones."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan, log2

import numpy as np
import pytest

from composer.errors import BadOption, CannotExpress, EmptyDataset, UnknownName
from composer.metrics import (
    HEADINGS,
    Figure,
    compare,
    compute_divergence,
    compute_figures,
    compute_histogram,
    compute_margin,
    compute_onset_profile,
    compute_pitch_class_profile,
    compute_ranges,
    format_rows,
    is_nearer,
)
from composer.music.keys import Key
from composer.music.score import KeySignature, Score, TimeSignature, Track, make_notes

QUARTER = 480
C_MAJOR, A_MINOR = Key(0), Key(9, minor=True)


def line(*notes, quarters=1.0, start=0.0):
    """A part of notes one after another: a pitch, a pair (pitch, quarters), or None for a rest."""
    rows, place = [], start
    for note in notes:
        pitch, length = note if isinstance(note, tuple) else (note, quarters)
        if pitch is not None:
            rows.append((int(place * QUARTER), int(length * QUARTER), pitch, 64))
        place += length
    return Track(make_notes(rows))


def piece(*tracks, key=C_MAJOR, metre=(4, 4), upbeat=0.0):
    return Score(
        tracks=tracks,
        time_signatures=(TimeSignature(0, *metre),),
        key_signatures=(KeySignature(0, key),) if key else (),
        upbeat=int(upbeat * QUARTER),
    )


def four(soprano, alto, tenor, bass, **options):
    return piece(*(line(*voice) for voice in (soprano, alto, tenor, bass)), **options)


def held(*pitches, quarters=4.0):
    """Four voices that hold one chord."""
    return piece(*(line((pitch, quarters)) for pitch in pitches))


# --- any music --------------------------------------------------------------------------------------------------------


def test_pitch_classes_are_counted_from_the_tonic():
    d_major = piece(line(62, 66, 69, 74), key=Key(2))  # D F# A D
    shares = compute_histogram([d_major], "pitch classes")
    assert shares.tolist() == [0.5, 0, 0, 0, 0.25, 0, 0, 0.25, 0, 0, 0, 0]


def test_durations_have_exact_classes_and_one_for_all_others():
    notes = [(60, 0.25), (60, 1 / 3), (60, 1), (60, 1), (60, 4), (60, 1.01), (60, 8), (60, 0.125)]
    shares = compute_histogram([piece(line(*notes))], "durations")
    #                            1/4  1/3 1/2 2/3 3/4   1  1.5  2   3   4  other
    assert (shares * 8).tolist() == [1, 1, 0, 0, 0, 2, 0, 0, 0, 1, 3]


def test_the_top_line_leaves_out_what_moves_below_a_held_note():
    score = piece(line((72, 2), (74, 2)), line(60, 64, 60, 88))  # the last 88 is above the held 74
    shares = compute_histogram([score], "melodic intervals")
    assert shares.nonzero()[0].tolist() == [12 + 2, 12 + 12]  # up a tone, then up 14, counted as an octave
    assert shares[14] == shares[24] == 0.5


def test_repeated_notes_are_those_of_the_top_line():
    assert compute_figures([piece(line(60, 60, 62, 62, 60))])["repeated notes"] == 50.0


def test_notes_per_beat_and_length_follow_the_metre():
    in_six_eight = piece(line(*[60] * 12, quarters=0.5), metre=(6, 8))  # two bars of two dotted beats
    found = compute_figures([in_six_eight])
    assert found["notes per beat"] == 3.0
    assert found["length"] == 2.0


def test_an_upbeat_is_no_bar_and_drums_are_no_notes():
    drums = Track(make_notes([(0, 120, 38, 64)] * 9), is_drum=True)
    found = compute_figures([piece(line(60, 62, 64, 65, 67), drums, upbeat=1)])
    assert found["length"] == 1.0
    assert found["notes per beat"] == 1.0


def test_a_set_is_counted_together_not_averaged_over_its_pieces():
    short, long = piece(line(61)), piece(line(60, 62, 64))
    assert compute_figures([short, long])["notes outside the key"] == 25.0


def test_minor_has_its_raised_sixth_and_seventh_and_may_end_in_major():
    melody = line(69, 66, 68, 70, quarters=1)  # A F# G# A#: only A# is outside A minor
    assert compute_figures([piece(melody, key=A_MINOR)])["notes outside the key"] == 25.0
    chord = held(69, 64, 61, 45)  # A E C# A
    minor = Score(tracks=chord.tracks, key_signatures=(KeySignature(0, A_MINOR),))
    assert compute_figures([minor])["ends on the tonic chord"] == 100.0


@pytest.mark.parametrize(
    ("chord", "tonic", "triad"),
    [
        ((72, 67, 64, 48), 100, 100),  # C major, C at both ends
        ((76, 72, 67, 48), 100, 100),  # C in the bass alone
        ((72, 67, 64, 52), 100, 100),  # C at the top alone
        ((76, 72, 67, 55), 0, 100),  # a second inversion, E at the top
        ((72, 69, 65, 53), 100, 0),  # F major with C at the top
        ((74, 71, 67, 55), 0, 0),  # G major
        ((72, 67, 63, 48), 100, 0),  # C minor is no chord of C major
    ],
)
def test_the_last_chord(chord, tonic, triad):
    found = compute_figures([held(*chord)])
    assert (found["ends on the tonic"], found["ends on the tonic chord"]) == (tonic, triad)


def test_the_last_chord_is_what_sounds_at_the_last_onset():
    resolves = piece(line((72, 4)), line((65, 2), (64, 2)), line((62, 2)), line((48, 4)))  # C F D C, then C E - C
    assert compute_figures([resolves])["ends on the tonic chord"] == 100.0


def test_without_a_key_signature_the_key_is_estimated():
    g_major = piece(line(67, 69, 71, 72, 74, 76, 78, 79, 74, 71, 67), key=None)
    found = compute_figures([g_major])
    assert found["notes outside the key"] == 0.0
    assert found["ends on the tonic"] == 100.0


def test_a_piece_without_notes_counts_as_one_that_does_not_end():
    found = compute_figures([Score(), held(72, 67, 64, 48)])
    assert found["ends on the tonic"] == found["ends on the tonic chord"] == found["four voices"] == 50.0
    assert found["length"] == 0.5


# --- four voices ------------------------------------------------------------------------------------------------------


def test_ranges_of_the_voices():
    score = four([*range(60, 80)], [60] * 20, [50] * 20, [40] * 19 + [60])
    found = compute_figures([score])
    assert found["soprano mean"] == 69.5
    assert (found["soprano low"], found["soprano high"]) == (60, 78)  # 1 of 20 notes is at or below 60, 19 below 79
    assert (found["bass mean"], found["bass low"], found["bass high"]) == (41, 40, 40)


def test_voice_crossings_are_a_share_of_time():
    score = four([72, 72, 72, 72], [67, 67, 74, 67], [60, 60, 60, (60, 0.5)], [48, 48, 48, 48])
    assert compute_figures([score])["voice crossings"] == 25.0


def test_voices_that_are_no_neighbours_cross_too_and_silence_does_not():
    score = four([72, (None, 1), 72, 72], [(None, 1), 67, 67, 67], [60, 60, 60, 60], [74, 48, 48, 48])
    assert compute_figures([score])["voice crossings"] == 25.0


def test_parallel_fifths_and_octaves():
    # bass C D, tenor G A: fifths. Alto C D: octaves with the bass, and fourths with the tenor. The soprano stays.
    score = four([76, 76], [60, 62], [55, 57], [48, 50])
    found = compute_figures([score])
    assert found["parallel fifths"] == 50.0  # one in two beats
    assert found["parallel octaves"] == 50.0


@pytest.mark.parametrize(
    ("voices", "why"),
    [
        (([76, 77], [72, 71], [67, 67], [48, 48]), "no fifth moves: the tenor and the bass stay"),
        (([79, 74], [64, 64], [64, 65], [48, 55]), "from a twelfth to a fifth in contrary motion"),
        (([76, 74], [64, 62], [56, 57], [48, 50]), "from an augmented fifth to a fifth"),
    ],
)
def test_what_is_no_parallel_fifth(voices, why):
    assert compute_figures([four(*voices)])["parallel fifths"] == 0.0, why


def test_parallels_are_seen_at_every_strike_of_any_voice():
    # The alto's quaver between the two fifths of tenor and bass makes no difference; one in the tenor does.
    through = four([76, 76], [(64, 0.5), (65, 0.5), 64], [55, 57], [48, 50])
    broken = four([76, 76], [64, 64], [(55, 0.5), (56, 0.5), 57], [48, 50])
    assert compute_figures([through])["parallel fifths"] == 50.0
    assert compute_figures([broken])["parallel fifths"] == 0.0


def test_wide_spacing_leaves_the_bass_alone():
    score = four([79, 81, 72, 72], [67, 67, 60, 64], [60, 60, 47, 60], [36, 36, 36, 36])  # 12; 14; 13; close
    assert compute_figures([score])["wide spacing"] == 50.0


def test_leaps_beyond_an_octave():
    score = four([60, 72, 59, 60, 60], [60] * 5, [55] * 5, [48] * 5)  # an octave up, then thirteen down
    assert compute_figures([score])["leaps beyond an octave"] == 5.0


@pytest.mark.parametrize(
    "tracks",
    [
        [line(72), line(67), line(60)],
        [line(72), line(67), line(60), line(48), line(36)],
        [line(72), line(67), line(60), Track(make_notes([(0, 480, 48, 64), (0, 480, 52, 64)]))],
    ],
)
def test_other_textures_have_no_voice_leading(tracks):
    found = compute_figures([piece(*tracks)])
    assert found["four voices"] == 0.0
    assert "soprano mean" not in found
    assert "parallel fifths" not in found


# --- sets beside each other -------------------------------------------------------------------------------------------


def some_pieces(count, seed=5):
    """Chorale-like pieces: four voices that wander around their own middle and end on C."""
    random = np.random.default_rng(seed)
    chord = (72, 67, 64, 48)
    return [four(*([*(middle + random.integers(-4, 5, size=7)), middle] for middle in chord)) for _ in range(count)]


def test_the_divergence_of_two_histograms():
    assert compute_divergence(np.array([1.0, 0]), np.array([0, 5.0])) == 1.0
    assert compute_divergence(np.array([1.0, 3]), np.array([2.0, 6])) == 0.0
    # (1, 0) and (1/2, 1/2) have the middle (3/4, 1/4)
    by_hand = (log2(4 / 3) + (log2(2 / 3) + log2(2)) / 2) / 2
    assert compute_divergence(np.array([1.0, 0]), np.array([1.0, 1])) == pytest.approx(by_hand)


def test_a_set_is_at_no_distance_from_itself():
    pieces = some_pieces(4)
    found = compute_figures(pieces, pieces)
    assert [found[name] for name in ("pitch classes", "durations", "melodic intervals")] == [0, 0, 0]
    assert "durations" not in compute_figures(pieces)


def test_halves_of_real_pieces_lie_inside_the_bands():
    real = some_pieces(40)
    halves = np.random.default_rng(3).permutation(40).reshape(2, 20)
    inside = [figure.inside for half in halves for figure in compare([real[i] for i in half], real, samples=500)]
    assert np.mean(inside) >= 0.95


def test_pieces_that_differ_lie_outside_where_they_differ():
    real = some_pieces(30)
    strange = [four([73, 61], [67, 79], [64, 66], [47, 49])] * 10
    found = {figure.name: figure for figure in compare(strange, real)}
    assert not found["ends on the tonic"].inside
    assert not found["pitch classes"].inside
    assert not found["notes outside the key"].inside
    assert found["four voices"].inside


def test_bands_hold_the_real_value_are_the_same_by_seed_and_narrower_for_more_pieces():
    real = some_pieces(30)
    few, many = compute_ranges(real, 5, seed=1), compute_ranges(real, 80, seed=1)
    assert few == compute_ranges(real, 5, seed=1)
    assert few != compute_ranges(real, 5, seed=2)
    assert all(band.low <= band.real <= band.high for band in few + many)
    width = {band.name: (band.high - band.low) for band in few}
    assert all(band.high - band.low <= width[band.name] for band in many)


def test_a_band_by_hand():
    # Of sets of one piece, drawn from 3 and 1, the length is 1 bar or 3 bars.
    lengths = {b.name: b for b in compute_ranges([piece(line(*[60] * 12)), piece(line(*[60] * 4))], 1, seed=0)}
    assert (lengths["length"].real, lengths["length"].low, lengths["length"].high) == (2, 1, 3)


def test_a_model_without_four_voices_is_outside_and_shown_as_such():
    found = {f.name: f for f in compare([piece(line(60, 62))], some_pieces(6), samples=50)}
    assert isnan(found["bass mean"].model)
    assert not found["bass mean"].inside
    assert {row[0]: row for row in format_rows(list(found.values()))}["bass mean"][2] == "-"


def test_figures_travel_as_json_and_as_rows():
    found = compare([piece(line(60, 62))], some_pieces(6), samples=50)
    back = [Figure.from_json(json.loads(json.dumps(f.to_json(), allow_nan=False))) for f in found]
    assert list(map(repr, back)) == list(map(repr, found))
    table = format_rows(back)
    assert {len(row) for row in table} == {len(HEADINGS)}
    assert next(row for row in table if row[0] == "four voices") == (
        "four voices",
        "% of pieces",
        "0.000",
        "100.0",
        "100.0 to 100.0",
        "no",
    )
    with pytest.raises(BadOption, match="not a figure"):
        Figure.from_json({"name": "length"})


def test_what_cannot_be_asked():
    with pytest.raises(EmptyDataset):
        compare([], some_pieces(2))
    with pytest.raises(EmptyDataset):
        compute_ranges([], 3, seed=0)
    with pytest.raises(BadOption, match="'level'"):
        compute_ranges(some_pieces(2), 3, seed=0, level=1.5)
    with pytest.raises(CannotExpress, match="'Vexations' cannot be measured"):
        compute_figures([replace(piece(line(60, start=500_000)), title="Vexations")])
    with pytest.raises(UnknownName, match="did you mean 'durations'"):
        compute_histogram(some_pieces(1), "duration")


# --- whether a wish was followed --------------------------------------------------------------------------------------


def test_onsets_show_the_metre_from_the_first_downbeat():
    waltz = piece(line(67, *[(60, 3)] * 8, start=0), metre=(3, 4), upbeat=1)  # an upbeat, then a note a bar
    profile = compute_onset_profile([waltz])
    assert profile.nonzero()[0].tolist() == [0, 12, 24, 36, 44]  # the upbeat is four steps before the end of a round
    assert profile[[0, 44]].tolist() == pytest.approx([2 / 9, 1 / 9])
    three = compute_onset_profile([piece(line(*[(60, 3)] * 8), metre=(3, 4))])
    common = compute_onset_profile([piece(line(*[(60, 4)] * 8))])
    assert is_nearer(profile, three, common)
    assert not is_nearer(profile, common, three)
    assert compute_margin(common, three, common) == pytest.approx(-compute_divergence(common, three))


def test_an_onset_counts_for_the_nearest_sixteenth():
    played = piece(Track(make_notes([(110, 200, 60, 64), (190, 200, 60, 64)])))
    assert compute_onset_profile([played]).nonzero()[0].tolist() == [1, 2]


def test_pitch_classes_are_weighed_by_their_time():
    drums = Track(make_notes([(0, 4800, 38, 64)]), is_drum=True)
    profile = compute_pitch_class_profile([piece(line((60, 3), (62, 1)), drums)])
    assert profile[:3].tolist() == [0.75, 0, 0.25]


def test_nothing_is_nearer_to_nothing():
    empty = compute_onset_profile([Score()])
    assert empty.tolist() == [0] * 48
    assert not is_nearer(empty, np.ones(48), np.ones(48))
