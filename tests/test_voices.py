"""`voices`: what a score of single lines looks like in tokens, what is refused, and what is kept when it is given."""

import numpy as np
import pytest
from music import ALWAYS, BAR, QUARTER, line, notes, score, words

from composer.data.encoding import compute_inputs
from composer.errors import BadOption, CannotExpress
from composer.music.score import compute_bars
from composer.plugins.registry import registry
from composer.request import Request
from composer.testing import check_fixed_notes, check_grammar, draw
from composer.testing.grammars import make_request
from composer.types import Span
from composer_voices.tokenizer import Voices

DUET = Voices(names=("High", "Low"), steps_per_quarter=4)
CHOIR = Voices(steps_per_quarter=2)


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_frame_says_what_every_voice_does_and_stands_only_where_something_happens():
    music = score(line((72, 1), (72, 1), (0, 1), (74, 1)), line((48, 3), (0, 1)))
    assert words(DUET, DUET.encode(music)) == (
        "TimeSignature_4/4 Key_C Upbeat_0 Bar_1 "
        "Position_0 Pitch_72 Pitch_48 "
        "Position_4 Pitch_72 Hold_None "
        "Position_8 Rest_None Hold_None "
        "Position_12 Pitch_74 Rest_None EOS_None"
    )


def test_an_upbeat_is_the_end_of_a_bar():
    music = score(line((67, 1), (72, 4)), metres=((0, 4, 4),), upbeat=QUARTER, key="Am")
    assert words(DUET, DUET.encode(music)) == (
        "TimeSignature_4/4 Key_Am Upbeat_4 Bar_2 Position_12 Pitch_67 Hold_None Bar_1 Position_0 Pitch_72 Hold_None "
        "EOS_None"
    )


def test_a_change_of_metre_stands_before_its_bar_and_a_note_is_held_across():
    music = score(line((60, 5), (62, 2)), metres=((0, 4, 4), (BAR, 3, 4)))
    assert words(DUET, DUET.encode(music)) == (
        "TimeSignature_4/4 Key_C Upbeat_0 Bar_2 Position_0 Pitch_60 Hold_None "
        "TimeSignature_3/4 Bar_1 Position_4 Pitch_62 Hold_None EOS_None"
    )


def test_the_last_eight_bars_are_counted_down():
    music = score(line(*[(60, 4)] * 10))
    said = words(DUET, DUET.encode(music)).split()
    assert [word for word in said if word.startswith("Bar")] == (
        ["Bar_None"] * 2 + [f"Bar_{left}" for left in range(8, 0, -1)]
    )


def test_an_open_piece_says_nothing_of_its_end():
    music = score(line((60, 4), (62, 4)))
    assert words(DUET, DUET.encode(music, ends=False)) == (
        "TimeSignature_4/4 Key_C Upbeat_0 Bar_None Position_0 Pitch_60 Hold_None Bar_None Position_0 Pitch_62 Hold_None"
    )


def test_a_key_that_is_not_written_is_estimated():
    scale = score(line(*[(pitch, 1) for pitch in (62, 64, 65, 67, 69, 70, 73, 74)]))
    bare = type(scale)(scale.tracks)
    assert "Key_Dm" in words(DUET, DUET.encode(bare)).split()


def test_chords_in_one_track_are_taken_apart_from_the_top():
    found = DUET.decode(DUET.encode(score(line(((60, 64), 2), ((59, 62), 2)))))
    assert [notes(track) for track in found.tracks] == [[(0, 2, 64), (2, 2, 62)], [(0, 2, 60), (2, 2, 59)]]


def test_a_piece_that_is_cut_short_in_a_frame_counts_as_far_as_it_goes():
    tokens = DUET.encode(score(line((72, 2), (74, 2)), line((48, 2), (50, 2))))
    until = words(DUET, tokens).split().index("Pitch_74") + 1
    found = DUET.decode(tokens[:until])
    assert [notes(track)[0] for track in found.tracks] == [(0, 2, 72), (0, 2.25, 48)]


# --- what a model is told ---------------------------------------------------------------------------------------------


def told(tokenizer, music, *columns):
    """Each token of a piece with what the model is told, in these columns, when it is to predict it."""
    tokens = tokenizer.encode(music)
    (inputs,) = compute_inputs(tokenizer, [tokens])
    places = [[column.name for column in tokenizer.grammar.columns].index(name) for name in columns]
    return [(tokenizer.vocabulary[token], *map(int, row[places])) for token, row in zip(tokens, inputs, strict=True)]


