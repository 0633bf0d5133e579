"""`frames`: sets of pitches in time as tokens, and what is kept of them when they are given."""

from dataclasses import replace

import numpy as np
import pytest
from music import ALWAYS, BAR, QUARTER, drums, line, notes, score, words

from composer.data.encoding import compute_inputs
from composer.errors import BadOption, CannotExpress
from composer.music.score import END, Text
from composer.plugins.registry import registry
from composer.request import Request
from composer.testing import check_fixed_notes, check_grammar, check_tokenizer, draw
from composer.types import Span
from composer_frames.tokenizer import Frames

QUARTERS, EIGHTHS = Frames(), Frames(frames_per_quarter=2, in_c=True, most_notes=5, shown=3)
REMINDED = Frames(lookback=(2, 1, 4), recall=True)
CHORDS = score(line(((60, 64, 67), 2), ((60, 65), 1)), line((48, 1), (48, 1), (50, 1)), metres=((0, 3, 4),))
RESTS = score(line((60, 1), (62, 2), (0, 2), (64, 3)))
MUSIC = {"chords": CHORDS, "rests": RESTS}


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_frame_is_its_pitches_from_the_top_and_an_end():
    assert words(QUARTERS, QUARTERS.encode(CHORDS)) == (
        "Pitch_67 Pitch_64 Pitch_60 Pitch_48 Frame_None "
        "Pitch_67 Pitch_64 Pitch_60 Pitch_48 Frame_None "
        "Pitch_65 Pitch_60 Pitch_50 Frame_None EOS_None"
    )


def test_a_silent_frame_is_its_end_alone():
    assert words(QUARTERS, QUARTERS.encode(score(line((60, 1), (0, 1), (62, 1))), ends=False)) == (
        "Pitch_60 Frame_None Frame_None Pitch_62 Frame_None"
    )


def test_a_pitch_that_sounds_on_is_one_note():
    kept = QUARTERS.decode(QUARTERS.encode(CHORDS))
    assert sorted(notes(kept.tracks[0])) == [(0, 2, 48), (0, 2, 64), (0, 2, 67), (0, 3, 60), (2, 1, 50), (2, 1, 65)]


def test_every_token_belongs_to_a_frame_but_the_last():
    assert QUARTERS.assign_frames(QUARTERS.encode(CHORDS)).tolist() == [0] * 5 + [1] * 5 + [2] * 4 + [-1]


def test_a_note_shorter_than_a_frame_sounds_in_one():
    assert words(QUARTERS, QUARTERS.encode(score(line((60, 0.25), (0, 1.75), (62, 1))), ends=False)) == (
        "Pitch_60 Frame_None Frame_None Pitch_62 Frame_None"
    )


def test_silent_frames_at_the_end_are_kept_unless_the_piece_stays_open():
    music = replace(score(line((60, 1))), markers=(Text(3 * QUARTER, END),))
    assert words(QUARTERS, QUARTERS.encode(music)) == "Pitch_60 Frame_None Frame_None Frame_None EOS_None"
    assert words(QUARTERS, QUARTERS.encode(music, ends=False)) == "Pitch_60 Frame_None"
    assert QUARTERS.decode(QUARTERS.encode(music)).length == 3 * QUARTER


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("music", "said"),
    [
        (score(drums((0, 36))), "contains no notes"),
        (score(line((10, 1))), "has the pitch 10; there are tokens for 21 to 108"),
        (score(line((tuple(range(60, 66)), 1))), "6 pitches sound at once; there is room for 5"),
        (score(line((60, 20_001))), "40,002 frames long; at most 20,000"),
    ],
)
def test_what_cannot_be_expressed_is_refused(music, said):
    with pytest.raises(CannotExpress, match=said):
        EIGHTHS.encode(music)


@pytest.mark.parametrize(
    ("wish", "said"),
    [({"key": "Dm"}, "knows no keys"), ({"time_signature": "3/4"}, "bars of 4/4 only")],
)
def test_wishes_that_there_are_no_tokens_for_are_refused(wish, said):
    with pytest.raises(BadOption, match=said):
        QUARTERS.grammar.start(Request(**wish), 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames_per_quarter": 7}, "must divide 480"),
        ({"lowest": 70, "highest": 60}, "lowest must not be above"),
        ({"shown": 9, "most_notes": 8}, "shown must be from 1 to most_notes"),
        ({"lookback": (8, 0)}, "lookback must be from 1 to 256"),
        ({"lookback": (8, 4, 8)}, "lookback must not repeat a number of frames"),
        ({"program": 128}, "programs go from 0 to 127"),
    ],
)
def test_options_that_make_no_vocabulary_are_refused(options, said):
    with pytest.raises(BadOption, match=said):
        registry().make("tokenizers", "frames", **options)


