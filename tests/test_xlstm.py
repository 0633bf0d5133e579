"""An architecture from a package that others maintain: xLSTM, in the forty lines of `third_party/composer_xlstm.py`."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("xlstm")
sys.path.append(str(Path(__file__).parent / "third_party"))

from composer_xlstm import XLSTM

from composer.testing import check_architecture
from composer.training.loop import Settings, train

SMALL = XLSTM(width=16, heads=2, blocks=2)


def test_it_keeps_the_contract():
    check_architecture(SMALL)


def test_it_learns(corpus, tokenizer):
    settings = Settings(steps=30, evaluations=3, batch_size=8, chunk=64, learning_rate=1e-2, average=0.5)
    history = train(corpus, tokenizer, SMALL, settings).history
    assert history[-1].valid < history[0].valid
