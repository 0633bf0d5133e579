"""How likely held-out pieces are, apart for those whose melody is much like that of a training piece.

Two melodies are compared by their runs of eight steps (`composer.data.splits.extract_melody`); kin are pieces that
share half of the runs of the shorter of the two.

    python tests/benchmarks/kin.py chorales tunes
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from composer.data.splits import extract_melody
from composer.generation.composer import open_model
from composer.music.score import Score
from composer.training.evaluation import compute_piece_nats
from composer.training.model_card import build_training_corpus

RUN = 8
SHARE = 0.5


def runs(score: Score) -> set[bytes]:
    """All runs of `RUN` steps of its melody."""
    steps = extract_melody(score)
    return {run.tobytes() for run in sliding_window_view(steps, RUN)} if len(steps) >= RUN else set()


def kinship(mine: set[bytes], other: set[bytes]) -> float:
    """The share of the runs of the shorter melody that the other has too."""
    return len(mine & other) / max(1, min(len(mine), len(other)))


def main(names: list[str]) -> None:
    """Print a line for each model and side."""
    for name in names:
        player = open_model(name)
        corpus, tokenizer = build_training_corpus(player), player.tokenizer
        held, learnt = (
            [runs(tokenizer.decode(corpus.read_piece(n))) for n in corpus.split(s)] for s in ("test", "train")
        )
        is_kin = np.array([max(kinship(mine, other) for other in learnt) >= SHARE for mine in held])
        test = corpus.split("test")
        nats, notes = compute_piece_nats(player.model.make_module(), corpus, tokenizer, test), corpus.notes[test]
        for what, chosen in (("all", np.full(len(test), True)), ("kin", is_kin), ("others", ~is_kin)):
            if chosen.any():
                per_note = nats[chosen].sum() / notes[chosen].sum()
                print(f"{name}: {what}: {chosen.sum()} pieces, {per_note:.3f} nats per note")


if __name__ == "__main__":
    main(sys.argv[1:])
