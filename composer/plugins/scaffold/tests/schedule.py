"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import MyThing


def test_the_rate_is_halved_on_the_way() -> None:
    schedule = MyThing(halvings=2, warmup=0.0)
    assert [schedule.compute_rate(step, 300, 0.8) for step in (0, 99, 110, 250, 300)] == [0.8, 0.8, 0.4, 0.2, 0.2]
