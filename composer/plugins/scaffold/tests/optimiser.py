"""What a user would notice of it; `--composer-contracts` checks the rest."""

import torch
from my_thing import MyThing


def test_a_weight_without_use_decays() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    optimiser = MyThing(weight_decay=0.5).build([weight], learning_rate=0.1)
    weight.grad = torch.zeros(2, 2)
    optimiser.step()
    assert weight.flatten().tolist() == [torch.tensor(0.95).item()] * 4
