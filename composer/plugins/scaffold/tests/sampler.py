"""What a user would notice of it; `--composer-contracts` checks the rest."""

import numpy as np
from my_thing import MyThing

from composer.plugins.registry import registry
from composer.request import Request
from composer.sampling.batch_state import begin, build_context


def test_a_step_is_likelier_than_a_leap() -> None:
    sampler, tokenizer = MyThing(amount=0.5), registry().make("tokenizers", "voices", names=("Tune",))
    rows = begin(tokenizer, [sampler], [Request()])
    rows.recent_notes.pitch[:] = 60
    context = build_context(tokenizer, rows)
    logits = sampler(np.zeros((1, len(tokenizer.vocabulary))), context)[0]
    assert [logits[tokenizer.vocabulary.index(f"Pitch_{pitch}")] for pitch in (60, 62, 48)] == [0, -1, -6]
    assert logits[tokenizer.vocabulary.index("Rest_None")] == 0
