"""Lookback: what stood at the same place some bars ago, in the inputs of any bar-wise tokenizer."""

import numpy as np
import pytest
from music import QUARTER, line, score

from composer.data.encoding import compute_inputs
from composer.errors import BadOption
from composer.plugins.registry import registry
from composer.testing import check_grammar, check_tokenizer
from composer_remi.tokenizer import Remi
from composer_voices.tokenizer import Voices

TUNE = Voices(names=("Tune",), lookback=(1, 2))
RELATIVE = Voices(names=("Tune",), relative=True, lookback=(1,))
RECALLING = Voices(names=("Tune",), recall=True)
THEME = ((60, 1), (62, 1), (64, 2), (65, 1), (67, 3))
"""Two bars."""


def read_columns(tokenizer, music, *names):
    """Return, for each token of a piece, its text and the values of the named columns, tokens as text."""
    tokens = tokenizer.encode(music)
    columns = {column.name: (place, column) for place, column in enumerate(tokenizer.grammar.columns)}
    (inputs,) = compute_inputs(tokenizer, [tokens])
    rows = []
    for token, row in zip(tokens.tolist(), inputs.tolist(), strict=True):
        shown = [
            tokenizer.vocabulary[row[place]] if column.tokens else row[place]
            for place, column in (columns[name] for name in names)
        ]
        rows.append((tokenizer.vocabulary[token], *shown))
    return rows


def cut_bars(rows, first, last=None):
    """Return the rows of the notes and moves after the bar line of bar `first`, up to that of bar `last`."""
    lines = [place for place, row in enumerate(rows) if row[0].startswith("Bar_")]
    return rows[lines[first] + 1 : None if last is None else lines[last]]


# --- what is told -----------------------------------------------------------------------------------------------------


def test_every_token_of_a_repeat_is_told_beforehand():
    rows = cut_bars(read_columns(TUNE, score(line(*THEME * 3)), "as 2 bars ago"), 2, 4)
    told = [(token, said) for token, said in rows if not token.startswith("Bar_")]
    assert [said for _, said in told] == [token for token, _ in told]
    assert {said for token, said in rows if token.startswith("Bar_")} == {"Bar_None"}
    assert len(told) == 10


def test_the_countdown_of_bar_lines_does_not_break_a_repeat():
    rows = read_columns(TUNE, score(line(*THEME * 3)), "as 2 bars ago", "for long as 2 bars ago")
    agreed = [length for _, _, length in cut_bars(rows, 3)]
    assert agreed == sorted(agreed)
    assert agreed[0] > 0


def test_a_run_ends_with_the_first_other_note_and_begins_anew():
    changed = ((60, 1), (62, 1), (71, 2), (65, 1), (67, 3))
    rows = cut_bars(read_columns(TUNE, score(line(*THEME, *changed)), "for long as 2 bars ago"), 2)
    after = [length for place, (_, length) in enumerate(rows) if place and rows[place - 1][0] == "Pitch_71"]
    assert after == [0]
    assert rows[-1][1] > 0


def test_places_are_compared_where_notes_were_added():
    ornamented = ((60, 0.5), (61, 0.5), (62, 1), (64, 2))
    rows = cut_bars(read_columns(TUNE, score(line((60, 1), (62, 1), (64, 2), *ornamented)), "as 1 bars ago"), 1)
    told = dict(rows)
    assert told["Pitch_62"] == "Pitch_62"
    assert told["Pitch_64"] == "Pitch_64"
    assert told["Pitch_61"] == "Position_8"  # nothing began there


def test_nothing_is_told_before_there_is_music_to_look_back_at():
    rows = read_columns(TUNE, score(line(*THEME, *THEME)), "as 2 bars ago")
    assert {told for _, told in rows[: rows.index(cut_bars(rows, 2)[0])]} == {"BOS_None"}


def test_bars_are_counted_from_the_pickup():
    upbeat = score(line((55, 1), *THEME[:2], (64, 1), (55, 1), *THEME[:2], (64, 2)), upbeat=QUARTER)
    rows = cut_bars(read_columns(TUNE, upbeat, "as 1 bars ago"), 2)
    assert [(token, told) for token, told in rows if token.startswith("Pitch")] == [
        (f"Pitch_{pitch}", f"Pitch_{pitch}") for pitch in (60, 62, 64)
    ]


