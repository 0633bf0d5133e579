"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import my_thing

from composer.metrics.score_view import view_score
from composer.testing.sequences import SAMPLES


def test_one_note_of_eight_is_off_the_beat() -> None:
    metric = my_thing()
    assert metric.value is not None
    assert metric.value(metric.count(view_score(SAMPLES["a tune with a rest"])).sum(axis=0)) == 12.5
