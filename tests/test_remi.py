"""`remi`: what music of several parts looks like in tokens, what is kept of it, and what is kept when it is given."""

from dataclasses import replace

import numpy as np
import pytest
from music import ALWAYS, BAR, QUARTER, drums, line, notes, score, words

from composer.errors import BadOption, CannotExpress
from composer.music.score import Tempo, Track, make_notes
from composer.plugins.registry import registry
from composer.request import Request
from composer.testing import check_fixed_notes, check_grammar, check_tokenizer, draw
from composer.testing.grammars import find_counterpart, make_request
from composer.types import Span
from composer_remi.tokenizer import Remi

TUNE = Remi(programs=False, drums=False, velocities=0, tempos=0, steps_per_quarter=4)
BAND = Remi(steps_per_quarter=4)
FLUTE, VIOLIN = 73, 40

BAND_MUSIC = score(
    line(((48, 52, 55), 2), ((50, 53), 2), ((48, 52), 4), ((43, 59), 4), velocity=50),
    line((67, 2), (69, 2), (67, 3), (0, 1), (65, 4), program=VIOLIN),
    line((72, 1), (74, 1), (76, 2), (0, 2), (74, 1), (74, 1), (72, 4), program=FLUTE, velocity=110),
    drums(*[(beat, 36) for beat in range(12)], *[(beat, 42) for beat in range(12)]),
    tempos=(Tempo(0, 90.0), Tempo(BAR, 130.0)),
)


# --- what is written --------------------------------------------------------------------------------------------------


def test_a_tune_is_positions_pitches_and_durations():
    music = score(line((67, 1), (72, 1.5), (0, 0.5), (72, 1)), metres=((0, 3, 4),), upbeat=QUARTER)
    assert words(TUNE, TUNE.encode(music)) == (
        "TimeSignature_3/4 Key_C Upbeat_4 Bar_2 Position_8 Pitch_67 Duration_4 "
        "Bar_1 Position_0 Pitch_72 Duration_6 Position_8 Pitch_72 Duration_4 EOS_None"
    )


def test_a_position_holds_tempo_then_programs_from_the_lowest_then_drums_and_each_from_the_bottom():
    music = score(
        line(((67, 64), 4), program=FLUTE, velocity=110),
        drums((0, 42), (0, 36)),
        line((60, 2), (0, 1), (59, 1), program=VIOLIN),
        tempos=(Tempo(0, 90.0), Tempo(3 * QUARTER, 240.0)),
    )
    assert words(BAND, BAND.encode(music)) == (
        "TimeSignature_4/4 Key_C Upbeat_0 Bar_1 Position_0 Tempo_92 "
        "Program_40 Pitch_60 Velocity_88 Duration_8 "
        "Program_73 Pitch_64 Velocity_104 Duration_16 Pitch_67 Velocity_104 Duration_16 "
        "Program_-1 Drum_36 Velocity_88 Drum_42 Velocity_88 "
        "Position_12 Tempo_240 Program_40 Pitch_59 Velocity_88 Duration_4 EOS_None"
    )


def test_a_change_of_metre_stands_before_its_bar_and_a_note_sounds_across():
    music = score(line((60, 5), (62, 2)), metres=((0, 4, 4), (BAR, 3, 4)))
    assert words(TUNE, TUNE.encode(music)) == (
        "TimeSignature_4/4 Key_C Upbeat_0 Bar_2 Position_0 Pitch_60 Duration_20 "
        "TimeSignature_3/4 Bar_1 Position_4 Pitch_62 Duration_8 EOS_None"
    )


def test_a_score_that_says_no_tempo_has_the_one_of_midi():
    assert "Tempo_117" in words(BAND, BAND.encode(score(line((60, 1)))))  # the nearest to 120


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_band_comes_back_with_its_programs_drums_velocities_and_tempos():
    check_tokenizer(BAND, [BAND_MUSIC])
    kept = BAND.decode(BAND.encode(BAND_MUSIC))
    assert [(track.program, track.is_drum) for track in kept.tracks] == [
        (0, False),
        (VIOLIN, False),
        (FLUTE, False),
        (0, True),
    ]
    assert [notes(track) for track in kept.tracks[:3]] == [notes(track) for track in BAND_MUSIC.tracks[:3]]
    assert [n[::2] for n in notes(kept.tracks[3])] == [n[::2] for n in notes(BAND_MUSIC.tracks[3])]
    loudness = [int(np.unique(track.notes["velocity"])[0]) for track in kept.tracks]
    assert np.abs(np.array(loudness) - [50, 80, 110, 80]).max() <= 8
    assert [tempo.tick for tempo in kept.tempos] == [0, BAR]
    assert [tempo.bpm / 90 for tempo in kept.tempos] == pytest.approx([1, 130 / 90], rel=0.07)


