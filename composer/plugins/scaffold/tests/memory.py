"""What a user would notice of it; `--composer-contracts` checks the rest."""

from dataclasses import replace

import numpy as np
from my_thing import MyThing

from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.batch_state import begin, build_context
from composer.types import Drawn


def test_what_has_sounded_is_less_likely() -> None:
    sampler, tokenizer = MyThing(amount=0.5), registry().make("tokenizers", "voices", names=("Tune",))
    context = build_context(tokenizer, begin(tokenizer, [sampler], [Request()]))
    low, high, other = (tokenizer.vocabulary.index(f"Pitch_{pitch}") for pitch in (60, 72, 61))
    drawn = Drawn(np.array([low]), np.array([True]), np.zeros(1), np.zeros(1))
    heard = replace(context, memory=sampler.update_memory(context, drawn))
    logits = sampler(np.zeros((1, len(tokenizer.vocabulary))), heard)[0]
    assert logits[[low, high, other]].tolist() == [-0.5, -0.5, 0]
