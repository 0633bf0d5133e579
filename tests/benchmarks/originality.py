"""The index of a corpus of a million notes: seconds to sort it, and notes a second that are looked up in it.

The corpus is of random walks of 80 notes, a tenth of them copies of others, and at its end one note is struck 200,000
times; looked up are new walks, and walks of the corpus, piece by piece or all at once, and one note struck again and
again. Times are of the processor, in one thread.

    python tests/benchmarks/originality.py
"""

from __future__ import annotations

from time import process_time

import numpy as np
from machine import describe
from numpy.typing import NDArray

from composer.originality.index import SYMBOLS
from composer.originality.suffixes import build_suffix_array, compute_ranks, count_admitted, find_longest_matches

LINE = 80
NOTES = 1_000_000
PIECE = 3 * LINE
QUERY = 100 * PIECE
STRUCK = 200_000
SAME = 128 * 256 + 128
"""The symbol of a note that is struck again."""


def walks(rng: np.random.Generator, count: int) -> NDArray[np.int32]:
    """(count, LINE - 1) symbols: mostly small steps, and as often as not the same duration again."""
    steps = np.rint(rng.normal(0, 2.5, (count, LINE - 1))).astype(np.int32)
    ratios = rng.choice([0, 12, -12, 7, -19], (count, LINE - 1), p=[0.5, 0.2, 0.2, 0.05, 0.05])
    return ((steps + 128) * 256 + ratios + 128).astype(np.int32)


def main() -> None:
    """Print a line for the index, and one for each query."""
    print(describe())
    rng = np.random.default_rng(0)
    count = (NOTES - STRUCK) // LINE
    lines = walks(rng, count)
    lines[: count // 10] = lines[-(count // 10) :]
    ends = SYMBOLS + np.arange(count + 1, dtype=np.int32)
    struck = np.append(np.full(STRUCK - 1, SAME, dtype=np.int32), ends[-1])
    text = np.append(np.concatenate([lines, ends[:-1, None]], axis=1), struck)
    began = process_time()
    suffixes = build_suffix_array(text)
    ranks = compute_ranks(suffixes)
    counts = count_admitted(np.ones(len(text), dtype=bool))
    print(f"index of {len(text):,} notes: {process_time() - began:.1f} s")
    again = np.full((1, QUERY - 1), SAME, dtype=np.int32)
    for name, query in (("new", walks(rng, QUERY // LINE)), ("copied", lines[: QUERY // LINE]), ("one note", again)):
        ended = np.concatenate([query, np.full((len(query), 1), -1, dtype=np.int32)], axis=1).ravel()
        for size in (PIECE, QUERY):
            began = process_time()
            for start in range(0, len(ended), size):
                find_longest_matches(text, suffixes, ranks, counts, ended[start : start + size])
            print(f"{name}, {size:,} notes at once: {len(ended) / (process_time() - began):,.0f} notes a second")


if __name__ == "__main__":
    main()