def test_tracks_of_one_program_become_one_and_others_stay_apart():
    music = score(line((72, 4), program=FLUTE), line((48, 4), program=VIOLIN), line((60, 4), program=FLUTE))
    kept = BAND.decode(BAND.encode(music))
    assert [(track.program, notes(track)) for track in kept.tracks] == [
        (VIOLIN, [(0, 4, 48)]),
        (FLUTE, [(0, 4, 60), (0, 4, 72)]),
    ]


def test_without_programs_all_parts_become_one_and_without_drums_there_are_none():
    kept = Remi(programs=False, program=6, drums=False).decode(Remi(programs=False, drums=False).encode(BAND_MUSIC))
    assert [track.program for track in kept.tracks] == [6]
    assert kept.note_count == BAND_MUSIC.note_count - 24


def test_without_programs_drums_are_still_apart():
    kept = Remi(programs=False, program=VIOLIN).decode(Remi(programs=False, program=VIOLIN).encode(BAND_MUSIC))
    assert [(track.program, track.is_drum) for track in kept.tracks] == [(VIOLIN, False), (0, True)]


def test_a_note_that_is_struck_again_ends_there():
    twice = Track(make_notes([(0, 4 * QUARTER, 60, 80), (QUARTER, QUARTER, 60, 80)]))
    assert notes(TUNE.decode(TUNE.encode(score(twice))).tracks[0]) == [(0, 1, 60), (1, 1, 60)]


def test_of_two_notes_that_fall_together_the_longer_one_stays():
    both = Track(make_notes([(0, QUARTER, 60, 80), (3, 2 * QUARTER, 60, 80)]))
    assert notes(TUNE.decode(TUNE.encode(score(both))).tracks[0]) == [(0, 2, 60)]


@pytest.mark.parametrize(("quarters", "kept"), [(0.01, 0.25), (3.75, 3.75), (5.25, 5), (7.5, 7.5), (12, 8)])
def test_durations_are_exact_up_to_a_bar_then_shortened_to_half_quarters_and_never_more_than_eight(quarters, kept):
    found = TUNE.decode(TUNE.encode(score(line((60, quarters)))))
    assert notes(found.tracks[0]) == [(0, kept, 60)]


def test_a_piece_cut_short_in_a_note_is_without_that_note():
    tokens = TUNE.encode(score(line((60, 2), (62, 2))))
    until = words(TUNE, tokens).split().index("Pitch_62") + 1
    assert notes(TUNE.decode(tokens[:until]).tracks[0]) == [(0, 2, 60)]


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_pitch_out_of_reach_is_named_and_one_of_a_drum_is_none():
    with pytest.raises(CannotExpress, match="it has the pitch 20; there are tokens for 21 to 108"):
        BAND.encode(score(line((60, 1), (20, 1))))
    assert BAND.encode(score(drums((0, 20)))).size


def test_drums_alone_are_no_notes_for_a_tokenizer_without_drums():
    with pytest.raises(CannotExpress, match="contains no notes"):
        TUNE.encode(score(drums((0, 36))))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"velocities": 65}, "velocities must be from 0 to 64"),
        ({"tempos": 1}, "tempos must be 0, or from 2 to 64"),
        ({"lowest": 90, "highest": 80}, "lowest must not be above highest"),
        ({"longest_duration": 0}, "longest_duration must be from 1 to 1000"),
        ({"program": -1}, "from 0 to 127"),
        ({"steps_per_quarter": 7}, "must divide 480"),
    ],
)
def test_options_that_make_no_vocabulary_are_refused(options, said):
    with pytest.raises(BadOption, match=said):
        registry().make("tokenizers", "remi", **options)


# --- what is drawn ----------------------------------------------------------------------------------------------------

VARIANTS = {
    "a tune": TUNE,
    "no programs": Remi(programs=False, velocities=0),
    "no drums": Remi(drums=False, velocities=3, tempos=0, steps_per_quarter=2),
    "long notes on a coarse grid": Remi(steps_per_quarter=2, longest_duration=60, velocities=64, tempos=64),
}


@pytest.mark.parametrize("tokenizer", VARIANTS.values(), ids=VARIANTS)
def test_every_choice_of_options_keeps_the_contract(tokenizer):
    check_tokenizer(tokenizer, [score(line((60, 1), (0, 2), (62, 5)), line((55, 8)), upbeat=QUARTER)])
    check_grammar(tokenizer, rows=60)


