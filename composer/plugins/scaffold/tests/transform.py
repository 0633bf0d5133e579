"""What a user would notice of it; `--composer-contracts` checks the rest."""

import numpy as np
from my_thing import MyThing

from composer.testing.sequences import SAMPLES


def test_the_second_of_two_quavers_is_late() -> None:
    swung = MyThing(share=0.6)(SAMPLES["a tune with a rest"], np.random.default_rng(0))
    assert swung.tracks[0].notes["start"][:5].tolist() == [0, 480, 960, 1248, 1440]
