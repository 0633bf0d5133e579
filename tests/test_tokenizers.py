"""Every tokenizer that is registered keeps its contract, and small scores come back from it."""

import pytest
from music import BAR, QUARTER, line, score

from composer.errors import BadOption, CannotExpress
from composer.music.score import Track, compute_bars, make_notes
from composer.plugins.registry import registry
from composer.request import Request
from composer.testing import check_grammar, check_tokenizer

TOKENIZERS = [
    name
    for name in registry().list_names("tokenizers")
    if name not in ("frames", "drums", "leadsheet")
    and not name.startswith("miditok-")  # no rhythm, no keys, no upbeats, no pitches or no second part
]
SCORES = {
    "a scale": score(line((60, 1), (62, 1), (64, 1), (65, 1), (67, 4))),
    "an upbeat": score(line((67, 1), (72, 2), (71, 1), (72, 3)), upbeat=QUARTER, key="Dm"),
    "an upbeat in another place of the bar": score(line((67, 0.5), (72, 3), (71, 3)), metres=((0, 3, 4),), upbeat=240),
    "an upbeat of silence": score(line((72, 3)), line((48, 4), start=QUARTER), upbeat=QUARTER),
    "4/4, then 3/4": score(line((60, 4), (62, 3), (64, 1), (65, 2)), metres=((0, 4, 4), (BAR, 3, 4))),
    "6/8, then 2/4, then 6/8": score(
        line((60, 1.5), (62, 1.5), (64, 2), (65, 3)), metres=((0, 6, 8), (1440, 2, 4), (2400, 6, 8))
    ),
    "a note over three bar lines": score(line((60, 2), (64, 14), (60, 1))),
    "rests": score(line((0, 1), (60, 1), (0, 2), (0, 3), (64, 0.5), (0, 0.5), (62, 2))),
    "repeated notes": score(line(*[(60, 0.5)] * 8, (60, 2), (60, 2))),
    "an empty bar": score(line((60, 4), (0, 4), (62, 4))),
    "a last bar that is not full": score(line((60, 4), (62, 1))),
    "two parts": score(line((72, 1), (74, 1), (0, 1), (76, 1)), line((48, 2), (0, 1), (50, 2), (52, 3))),
    "sixteenths": score(line(*[(60 + n, 0.25) for n in range(16)])),
}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return registry().make("tokenizers", request.param)


def test_the_tokenizers_of_this_project_are_registered():
    assert {"voices", "remi"} <= set(TOKENIZERS)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_is_kept(tokenizer, name):
    check_tokenizer(tokenizer, [SCORES[name]])
    kept = tokenizer.decode(tokenizer.encode(SCORES[name]))
    assert onsets(kept) == onsets(SCORES[name])
    assert (kept.upbeat, kept.time_signatures, kept.key_signatures) == (
        SCORES[name].upbeat,
        SCORES[name].time_signatures,
        SCORES[name].key_signatures,
    )
    assert kept.end == SCORES[name].end


def onsets(music):
    return sorted((int(n["start"]), int(n["pitch"])) for track in music.tracks for n in track.notes)


@pytest.mark.uncounted
def test_a_thousand_random_pieces_keep_the_contract(tokenizer):
    check_grammar(tokenizer, rows=1000)


def test_a_score_without_notes_is_refused_in_a_sentence(tokenizer):
    with pytest.raises(CannotExpress, match="contains no notes"):
        tokenizer.encode(score(Track(make_notes([]))))


def test_a_metre_that_has_no_tokens_is_named(tokenizer):
    with pytest.raises(CannotExpress, match="no bars of 11/8"):
        tokenizer.encode(score(line((60, 1)), metres=((0, 11, 8),)))


def test_a_bar_that_is_cut_short_is_named(tokenizer):
    with pytest.raises(CannotExpress, match="bar 2 is not a whole bar of 4/4"):
        tokenizer.encode(score(line(*[(60, 4)] * 3), metres=((0, 4, 4), (BAR + QUARTER, 3, 4))))


def test_a_pitch_that_has_no_token_is_named(tokenizer):
    with pytest.raises(CannotExpress, match="pitch 7;"):
        tokenizer.encode(score(line((60, 1), (7, 1))))


def test_a_silence_of_minutes_is_refused(tokenizer):
    with pytest.raises(CannotExpress, match=r"nothing begins for \d+ bars"):
        tokenizer.encode(score(line((60, 4), (0, 399), (60, 1))))


def test_an_asked_metre_without_tokens_is_refused(tokenizer):
    with pytest.raises(BadOption, match="no bars of 11/8"):
        tokenizer.grammar.start(Request(time_signature="11/8"), 1)


def test_the_last_bar_is_whole_though_the_metre_changes_after_it():
    music = score(line((60, 1)), metres=((0, 4, 4), (BAR, 3, 4), (3 * BAR, 2, 4)))
    assert compute_bars(music).starts.tolist() == [0, BAR]
    assert compute_bars(music, BAR + 1).starts.tolist() == [0, BAR, BAR + 1440]
    assert compute_bars(music, 3 * BAR).starts.tolist() == [0, BAR, BAR + 1440, BAR + 2880, 3 * BAR]