def test_a_piece_drawn_in_one_metre_is_written_in_one_way_only():
    for tokens in draw(TUNE, Request(bars=4, time_signature="3/4"), 60):
        kept = TUNE.decode(tokens)
        if overlaps(kept) or kept.end < 4 * 3 * QUARTER:
            continue
        said = words(TUNE, tokens)
        assert words(TUNE, TUNE.encode(kept)) == said


def overlaps(music):
    """Whether a note is cut by the next of its pitch, or a bar at the end is empty."""
    rows = [row for track in music.tracks for row in notes(track)]
    ends = {(start + length, pitch) for start, length, pitch in rows}
    return any((start, pitch) in ends for start, _, pitch in rows)


def test_an_asked_tempo_is_in_force_from_beginning_to_end():
    for tokens in draw(BAND, Request(bars=4, tempo=100), 20):
        assert {tempo.bpm for tempo in BAND.decode(tokens).tempos} <= {104.0}


def test_no_note_of_a_drawn_piece_sounds_beyond_its_last_bar():
    for tokens in draw(TUNE, Request(bars=2, time_signature="4/4"), 60):
        assert TUNE.decode(tokens).end <= 2 * BAR + TUNE.decode(tokens).upbeat


# --- what a model and others are told ---------------------------------------------------------------------------------


def test_a_model_sees_the_program_the_last_sound_and_where_the_longest_note_ends():
    grammar, tokens = BAND.grammar, BAND.encode(score(line((60, 5), (62, 1), program=VIOLIN)))
    names = [column.name for column in grammar.columns]
    state, seen = grammar.start(Request(), 1), []
    for token in tokens:
        state = grammar.advance(state, np.array([token]))
        row = dict(zip(names, grammar.make_inputs(state)[0], strict=True))
        seen.append((BAND.vocabulary[row["program"]], BAND.vocabulary[row["sound"]], int(row["end"])))
    said = words(BAND, tokens).split()
    assert seen[said.index("Duration_20")] == ("Program_40", "Pitch_60", 20)
    assert seen[said.index("Bar_1")] == ("Program_40", "Pitch_60", 4)
    assert seen[said.index("Duration_4")] == ("Program_40", "Pitch_62", 8)


def test_facts_say_what_sounds_and_for_how_long():
    grammar, tokens = BAND.grammar, BAND.encode(score(line(((60, 64), 2), (67, 2), program=VIOLIN)))
    state, sounding = grammar.start(Request(), 1), {}
    for token in tokens:
        state = grammar.advance(state, np.array([token]))
        music = grammar.interpret(state)
        sounding[BAND.vocabulary[token]] = sorted(pitch for pitch in music.sounding[0].tolist() if pitch >= 0)
        if BAND.vocabulary[token] == "Program_40":
            assert music.voice[0] == VIOLIN
    assert sounding["Pitch_64"] == [60]
    assert sounding["Position_8"] == []
    assert sounding["EOS_None"] == [67]


# --- given notes ------------------------------------------------------------------------------------------------------

SPANS = {
    "one track": [Span(0, ALWAYS, 1)],
    "the drums": [Span(0, ALWAYS, 3)],
    "all but the flute": [Span(0, ALWAYS, track) for track in (0, 1, 3)],
    "all but the second bar": [Span(0, BAR), Span(2 * BAR, ALWAYS)],
    "off the grid": [Span(137, 1111), Span(1500, 1503), Span(2000, 2444, 2)],
    "everything": [Span(0, ALWAYS)],
    "nothing": [],
}


@pytest.mark.parametrize("spans", SPANS.values(), ids=SPANS)
def test_given_notes_are_kept_whole_and_there_is_always_a_way_on(spans):
    kept, pieces = check_fixed_notes(BAND, BAND_MUSIC, spans, rows=8)
    for found in pieces:
        for span in spans:
            for track in range(4) if span.track is None else [span.track]:
                assert struck(find_counterpart(kept, found, track), span) == struck(kept.tracks[track], span)


def struck(track, span):
    """Start, pitch and velocity of every note that begins in the span."""
    inside = track.notes[(track.notes["start"] >= span.start) & (track.notes["start"] < span.end)]
    return [(int(n["start"]), int(n["pitch"]), int(n["velocity"])) for n in inside]


def test_with_everything_given_only_the_score_itself_can_be_written():
    given = BAND.grammar.fix_notes(BAND_MUSIC, [Span(0, ALWAYS)])
    for tokens in draw(BAND, make_request(BAND_MUSIC), 3, mask=given):
        assert words(BAND, tokens) == words(BAND, BAND.encode(BAND_MUSIC))


