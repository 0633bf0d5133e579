"""What a user would notice of it; `--composer-contracts` checks the rest, and runs it on every backend."""

import numpy as np
from my_thing import MyThing, update


def test_its_width_makes_it_larger() -> None:
    small, large = (MyThing(width).build_module([13, 5], 13) for width in (4, 64))
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in large.parameters())


def test_a_closed_gate_keeps_the_state() -> None:
    closed, state = np.array([[-1000.0, 0.0]]), np.array([[0.25]])
    assert update(closed, closed, (state,))[0] == 0.25
