"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import MyThing

from composer.testing import make_random_model


def test_it_is_for_the_processor_and_chosen_by_name_alone() -> None:
    model = make_random_model("gru", "voices", hidden_size=8, layers=1)
    assert MyThing().supports(model, "cpu")
    assert not MyThing().supports(model, "cuda")
    assert MyThing.speed < 0
