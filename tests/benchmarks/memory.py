"""Peak memory of building a corpus and training on it, as the number of files grows; each size in its own process."""

from __future__ import annotations

import subprocess
import sys

SIZES = (1_000, 10_000)

WORK = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from composer.corpus import build
from composer.files import write
from composer.plugins import registry
from composer.score import Score, Track, make_notes
from composer.training import Settings, train
from composer.types import Piece
from composer.datasets import make_dataset
count = int(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    files = Path(folder) / "files"
    files.mkdir()
    rng = np.random.default_rng(0)
    for number in range(200):
        pitches = np.clip(60 + np.cumsum(rng.integers(-4, 5, 250)), 40, 90)
        rows = [(240 * i, 240, int(p), 80) for i, p in enumerate(pitches)]
        write([Piece(Score(tracks=(Track(make_notes(rows)),)))], files / f"{number}.mid")
    for number in range(200, count):
        (files / f"{number}.mid").symlink_to(files / f"{number % 200}.mid")
    tokenizer = registry().make("tokenizers", "voices", names=("Tune",))
    corpus = build(make_dataset(f"folder:{files}"), tokenizer, cache=Path(folder) / "cache", workers=1)
    built = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    architecture = registry().make("architectures", "lstm", hidden_size=32, layers=1, embedding_size=32)
    train(corpus, tokenizer, architecture, Settings(steps=20, evaluations=1))
    trained = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(count, len(corpus.names), built / 1024, trained / 1024)
"""


def main() -> None:
    """Print the peaks, in MB, and their ratios to the smallest size's."""
    first = None
    for size in SIZES:
        done = subprocess.run([sys.executable, "-c", WORK, str(size)], check=True, capture_output=True, text=True)
        files, kept, built, trained = map(float, done.stdout.split())
        first = first or (built, trained)
        print(
            f"{files:8,.0f} files, {kept:8,.0f} kept: build {built:6.0f} MB ({built / first[0]:.2f}), "
            f"training {trained:6.0f} MB ({trained / first[1]:.2f})"
        )


if __name__ == "__main__":
    main()
