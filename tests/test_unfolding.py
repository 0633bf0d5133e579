"""Repeats, endings and jumps: what is played is what a musician who reads the page plays, and it ends."""

import random
from contextlib import suppress

import pytest

from composer_notation.unfolding import BEGINNING, MOST_TIMES, SignMissing, Signs, Unplayable, find_order

PLAIN = Signs()
OPENS = Signs(opens=True)
CLOSES = Signs(times=2)


def ending(*numbers, times=0):
    return Signs(endings=numbers, times=times, begins_ending=True)


def played(*signs):
    """The measures played, by their letters."""
    return "".join(chr(ord("A") + index) for index in find_order(signs))


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ([CLOSES, CLOSES, CLOSES], "AABBCC"),  # a repeat without an opening goes back to the last one's end
        ([OPENS, OPENS, CLOSES, CLOSES], "ABCBCDD"),
        ([PLAIN, Signs(times=3), PLAIN], "ABABABC"),
        ([OPENS, ending(1, times=2), ending(2), PLAIN], "ABACD"),
        ([PLAIN, ending(1), ending(2), PLAIN], "ABACD"),  # endings go back without a sign, too
        ([OPENS, ending(1, times=2), ending(2, times=2), PLAIN], "ABACD"),
        ([OPENS, ending(1, 2, times=3), ending(3), PLAIN], "ABABACD"),
        ([OPENS, ending(1, 3, times=2), ending(2, times=2), PLAIN], "ABACABD"),
        ([OPENS, ending(1, times=2), PLAIN], "ABAC"),  # the second time passes a lone first ending by
        ([OPENS, ending(1), Signs(endings=(1,), times=2), ending(2), Signs(endings=(2,)), PLAIN], "ABCADEF"),
        ([ending(1, times=2), ending(2), ending(1, times=2), ending(2)], "ABCD"),  # two repeats
    ],
)
def test_repeats_and_endings(signs, expected):
    assert played(*signs) == expected


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ([PLAIN, Signs(jump=BEGINNING)], "ABAB"),
        ([PLAIN, Signs(fine=True), Signs(jump=BEGINNING)], "ABCAB"),
        ([PLAIN, Signs(segno="1"), PLAIN, Signs(jump="1")], "ABCDBCD"),
        ([Signs(segno="1"), Signs(to_coda="c"), Signs(jump="1"), Signs(coda="c")], "ABCABD"),
        ([Signs(times=2), Signs(fine=True), Signs(jump=BEGINNING)], "AABCAB"),  # no repeats after a jump
        ([PLAIN, ending(1, times=2), ending(2), Signs(jump=BEGINNING)], "ABACDACD"),  # and the last ending
        ([PLAIN, Signs(fine=True), Signs(times=2, jump=BEGINNING)], "ABCABCAB"),  # a jump waits for its repeat
        ([PLAIN, Signs(segno="x"), Signs(jump="y")], "ABCBC"),  # programs label the only segno carelessly
    ],
)
def test_jumps(signs, expected):
    assert played(*signs) == expected


def test_a_jump_to_a_sign_that_is_missing_is_refused():
    with pytest.raises(SignMissing, match="has a jump to a segno that is missing"):
        find_order([PLAIN, Signs(jump="1")])


def test_a_passage_is_played_a_bounded_number_of_times():
    assert len(find_order([Signs(times=10**9)])) == MOST_TIMES
    with pytest.raises(Unplayable, match="longer than 100 measures"):
        find_order([Signs(times=16)] * 10, most=100)


def test_any_signs_end():
    draw = random.Random(0)
    for _ in range(2_000):
        signs = [
            Signs(
                opens=draw.random() < 0.2,
                times=draw.choice([0, 0, 2, 3]),
                endings=draw.choice([(), (), (1,), (2,), (1, 2), (7,)]),
                begins_ending=draw.random() < 0.3,
                segno=draw.choice(["", "", "1"]),
                coda=draw.choice(["", "", "1"]),
                fine=draw.random() < 0.1,
                to_coda=draw.choice(["", "", "1"]),
                jump=draw.choice(["", "", "", "1", BEGINNING]),
            )
            for _ in range(draw.randint(1, 9))
        ]
        with suppress(SignMissing):
            assert all(0 <= index < len(signs) for index in find_order(signs, most=2_000))
