"""What a user would notice of it; `--composer-contracts` checks the rest."""

from my_thing import MyThing


def test_its_width_makes_it_larger() -> None:
    small, large = (MyThing(width).build_module([13, 5], 13) for width in (4, 64))
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in large.parameters())
