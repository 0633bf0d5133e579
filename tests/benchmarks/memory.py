"""Peak memory and time of a build and a training, as the number of files grows; each size in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

SIZES = (1_000, 10_000, 100_000)

WORK = """
import json, resource, sys, tempfile
from pathlib import Path
from time import perf_counter
import numpy as np
from composer.data.corpus import build
from composer.io.formats import write
from composer.plugins.registry import registry
from composer.music.score import Score, Track, make_notes
from composer.training.loop import Settings, train
from composer.types import Piece
from composer.data.datasets import make_dataset
def peak(of=resource.RUSAGE_SELF):
    return resource.getrusage(of).ru_maxrss / 1024
count, workers = map(int, sys.argv[1:])
with tempfile.TemporaryDirectory() as folder:
    files = Path(folder) / "files"
    files.mkdir()
    rng = np.random.default_rng(0)
    for number in range(200):
        pitches = np.clip(60 + np.cumsum(rng.integers(-4, 5, 100)), 40, 90)
        rows = [(240 * i, 240, int(p), 80) for i, p in enumerate(pitches)]
        write([Piece(Score(tracks=(Track(make_notes(rows)),)))], files / f"{number}.mid")
    for number in range(200, count):
        (files / f"{number}.mid").symlink_to(files / f"{number % 200}.mid")
    tokenizer = registry().make("tokenizers", "voices", names=("Tune",))
    began, before = perf_counter(), peak()
    corpus = build(make_dataset(f"folder:{files}"), tokenizer, cache=Path(folder) / "cache", workers=workers)
    found = {"before": before, "build": peak(), "worker": peak(resource.RUSAGE_CHILDREN)}
    found |= {"kept": len(corpus.names), "build seconds": perf_counter() - began}
    architecture = registry().make("architectures", "lstm", hidden_size=32, layers=1, embedding_size=32)
    began = perf_counter()
    train(corpus, tokenizer, architecture, Settings(steps=20, evaluations=1))
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    found |= {"training": peak(), "mapped": int(status["RssFile"].split()[0]) / 1024}
    print(json.dumps(found | {"training seconds": perf_counter() - began}))
"""


def main(workers: str = "2", *sizes: str) -> None:
    """Print the peaks in MB, what each file adds to the smallest size's, and seconds.

    `worker` is the largest of the processes that share a build. `mapped` is that part of a training which the system
    takes back when it needs it: libraries, and the pages of the corpus that were read.
    """
    first: dict[str, float] = {}
    for size in map(int, sizes or SIZES):
        done = subprocess.run(
            [sys.executable, "-c", WORK, str(size), workers], check=True, stdout=subprocess.PIPE, text=True
        )
        found = json.loads(done.stdout)
        first = first or found
        print(f"{size:8,} files, {found['kept']:,} kept; {found['before']:.0f} MB before the first")
        for stage in ("build", "worker", "training", "mapped"):
            more = (found[stage] - first[stage]) * 2**20 / max(size - first["kept"], 1)
            seconds = f", {found[f'{stage} seconds']:.1f} s" if f"{stage} seconds" in found else ""
            beyond = f"{more:7,.0f} bytes for each file beyond {first['kept']:,}"
            print(f"  {stage:8} {found[stage]:6.0f} MB, {beyond}{seconds}")


if __name__ == "__main__":
    main(*sys.argv[1:])