def test_a_model_is_told_the_upbeat_and_what_is_left_of_the_last_bar():
    music = score(line((67, 1), (72, 4), (72, 1), (71, 1), (72, 1)), upbeat=QUARTER)
    assert told(DUET, music, "upbeat", "left")[-15:-5] == [
        ("Hold_None", 4, 0),
        ("Bar_1", 4, 0),
        ("Position_0", 4, 12),
        ("Pitch_72", 4, 12),
        ("Hold_None", 4, 12),
        ("Position_4", 4, 12),
        ("Pitch_71", 4, 8),
        ("Hold_None", 4, 8),
        ("Position_8", 4, 8),
        ("Pitch_72", 4, 4),
    ]


def test_a_model_is_told_which_pitch_would_be_in_parallel():
    music = score(line((67, 1), (69, 1), (69, 1)), line((60, 1), (62, 1), (64, 1)))
    named = {
        (token, DUET.vocabulary[parallel])
        for token, parallel in told(DUET, music, "parallel with voice 1")
        if DUET.vocabulary[parallel] != "BOS_None"
    }
    assert named == {("Pitch_62", "Pitch_62")}  # a fifth moves up; later the upper voice only repeats its note


@pytest.mark.parametrize(("relative", "key", "home"), [(True, "Key_Cm", [2]), (False, "Key_Dm", [])])
def test_a_model_is_told_degrees_and_the_key_in_which_it_reads(relative, key, home):
    tokenizer = Voices(names=("High", "Low"), steps_per_quarter=4, relative=relative)
    music = score(line((69, 1), (0, 1), (74, 2)), line((50, 4)), key="Dm")
    columns = ["key", "degree of voice 1", "degree of voice 2", *(["home"] if relative else [])]
    found, *after = [row for row in told(tokenizer, music, *columns) if row[0] in ("Position_4", "EOS_None")]
    keys = tokenizer.vocabulary.index(key)
    assert found == ("Position_4", keys, 7, 0, *home)
    assert after == [("EOS_None", keys, 0, 0, *home)]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_chords_in_one_of_several_parts_are_refused_by_name():
    with pytest.raises(CannotExpress, match="the part 'Piano' holds chords"):
        DUET.encode(score(line((72, 1), name="Flute"), line(((60, 64), 1), name="Piano")))


def test_too_many_parts_are_refused():
    with pytest.raises(CannotExpress, match="3 parts, and at most 2 voices"):
        DUET.encode(score(*[line((60, 1))] * 3))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": ()}, "1 to 16 voices"),
        ({"lowest": 90, "highest": 80}, "lowest must not be above highest"),
        ({"steps_per_quarter": 7}, "must divide 480"),
        ({"steps_per_quarter": 1}, "no whole number of steps"),
        ({"time_signatures": ()}, "at least one"),
        ({"time_signatures": ("4/4", "4/4")}, "none twice"),
        ({"time_signatures": ("4/5",)}, "not a time signature"),
        ({"program": 128}, "from 0 to 127"),
    ],
)
def test_options_that_make_no_vocabulary_are_refused(options, said):
    with pytest.raises(BadOption, match=said):
        registry().make("tokenizers", "voices", **options)


# --- pieces that go on from a primer ----------------------------------------------------------------------------------


def test_after_a_long_held_note_as_many_bars_follow_as_were_asked_for():
    primer = score(line((60, 10)))  # two bars and a half, of which only the first is in the tokens
    request = Request(bars=3, primer=tuple(DUET.encode(primer, ends=False).tolist()), primer_ticks=primer.end)
    for tokens in draw(DUET, request, 20):
        assert words(DUET, tokens).count("Bar_") == 3 + 3
        assert words(DUET, tokens).split()[: len(request.primer) + 3][-3:] == ["Bar_5", "Bar_4", "Position_8"]


# --- given notes ------------------------------------------------------------------------------------------------------

