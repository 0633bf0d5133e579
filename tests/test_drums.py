"""Drums: what a drummer plays comes back, with loudness and timing, and nothing else may be written."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from music import BAR, QUARTER, drums, line, score, words

from composer.errors import BadOption, CannotExpress, ComposerError
from composer.generation import streaming
from composer.generation.composer import Composer
from composer.music.score import Score, Tempo, Track, make_notes
from composer.request import Request
from composer.testing import (
    check_fixed_notes,
    check_grammar,
    check_infilling,
    check_tokenizer,
    draw,
    make_random_model,
)
from composer.tokens.whole import make_piece_inputs
from composer.types import Span
from composer_drums.kit import CLASS_OF_SOUND, KIT
from composer_drums.tokenizer import Drums, make_beat

SIXTEENTH, TRIPLET, FINE = 120, 160, 5  # ticks
KICK, SNARE, CLOSED = 36, 38, 42


def play(*hits, tempo=120.0, **fields):
    """A score of (tick, sound, velocity)."""
    rows = sorted((tick, 20, sound, velocity) for tick, sound, velocity in hits)
    return Score((Track(make_notes(rows), is_drum=True),), tempos=(Tempo(0, tempo),), **fields)


def list_hits(music):
    return [(int(n["start"]), int(n["pitch"]), int(n["velocity"])) for n in music.tracks[0].notes]


def come_back(music, **options):
    tokenizer = Drums(**options)
    return list_hits(tokenizer.decode(tokenizer.encode(music)))


def list_pairs(music):
    return [(tick, sound) for tick, sound, _ in list_hits(music)]


def test_a_piece_reads_as_tempo_bars_rhythms_positions_and_hits():
    tokenizer = Drums()
    music = play((0, KICK, 100), (SIXTEENTH * 4 + 15, SNARE, 60), (SIXTEENTH * 4 - 10, CLOSED, 20), tempo=100.0)
    assert words(tokenizer, tokenizer.encode(music)) == (
        "TimeSignature_4/4 Key_C Upbeat_0 Tempo_99 Bar_1 Rhythm_0 Position_0 Drum_36 Velocity_100 "
        "Timing_0 Rhythm_0 Position_12 Drum_38 Velocity_60 Timing_3 Drum_42 Velocity_20 Timing_-2 "
        "Rhythm_None Rhythm_None EOS_None"
    )


def test_onsets_come_back_to_the_fine_step_and_loudness_to_the_degree():
    rng = np.random.default_rng(0)
    places = [position * SIXTEENTH for position in range(1, 60)]
    played = [(tick + int(rng.integers(-18, 19)), SNARE, int(rng.integers(1, 128))) for tick in places]
    found = come_back(play(*played))
    assert len(found) == len(played)
    for (tick, _, velocity), (there, _, loudness) in zip(played, found, strict=True):
        assert abs(there - tick) <= FINE / 2
        assert abs(loudness - velocity) <= 4


@pytest.mark.parametrize("width", [SIXTEENTH, TRIPLET])
def test_a_beat_has_16ths_or_triplets_whichever_its_hits_are_nearer_to(width):
    ticks = [*range(0, QUARTER, width), *range(QUARTER, 2 * QUARTER, SIXTEENTH)]
    early = play(*((max(tick - 15, 0), SNARE, 80) for tick in ticks))
    assert [tick for tick, *_ in come_back(early, fine_steps=0, velocities=0, tempos=0)] == ticks
    assert [tick for tick, *_ in come_back(early)] == [max(tick - 15, 0) for tick in ticks]


def test_a_single_hit_between_a_16th_and_a_triplet_is_a_16th():
    tokenizer = Drums()
    written = words(tokenizer, tokenizer.encode(play((0, KICK, 80), (3 * SIXTEENTH - 20, KICK, 80))))
    assert "Rhythm_09 Position_0 Drum_36 Velocity_84 Timing_0 Position_9 Drum_36 Velocity_84 Timing_-4" in written


def test_beats_without_triplets_have_16ths_alone():
    plain = Drums(triplets=False, fine_steps=0)
    assert "Position_4 " not in words(plain, plain.encode(play((TRIPLET, SNARE, 80)))) + " "
    tokenizer, odd = Drums(), play((TRIPLET, SNARE, 80), time_signatures=score(metres=((0, 7, 8),)).time_signatures)
    assert "Position_3 " in words(tokenizer, tokenizer.encode(odd))  # bars of 7/8 have 16ths alone


def test_a_hit_before_the_bar_line_belongs_to_the_bar_after_it():
    tokenizer, music = Drums(), play((0, KICK, 80), (BAR - 20, KICK, 80))
    assert "Bar_1 Rhythm_0 Position_0 Drum_36 Velocity_84 Timing_-4" in words(tokenizer, tokenizer.encode(music))
    assert list_pairs(tokenizer.decode(tokenizer.encode(music))) == [(0, KICK), (BAR - 20, KICK)]


def test_of_two_hits_of_a_class_at_a_position_the_louder_one_stays():
    assert come_back(play((0, SNARE, 30), (25, 40, 110), (25, KICK, 20))) == [(25, KICK, 20), (25, SNARE, 108)]


def test_each_sound_of_a_kit_is_read_as_its_class_and_sounds_without_one_are_dropped():
    sounds = [sound for drum in KIT for sound in (drum.sound, *drum.others)]
    assert len(sounds) == len(set(sounds)) == (CLASS_OF_SOUND >= 0).sum()
    assert set(range(35, 82)) - set(sounds) == set()  # all of General MIDI
    for drum in KIT:
        for sound in drum.others:
            assert come_back(play((0, sound, 80)))[0][1] == drum.sound
    assert come_back(play((0, KICK, 80), (QUARTER, 100, 80))) == [(0, KICK, 84)]


def test_the_table_of_the_guide_is_the_kit():
    guide = (Path(__file__).parents[1] / "datasets" / "README.md").read_text(encoding="utf-8")
    for drum in KIT:
        assert f"| {drum.name} | {drum.sound} | {', '.join(map(str, sorted(drum.others)))} |" in guide


@pytest.mark.parametrize("music", [score(line((60, 4))), play((0, 100, 80))], ids=["a tune", "no drum of a kit"])
def test_music_without_drums_is_refused_in_a_sentence(music):
    with pytest.raises(CannotExpress, match="contains no drums"):
        Drums().encode(music)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"velocities": 65}, "velocities must be"),
        ({"fine_steps": 100}, "fine_steps must be 0, 12"),
        ({"fine_steps": -12}, "fine_steps must be 0, 12"),
        ({"tempos": 1}, "tempos must be 0"),
        ({"lookback": (0,)}, "lookback must be from 1"),
        ({"time_signatures": ("5/64",)}, "no whole number of steps"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Drums(**options)


def test_a_requested_tempo_is_told_and_kept():
    tokenizer = Drums()
    for tokens in draw(tokenizer, Request(bars=1, tempo=200), 4):
        assert abs(tokenizer.decode(tokens).tempos[0].bpm / 200 - 1) < 0.04


def test_timing_and_loudness_may_be_left_out():
    found = come_back(play((0, KICK, 30), (SIXTEENTH + 15, SNARE, 120)), velocities=0, fine_steps=0)
    assert found == [(0, KICK, 80), (SIXTEENTH, SNARE, 80)]
    assert not {"Velocity", "Timing", "Tempo"} & set(Drums(velocities=0, fine_steps=0, tempos=0).token_info.kind)


VARIANTS = [
    {},
    {"velocities": 0, "fine_steps": 0, "tempos": 0, "lookback": (1,)},
    {"sections": True, "time_signatures": ("4/4", "7/8"), "fine_steps": 60, "triplets": False},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_every_choice_of_options_keeps_the_contract(options):
    tokenizer = Drums(**options)
    music = [make_beat(), score(drums((0, 38), (1, 36), (2.5, 42)), upbeat=QUARTER)]
    check_tokenizer(tokenizer, music)
    check_grammar(tokenizer, rows=8)
    check_infilling(tokenizer, music)


def test_what_is_fixed_goes_by_the_onset_also_within_the_cell_of_a_position():
    early, late = BAR - 20, BAR + 20  # both at the first position of the second bar
    music = play((0, KICK, 80), (early, SNARE, 80), (late, CLOSED, 80), (2 * BAR, KICK, 80))
    kept, pieces = check_fixed_notes(Drums(), music, [Span(0, BAR)], rows=8)
    assert list_pairs(kept)[:3] == [(0, KICK), (early, SNARE), (late, CLOSED)]
    for piece in pieces:
        assert [hit for hit in list_pairs(piece) if hit[0] < BAR] == [(0, KICK), (early, SNARE)]
    _, pieces = check_fixed_notes(Drums(), music, [Span(BAR, 10**9)], rows=8)
    for piece in pieces:
        assert [hit for hit in list_pairs(piece) if hit[0] >= BAR] == [(late, CLOSED), (2 * BAR, KICK)]


def test_a_stream_has_the_hits_that_come_before_their_bar_too(monkeypatch):
    tokenizer = Drums()
    ticks = [0, 900, BAR - 20, 2 * BAR - 60, 2 * BAR - 70, 3 * BAR + 10, 4 * BAR - 5, 5 * BAR - 200]
    tokens = tokenizer.encode(play(*((tick, KICK, 84) for tick in ticks)))
    monkeypatch.setattr(streaming, "stream_tokens", lambda *_: iter(tokens.tolist()))
    bars = list(streaming.stream_bars(SimpleNamespace(writing=tokenizer, tokenizer=tokenizer), Request()))
    streamed = sorted(event.tick for bar in bars for event in bar.events if event.velocity)
    assert streamed == sorted(tick for tick, *_ in list_hits(tokenizer.decode(tokens)))
    assert len(streamed) == len(ticks)


def test_a_track_that_does_not_exist_cannot_be_kept():
    with pytest.raises(BadOption, match="there is no track 3"):
        Drums().grammar.fix_notes(make_beat(), [Span(0, BAR, 3)])


# --- given music, and new drums around what is there ------------------------------------------------------------------


@pytest.fixture(scope="module")
def drummer():
    """A model of random weights."""
    return Composer(make_random_model("mingru", "drums", {"time_signatures": ("4/4",)}, hidden_size=16))


FEW = {"particles": 4, "seed": 1}


def list_rows(track):
    return track.notes.tolist()


def test_drums_follow_a_rhythm_and_the_tempo_and_what_is_given_stays(drummer):
    onsets = (0, 1.5, 2, 3.5, 4.75, 5, 8)
    riff = line(*((40, after - at) for at, after in pairwise(onsets)), (40, 3), name="Bass", program=33)
    given = replace(score(riff, line((52, 12), program=89), key="Em"), tempos=(Tempo(0, 96.0),))
    piece = drummer.accompany(given, **FEW)
    bass, pad, played = piece.score.tracks
    assert (list_rows(bass), list_rows(pad)) == (list_rows(given.tracks[0]), list_rows(given.tracks[1]))
    assert (bass.program, piece.score.tempos[0].bpm, str(piece.score.key_signatures[0].key)) == (33, 96.0, "Em")
    struck = played.notes["start"].astype(int)
    assert played.is_drum
    assert all(np.abs(struck - at * QUARTER).min() <= SIXTEENTH // 2 for at in onsets)
    assert struck.max() < 3 * BAR  # as long as what sounds
    heavy = struck[~np.isin(played.notes["pitch"], (CLOSED, 46, 51))]
    assert all(np.abs(heavy - at * QUARTER).min() <= SIXTEENTH // 2 for at in (0, 2, 3.5, 5, 8))  # the long notes
    assert list_rows(drummer.regenerate(piece).score.tracks[2]) == list_rows(played)


def test_cut_time_is_followed_as_four_quarters(drummer):
    drummer.model.card["metres"] = {"4/4": 1}
    given = score(line((60, 1), (62, 1), (64, 2), (65, 4)), metres=((0, 2, 2),))
    piece = drummer.accompany(given, **FEW)
    assert [str(metre) for metre in piece.score.time_signatures] == ["2/2"]
    struck = piece.score.tracks[1].notes["start"].astype(int)
    assert all(np.abs(struck - at * QUARTER).min() <= SIXTEENTH // 2 for at in (0, 1, 2, 4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (score(line()), "the music contains no notes"),
        (score(line((60, 4)), drums((0, 36))), "there are drums already"),
        (score(line((60, 3.5)), metres=((0, 7, 8),)), "no bars of 7/8; it has 4/4"),
    ],
)
def test_what_drums_cannot_follow_is_refused_in_a_sentence(drummer, given, message):
    with pytest.raises(ComposerError, match=message):
        drummer.accompany(given, **FEW)


def test_a_fill_leaves_other_bars_as_they_were_whatever_sounds_they_have_and_however_early(drummer):
    side, edge = 37, 22  # written as snare and closed hi-hat
    early = BAR - 2  # in the first bar, and nearest to a fine step of the second one
    given = play(
        (0, KICK, 91), (3, side, 92), (122, edge, 93), (240, CLOSED, 94), (early, KICK, 95), (2 * BAR, edge, 96)
    )
    piece = drummer.fill(given, bars="2", **FEW)
    outside = [hit for hit in list_hits(piece.score) if not BAR <= hit[0] < 2 * BAR]
    assert outside == list_hits(given)


def test_a_piece_that_ends_with_an_early_hit_can_be_filled(drummer):
    given = play((0, KICK, 91), (BAR, KICK, 92), (2 * BAR - 50, KICK, 93))
    piece = drummer.fill(given, bars="1", **FEW)
    assert [hit for hit in list_hits(piece.score) if hit[0] >= BAR] == list_hits(given)[1:]


def test_a_bar_with_other_loudness_and_timing_counts_as_the_same():
    def find_run(velocity, late):
        tokenizer = Drums(lookback=(1,), recall=True)
        again = [(BAR + 480 * beat + late, SNARE, velocity) for beat in range(4)]
        tokens = tokenizer.encode(play(*((480 * beat, SNARE, 40) for beat in range(4)), *again), ends=False)
        inputs = make_piece_inputs(tokenizer.grammar, tokens)
        names = [column.name for column in tokenizer.grammar.columns]
        return [int(inputs[-1, names.index(name)]) for name in ("for long as 1 bars ago", "match")]

    assert find_run(120, 10) == find_run(40, 0)
    assert min(find_run(120, 10)) >= 8  # 16 tokens and more
