"""What a user would notice of it; `--composer-contracts` checks the rest."""

import pytest
import torch
from my_thing import MyThing


def test_a_token_that_is_predicted_well_counts_for_less() -> None:
    logits, targets = torch.tensor([[3.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 0])
    plain, focal = MyThing(gamma=0.0)(logits, targets), MyThing(gamma=2.0)(logits, targets)
    assert (focal / plain).tolist() == pytest.approx([0.00225, 0.9074], rel=1e-3)