# --- what a model is told ---------------------------------------------------------------------------------------------


def test_a_model_is_told_what_sounded_and_what_may_sound_on():
    tokens = QUARTERS.encode(CHORDS)
    (inputs,) = compute_inputs(QUARTERS, [tokens])
    names = [column.name for column in QUARTERS.grammar.columns]

    def told(place, *columns):
        return [int(inputs[place, names.index(column)]) for column in columns]

    def token(pitch):
        return QUARTERS.vocabulary.index(f"Pitch_{pitch}")

    third = 10  # where the third frame begins
    assert told(third, "before 1", "before 4", "held", "age of held") == [token(67), token(48), token(67), 2]
    assert told(third + 1, "now 1", "held", "degree", "place") == [token(65), token(64), 5, 1]
    assert told(third + 2, "now 2", "held", "age of held") == [token(60), token(48), 2]
    assert told(third + 3, "held", "age of held") == [token(48), 2]


def test_a_model_is_told_what_comes_if_this_frame_is_as_one_before():
    music = score(line(((64, 67), 1), (60, 1), ((64, 67), 1), (60, 1), ((64, 67), 1), (59, 1), (59, 1)))
    tokens = REMINDED.encode(music)
    (inputs,) = compute_inputs(REMINDED, [tokens])
    as_ago, agreed = (
        inputs[:, [column.name for column in REMINDED.grammar.columns].index(name)]
        for name in ("as 2 ago", "agreed with 2 ago")
    )
    named = ["BOS_None" if token == 0 else REMINDED.vocabulary[token] for token in as_ago]
    assert words(REMINDED, tokens) == (
        "Pitch_67 Pitch_64 Frame_None Pitch_60 Frame_None Pitch_67 Pitch_64 Frame_None "
        "Pitch_60 Frame_None Pitch_67 Pitch_64 Frame_None Pitch_59 Frame_None Pitch_59 Frame_None EOS_None"
    )
    assert " ".join(named) == (
        "BOS_None BOS_None BOS_None BOS_None BOS_None Pitch_67 Pitch_64 Frame_None "
        "Pitch_60 Frame_None Pitch_67 Pitch_64 Frame_None Pitch_60 Frame_None Pitch_67 Frame_None Pitch_59"
    )
    assert agreed.tolist() == [0] * 5 + [0, 0, 0] + [1, 1] + [2, 2, 2] + [3, 0] + [0, 0] + [0]


@pytest.mark.parametrize("tokenizer", [QUARTERS, EIGHTHS, REMINDED], ids=["quarters", "eighths", "reminded"])
def test_the_states_of_a_whole_piece_are_those_that_steps_reach(tokenizer):
    grammar = tokenizer.grammar
    for tokens in (*(tokenizer.encode(music) for music in MUSIC.values()), *draw(tokenizer, Request(bars=3), 8)):
        state, states = grammar.start(Request(), 1), grammar.compute_states(tokens)
        for place in range(len(tokens)):
            assert np.array_equal(states[place], state[0])
            state = grammar.advance(state, tokens[place : place + 1])


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", [QUARTERS, EIGHTHS, REMINDED], ids=["quarters", "eighths", "reminded"])
def test_the_contract(tokenizer):
    check_tokenizer(tokenizer, list(MUSIC.values()))
    check_grammar(tokenizer, rows=300)


@pytest.mark.parametrize("music", MUSIC.values(), ids=MUSIC)
@pytest.mark.parametrize(
    "spans",
    [
        [Span(0, ALWAYS)],
        [Span(QUARTER, 2 * QUARTER)],
        [Span(2 * QUARTER, BAR, 0)],
        [Span(0, QUARTER), Span(3 * QUARTER, 5 * QUARTER)],
    ],
    ids=str,
)
def test_what_is_given_is_kept(music, spans):
    check_fixed_notes(QUARTERS, music, spans)


def test_with_everything_given_only_the_score_itself_can_be_written():
    kept = QUARTERS.decode(QUARTERS.encode(RESTS))
    mask = QUARTERS.grammar.fix_notes(kept, [Span(0, ALWAYS)])
    (tokens,) = draw(QUARTERS, Request(bars=2), 1, mask=mask)
    assert np.array_equal(tokens, QUARTERS.encode(kept))


def test_a_pitch_out_of_reach_cannot_be_given():
    for pitch, said in ((12, "the fixed pitch 12 is too low"), (120, "the fixed pitch 120 is too high")):
        with pytest.raises(CannotExpress, match=said):
            QUARTERS.grammar.fix_notes(score(line((pitch, 1))), [Span(0, QUARTER)])
