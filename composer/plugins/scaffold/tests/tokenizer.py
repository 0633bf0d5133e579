"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import MyThing

from composer.testing.sequences import SAMPLES


def test_of_four_parts_the_highest_is_written() -> None:
    tokenizer = MyThing()
    (line,) = tokenizer.decode(tokenizer.encode(SAMPLES["four parts"])).tracks
    assert line.notes["pitch"].tolist() == [72, 72]
