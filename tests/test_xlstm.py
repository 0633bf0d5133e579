"""xLSTM of a package that others maintain: ours computes the same, and theirs is an architecture in forty lines.

The forty lines are in `third_party/composer_xlstm_large.py`.
"""

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("xlstm")
sys.path.append(str(Path(__file__).parent / "third_party"))

from composer_xlstm_large import XLSTM
from xlstm.blocks.mlstm.backends import parallel_stabilized_simple
from xlstm.blocks.slstm.src.vanilla.slstm import slstm_forward_pointwise

from composer.testing import check_architecture
from composer.training.loop import Settings, train
from composer_xlstm import mlstm, slstm

SMALL = XLSTM(width=16, heads=2, blocks=2)


def test_it_keeps_the_contract():
    check_architecture(SMALL)


def test_it_learns(corpus, tokenizer):
    settings = Settings(steps=30, evaluations=3, batch_size=8, chunk=64, learning_rate=1e-2, average=0.5)
    history = train(corpus, tokenizer, SMALL, settings).history
    assert history[-1].valid < history[0].valid


def test_our_matrix_memory_reads_what_theirs_does():
    torch.manual_seed(0)
    mixer, places = mlstm.MatrixMixer(8, 2, 1.0), 40
    queries, keys, values = torch.randn(3, 3, 2, places, 8)  # (rows, heads, places, size) each
    log_input, forget = 3 * torch.randn(2, 3, 2, places)
    flat = (of.transpose(1, 2).flatten(2) for of in (queries, keys, values))
    _, memory, most = mixer.begin(torch.zeros(3, 1))
    found, *_ = mixer._remember(*flat, log_input, forget, memory, most)
    theirs = parallel_stabilized_simple(queries, keys, values, log_input[..., None], forget[..., None])
    assert torch.allclose(found, theirs, atol=1e-4)


def test_our_scalar_memory_takes_their_steps():
    torch.manual_seed(0)
    ours, theirs = tuple(torch.zeros(4, 3, 1, 5)), torch.zeros(4, 3, 5)
    for sums in 2 * torch.randn(12, 3, 20):
        ours = slstm.step(sums[:, None], ours)
        theirs, _ = slstm_forward_pointwise(sums, torch.zeros(3, 20), torch.zeros(1, 20), theirs, {})
        assert torch.allclose(ours[0][:, 0], theirs[0], atol=1e-5)
