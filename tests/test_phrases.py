"""Metrics of form and of cadences, against music of which every musician knows what it is."""

import pytest
from music import QUARTER, line, score

from composer.errors import BadOption
from composer.metrics import compute_figures

A = [(60, 1), (62, 1), (64, 1), (65, 1)] * 7 + [(67, 2), (60, 2)]
A_VARIED = [*A[:-2], (64, 2), (60, 2)]
B = [(72, 1), (71, 1), (69, 1), (67, 1)] * 7 + [(67, 2), (60, 2)]
C = [(60, 4)] * 8


def figure(name, *notes, **options):
    return compute_figures([score(line(*notes), **options)], names=[name]).get(name.replace("-", " "))


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ((A, A, B, B), 100),
        ((A, A_VARIED, B, B), 100),
        ((A, A, B, B, C, C), 100),
        ((A, B, A, B), 0),
        ((A, B, B, A), 0),
        ((A, A, B, C), 0),
        ((A, A, A, A), 0),
    ],
)
def test_a_tune_comes_back_as_aabb(sections, expected):
    assert figure("form-aabb", *(note for section in sections for note in section)) == expected


def test_a_section_has_its_own_pickup():
    def with_pickup(section):
        return [(55, 1), *section[:-1], (60, 1)]

    tune = [note for section in (A, A, B, B) for note in with_pickup(section)]
    assert figure("form-aabb", *tune, upbeat=QUARTER) == 100
    assert figure("form-aabb", *tune[1:], upbeat=0) == 100  # the first time without it: 28 of 29 notes agree


def test_a_shorter_tune_has_no_such_form():
    assert figure("form-aabb", *A, *A, *B, *B[:-2]) is None
    assert figure("form-aabb") is None
    assert compute_figures([score(line(*C[:1], *C[:1], *B[:8]))], names=["form-aabb:bars=1"]) == {
        "form aabb (bars=1)": 100
    }
    with pytest.raises(BadOption, match="one bar or more"):
        figure("form-aabb:bars=0", *A)


def test_a_phrase_ends_on_a_long_note_of_the_tonic_or_the_dominant():
    assert figure("cadences-at-bar-8", *A, *A_VARIED) == 100
    assert figure("cadences-at-bar-4", *A, *A_VARIED) == 0
    open_end = [*A[:12], (65, 1), (67, 3), *A[16:]]
    assert figure("cadences-at-bar-4", *open_end, *A) == 50
    assert figure("cadences-at-bar-4", *A[:12], (65, 1), (62, 3)) == 0  # long, on the second degree
    assert figure("cadences-at-bar-4", *A[:12], (65, 1), (64, 1), (62, 1), (60, 1)) == 0  # short
    assert figure("cadences-at-bar-4", *A[:12]) is None


def test_the_pickup_of_the_next_phrase_is_not_the_end_of_this_one():
    tune = [(62, 1), *A[:-2], (60, 3), (62, 1), *A[:-2], (60, 3)]
    assert figure("cadences-at-bar-8", *tune, upbeat=QUARTER) == 100
    assert figure("cadences-at-bar-8", *tune[1:], upbeat=0) == 50  # without it, 62 is the last note of the eighth bar


# --- four parts -------------------------------------------------------------------------------------------------------

TONIC, DOMINANT, SUBDOMINANT = (72, 64, 55, 48), (71, 62, 55, 43), (69, 65, 60, 41)
SEVENTH, SIXTH = (74, 65, 56, 50), (72, 64, 57, 45)


def chords(*pairs, key="C"):
    """Four voices in chords of (pitches, quarters)."""
    voices = zip(*[[(pitch, quarters) for pitch in pitches] for pitches, quarters in pairs], strict=True)
    rows = [[(pitches, quarters) for (pitches, quarters) in voice] for voice in voices]
    return score(*(line(*row) for row in rows), key=key)


@pytest.mark.parametrize(
    ("before", "last", "cadences", "authentic"),
    [
        (DOMINANT, TONIC, 100, 100),
        ((71, 65, 62, 50), TONIC, 100, 100),  # VII as a chord of the sixth
        (SUBDOMINANT, TONIC, 100, 0),
        (TONIC, DOMINANT, 100, 0),  # half
        ((69, 65, 60, 53), (68, 64, 59, 52), 100, 0),  # Phrygian, in A minor
        (DOMINANT, SIXTH, 0, 0),  # deceptive
        (DOMINANT, (72, 67, 60, 52), 0, 0),  # not in root position
        (SUBDOMINANT, SIXTH, 0, 0),
    ],
)
def test_phrases_end_in_cadences(before, last, cadences, authentic):
    found = compute_figures([chords((TONIC, 1), (before, 1), (last, 2))], names=["cadences", "authentic-cadences"])
    assert found == {"cadences": cadences, "authentic cadences": authentic}


def test_a_phrase_ends_where_all_four_hold():
    walking = chords((TONIC, 1), (DOMINANT, 1), (TONIC, 1), (DOMINANT, 1), (TONIC, 4), (DOMINANT, 2), (TONIC, 2))
    assert compute_figures([walking], names=["phrase-ends"])["phrase ends"] == pytest.approx(100 * 3 / 12)
    found = compute_figures([walking], names=["cadences", "authentic-cadences"])
    assert found == {"cadences": 100, "authentic cadences": pytest.approx(200 / 3)}


def test_cadences_are_of_four_voices_alone():
    assert figure("cadences", (72, 4), (71, 4), (72, 4)) is None
    assert figure("phrase-ends", (72, 4), (71, 4)) is None
    assert compute_figures([chords((TONIC, 4))], names=["cadences"]) == {}  # nothing leads there