def test_a_sequence_is_told_along_the_scale():
    sequence = score(line((60, 1), (62, 1), (64, 1), (60, 1), (62, 1), (64, 1), (65, 1), (62, 1)), key="C")
    rows = cut_bars(read_columns(RELATIVE, sequence, "moved as 1 bars ago"), 1)
    pitches = [(token, told) for token, told in rows if token.startswith("Tone")]
    assert pitches[1:] == [("Tone_64", "Tone_64"), ("Tone_65", "Tone_65"), ("Tone_62", "Tone_62")]


def test_a_sequence_in_minor_moves_along_the_minor_scale():
    sequence = score(line((60, 2), (62, 2), (63, 2), (65, 2)), key="Cm")
    rows = cut_bars(read_columns(RELATIVE, sequence, "moved as 1 bars ago"), 1)
    assert [row for row in rows if row[0].startswith("Tone")][1] == ("Tone_65", "Tone_65")


def test_music_that_is_denser_than_the_memory_is_unknown_and_costs_no_more():
    trill = score(line(*((60 + place % 2, 1 / 4) for place in range(5 * 16))))
    rows = read_columns(TUNE, trill, "as 1 bars ago", "as 2 bars ago")
    assert {told for *_, told in rows} == {"BOS_None"}
    assert "Pitch_61" in {told for _, told, _ in rows}


def test_a_repeat_at_any_distance_is_recalled():
    between = ((69, 4), (71, 2), (72, 2), (69, 4))
    rows = read_columns(RECALLING, score(line(*THEME, *between, *THEME, (72, 4))), "recalled", "match")
    repeated = cut_bars(rows, 5, 7)
    known = 1 + [token for token, *_ in repeated].index("Pitch_62")
    told = [(token, said) for token, said, _ in repeated[known:] if not token.startswith("Bar_")]
    assert told == [(token, token) for token, _ in told]
    assert len(told) == 6
    lengths = [match for *_, match in repeated[known:]]
    assert lengths == sorted(lengths)


def test_of_matches_of_one_length_the_latest_is_recalled():
    rows = read_columns(RECALLING, score(line((60, 2), (62, 2), (60, 2), (64, 2), (60, 2), (62, 2))), "recalled")
    assert [said for token, said in cut_bars(rows, 2) if token.startswith("Pitch")][1] == "Pitch_64"


def test_nothing_is_recalled_that_was_not_there():
    rows = read_columns(RECALLING, score(line((60, 1), (62, 2), (64, 1))), "recalled", "match")
    assert {match for *_, match in rows} == {0}
    assert {said for _, said, _ in rows} == {"BOS_None"}


# --- the contract -----------------------------------------------------------------------------------------------------

VARIANTS = {
    "four voices": Voices(lookback=(1, 2, 4)),
    "a relative tune": Voices(names=("Tune",), relative=True, lookback=(1, 8), recall=True, sections=True),
    "remi": Remi(lookback=(2, 1), recall=True),
    "recall alone": Voices(names=("Tune", "Bass"), recall=True),
}


@pytest.mark.parametrize("tokenizer", VARIANTS.values(), ids=VARIANTS)
def test_every_tokenizer_with_a_lookback_keeps_the_contract(tokenizer):
    check_tokenizer(tokenizer, [score(line(*THEME), *[line((48, 8))] * (1 < len(tokenizer.token_info.voices) < 5))])
    check_grammar(tokenizer, rows=30)


def test_without_a_lookback_inputs_are_what_they_were():
    plain, told = Voices(names=("Tune",)), TUNE
    music = score(line(*THEME))
    assert plain.grammar.columns == told.grammar.columns[: len(plain.grammar.columns)]
    before, after = (compute_inputs(kind, [kind.encode(music)])[0] for kind in (plain, told))
    assert np.array_equal(before, after[:, : before.shape[1]])
    assert plain.grammar.start.__func__.__qualname__.startswith("VoicesGrammar")


def test_the_state_does_not_grow_with_the_piece():
    short, long = (TUNE.encode(score(line(*THEME * times))) for times in (1, 200))
    assert TUNE.grammar.compute_states(short).shape[1] == TUNE.grammar.compute_states(long).shape[1]
    state = TUNE.grammar.compute_states(long)[-2:]
    assert TUNE.vocabulary[TUNE.grammar.make_inputs(state)[0, -3]] == TUNE.vocabulary[long[-2]]


@pytest.mark.parametrize("name", ["voices", "remi"])
@pytest.mark.parametrize(("lookback", "said"), [((0,), "from 1 to 32"), ((2, 2), "repeat"), ((99,), "from 1 to 32")])
def test_distances_that_cannot_be_had_are_refused(name, lookback, said):
    with pytest.raises(BadOption, match=said):
        registry().make("tokenizers", name, lookback=lookback)
