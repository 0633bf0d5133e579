"""Files to tokens, in one process, beside symusic reading the same files and doing nothing with them."""

from __future__ import annotations

import sys
from pathlib import Path

import symusic
from machine import describe, in_turn

from composer.data.datasets import make_dataset
from composer.data.encoding import compute_inputs, encode_sources
from composer.plugins.registry import registry


def main(folder: str) -> None:
    """Print files per second of each stage."""
    dataset = make_dataset(f"folder:{folder}")
    sources = list(dataset.list_sources())
    paths = [Path(folder) / source for source in sources]
    print(describe())
    tokenizers = {"remi": registry().make("tokenizers", "remi")}  # takes any file; `voices` would refuse most
    for name, tokenizer in tokenizers.items():
        result = encode_sources(dataset, tokenizer, sources)

        def symusic_alone() -> None:
            for path in paths:
                try:
                    symusic.Score(path)
                except RuntimeError:
                    continue

        found = in_turn(
            {
                "symusic alone": symusic_alone,
                "files to tokens": lambda: encode_sources(dataset, tokenizer, sources),  # noqa: B023
                "model inputs": lambda: compute_inputs(tokenizer, [p.tokens for p in result.kept]),  # noqa: B023
            },
            3,
        )
        print(f"{name}: {len(result.kept)} kept, {len(result.refused)} refused")
        for stage, seconds in found.items():
            ratio = seconds / found["symusic alone"]
            print(f"  {stage:16} {len(sources) / seconds:8,.0f} files/s   {ratio:6.1f} x symusic alone")


if __name__ == "__main__":
    main(sys.argv[1])
