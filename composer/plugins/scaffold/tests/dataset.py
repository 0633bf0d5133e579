"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import MyThing


def test_each_order_is_a_piece_of_its_own() -> None:
    changes = MyThing(rounds=1)
    pieces = [piece for source in changes.list_sources() for _, piece in changes.read(source)]
    assert len({tuple(piece.tracks[0].notes["pitch"]) for piece in pieces}) == 120


def test_the_label_is_the_bell_that_leads() -> None:
    (_, piece), *_ = MyThing().read("31245")
    assert piece.labels == (("lead", "3"),)