CHORALE = score(
    line((72, 1), (74, 1), (76, 2), (74, 2), (74, 2), (72, 6), (71, 2), (72, 2), (72, 2)),
    line((67, 2), (69, 2), (67, 4), (0, 1), (65, 3), (64, 4), (64, 4)),
    line((60, 4), (59, 8), (60, 1), (0, 3), (60, 4)),
    line((48, 1), (50, 1), (52, 1), (53, 1), (43, 4), (0, 8), (48, 4)),
)
UPBEAT = score(
    line((72, 1), (74, 1), (76, 2), (74, 3)),
    line((0, 1), (60, 3), (0, 2), (62, 1)),
    metres=((0, 3, 4),),
    upbeat=QUARTER,
)
METRES = score(line((60, 1.5), (62, 1.5), (64, 2), (65, 3)), metres=((0, 6, 8), (1440, 2, 4), (2400, 6, 8)))
SPANS = {
    "one voice": [Span(0, ALWAYS, 0)],
    "the last voice": [Span(0, ALWAYS, 3)],
    "three voices": [Span(0, ALWAYS, voice) for voice in (0, 1, 3)],
    "the three lower voices": [Span(0, ALWAYS, voice) for voice in (1, 2, 3)],
    "all but the second bar": [Span(0, BAR), Span(2 * BAR, ALWAYS)],
    "all but the second bar of the alto": [
        *(Span(0, ALWAYS, voice) for voice in (0, 2, 3)),
        *(Span(0, BAR, 1), Span(2 * BAR, ALWAYS, 1)),
    ],
    "from within a bar to within another": [Span(700, 2500)],
    "off the grid": [Span(137, 1111), Span(1500, 1503), Span(2000, 2444, 2)],
    "here and there": [Span(130, 2500, 1), Span(3000, 3333, 2), Span(3000, 5000, 0)],
    "everything": [Span(0, ALWAYS)],
    "nothing": [],
}


@pytest.mark.parametrize("spans", SPANS.values(), ids=SPANS)
@pytest.mark.parametrize("music", [CHORALE, UPBEAT, METRES], ids=["chorale", "upbeat", "metres"])
def test_given_voices_are_kept_and_there_is_always_a_way_on(music, spans):
    kept, pieces = check_fixed_notes(CHOIR, music, spans, rows=30)
    for found in pieces:
        for span in spans:
            for voice in range(4) if span.track is None else [span.track]:
                assert sounding(found.tracks[voice], span, kept.end) == sounding(kept.tracks[voice], span, kept.end)


def sounding(track, span, end, step=240):
    """The pitch that sounds at each step of the span; 0 for none."""
    pitches = np.zeros(end // step + 1, dtype=int)
    for note in track.notes:
        pitches[note["start"] // step : (note["start"] + note["duration"]) // step] = note["pitch"]
    return pitches[-(-span.start // step) : min(-(-span.end // step), end // step)].tolist()


def test_with_everything_given_only_the_score_itself_can_be_written():
    given = CHOIR.grammar.fix_notes(CHORALE, [Span(0, ALWAYS)])
    for tokens in draw(CHOIR, make_request(CHORALE), 5, mask=given):
        assert words(CHOIR, tokens) == words(CHOIR, CHOIR.encode(CHORALE))


def test_a_piece_without_a_length_does_not_end_before_what_is_given():
    given = CHOIR.grammar.fix_notes(CHORALE, [Span(3 * BAR, 4 * BAR, 1)])
    for tokens in draw(CHOIR, Request(most_bars=20), 30, mask=given):
        found = CHOIR.decode(tokens)
        assert len(compute_bars(found).signatures) >= 4
        fourth = Span(3 * BAR, 4 * BAR)
        assert sounding(found.tracks[1], fourth, 4 * BAR) == sounding(CHORALE.tracks[1], fourth, 4 * BAR)


def test_a_voice_that_is_not_there_cannot_be_given():
    with pytest.raises(BadOption, match="no track 4 to keep; the tracks are 0 to 3"):
        CHOIR.grammar.fix_notes(CHORALE, [Span(0, BAR, 4)])


@pytest.mark.parametrize("voices", [1, 2, 7])
def test_any_number_of_voices_keeps_the_contract(voices):
    check_grammar(Voices(names=tuple(f"voice {v}" for v in range(voices)), steps_per_quarter=2), rows=60)


def test_a_pitch_out_of_reach_is_named_as_it_sounds():
    in_d = score(line((86, 1), (90, 1), (93, 1), (86, 1)), key="D")
    with pytest.raises(CannotExpress, match=r"Soprano has the pitch 90; there are tokens for 50 to 88 in its key\."):
        Voices(relative=True, lowest=48, highest=86).encode(in_d)


def test_each_voice_may_have_a_program_of_its_own():
    duo = Voices(names=("Violin", "Violoncello"), voice_programs=(40, 42), steps_per_quarter=4)
    music = score(line((72, 4), program=40), line((48, 4), program=42))
    assert [track.program for track in duo.decode(duo.encode(music)).tracks] == [40, 42]
    with pytest.raises(ValueError, match="voice_programs must have one for each of the names"):
        Voices(voice_programs=(40,))
