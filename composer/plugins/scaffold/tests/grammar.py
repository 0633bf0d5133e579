"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import MyThing

from composer.testing.sequences import SAMPLES


def test_drums_of_one_position_rise() -> None:
    tokenizer = MyThing()
    tokens = tokenizer.encode(SAMPLES["a tune with drums"])
    written = " ".join(tokenizer.vocabulary[token] for token in tokens[4:11])
    assert written == "Position_0 Drum_36 Drum_42 Position_2 Drum_42 Position_4 Drum_38"


def test_drums_come_back_with_their_onsets_and_nothing_else_does() -> None:
    score = SAMPLES["a tune with drums"]
    (drums,) = (track.notes for track in score.tracks if track.is_drum)
    (found,) = (track.notes for track in MyThing().decode(MyThing().encode(score)).tracks)
    assert sorted(found[["start", "pitch"]].tolist()) == sorted(drums[["start", "pitch"]].tolist())