def test_a_given_note_that_is_longer_than_the_piece_is_shortened():
    given = TUNE.grammar.fix_notes(score(line((60, 2), (62, 6))), [Span(0, BAR)])
    for tokens in draw(TUNE, Request(bars=1, time_signature="4/4"), 3, mask=given):
        assert notes(TUNE.decode(tokens).tracks[0]) == [(0, 2, 60), (2, 2, 62)]


def test_a_track_that_is_not_there_cannot_be_given():
    with pytest.raises(BadOption, match="no track 7 to keep; the tracks are 0 to 3"):
        BAND.grammar.fix_notes(BAND_MUSIC, [Span(0, BAR, 7)])


# --- named parts ------------------------------------------------------------------------------------------------------

DUO = Remi(parts=("Voice=52", "Piano=0"), drums=False, velocities=0, tempos=0, steps_per_quarter=4)
SONG = score(line((67, 2), (69, 2), name="Voice", program=52), line(((48, 52), 4), name="Piano"))


def test_parts_are_written_in_their_order_and_all_come_back_by_name():
    check_tokenizer(DUO, [SONG])
    assert words(DUO, DUO.encode(SONG)) == (
        "TimeSignature_4/4 Key_C Upbeat_0 Bar_1 Position_0 Part_0 Pitch_67 Duration_8 "
        "Part_1 Pitch_48 Duration_16 Pitch_52 Duration_16 Position_8 Part_0 Pitch_69 Duration_8 EOS_None"
    )
    assert DUO.decode(DUO.encode(SONG)).tracks == SONG.tracks
    alone = DUO.decode(DUO.encode(score(SONG.tracks[0])))
    assert [(track.name, track.program, len(track.notes)) for track in alone.tracks] == [
        ("Voice", 52, 2),
        ("Piano", 0, 0),
    ]


@pytest.mark.parametrize(
    ("tracks", "parts"),
    [
        ([("Piano", 0), ("Voice", 52)], ["Piano", "Voice"]),  # by name
        ([("Melody", 0), ("Piano", 0)], ["Voice", "Piano"]),  # in order, as many as there are parts
        ([("Soprano", 52), ("Alto", 52), ("Klavier", 0)], ["Voice", "Voice", "Piano"]),  # by program
        ([("Oboe", 68), ("Soprano", 52), ("Klavier", 0)], ["Voice", "Voice", "Piano"]),  # the first, if there is none
    ],
)
def test_a_track_is_of_the_part_of_its_name_its_place_or_its_program(tracks, parts):
    music = score(*(line((60 + n, 4), name=name, program=program) for n, (name, program) in enumerate(tracks)))
    found = DUO.decode(DUO.encode(music)).tracks
    assert [next(t.name for t in found if 60 + n in t.notes["pitch"]) for n in range(len(tracks))] == parts


def test_two_parts_of_one_program_stay_apart_and_a_fixed_one_keeps_its_notes():
    violins = Remi(parts=("Violin 1=40", "Violin 2=40"), drums=False, steps_per_quarter=4)
    music = score(line((72, 4), program=40), line((60, 2), (62, 2), program=40))
    check_tokenizer(violins, [music])
    check_fixed_notes(violins, music, [Span(0, ALWAYS, 0)])
    assert [track.notes["pitch"].tolist() for track in violins.decode(violins.encode(music)).tracks] == [[72], [60, 62]]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (("Voice",), "'Voice' is no part; give a name and a program from 0 to 127, such as Voice=52"),
        (("Voice=200",), "is no part"),
        (("Voice=52", "voice=0"), "parts must have different names"),
    ],
)
def test_wrong_parts_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Remi(parts=parts)


def test_a_model_that_is_told_the_harmony_sees_the_outer_notes_and_the_degrees_above_the_tonic():
    told = replace(DUO, harmony=True, longest_duration=4)
    music = score(line((66, 1), (69, 2), name="Voice"), line(((50, 57), 2), (52, 1), name="Piano"), key="D")
    tokens = told.encode(music)
    inputs = told.grammar.make_inputs(told.grammar.compute_states(tokens))
    names = [column.name for column in told.grammar.columns]
    (at,) = np.flatnonzero(tokens == told.vocabulary.index("Pitch_69"))
    seen = dict(zip(names, inputs[at].tolist(), strict=True))
    assert [told.vocabulary[seen[name]] for name in ("lowest", "highest")] == ["Pitch_50", "Pitch_57"]
    assert [degree for degree in range(12) if seen[f"degree {degree}"]] == [0, 7]
    check_grammar(told, rows=30)
