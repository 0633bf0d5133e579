"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import MyThing

from composer.testing.sequences import SAMPLES


def test_four_quarters_are_too_long_for_a_breath_of_three() -> None:
    tune = SAMPLES["a tune with a rest"]
    assert MyThing(quarters=3)(tune) == "sounds 4 quarters without a rest"
    assert MyThing(quarters=4)(tune) == ""
