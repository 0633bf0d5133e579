"""A suffix array over whole numbers, and the longest matches in it; it knows nothing of what they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def suffix_array(text: NDArray[np.int32]) -> NDArray[np.int32]:
    """(N,) where the suffixes of `text` begin, in lexicographic order; a suffix comes before those that go on from it.

    By prefix doubling (Karp, Miller and Rosenberg 1972; Manber and Myers 1993), in which only those are sorted again
    that are not yet told apart (Larsson and Sadakane 2007).
    """
    size = len(text)
    suffixes = np.argsort(text, kind="stable").astype(np.int64)
    ranks = np.zeros(size + 1, dtype=np.int64)  # place of the first of its equals, from 1; 0 stands behind the end
    group = _firsts(text[suffixes])
    ranks[suffixes] = group + 1
    alike = suffixes[_in_company(group)]
    known = 1
    while len(alike):
        keys = ranks[alike] * (size + 2) + ranks[np.minimum(alike + known, size)]
        order = np.argsort(keys)
        alike, keys = alike[order], keys[order]
        before = ranks[alike]
        first = _firsts(before)
        group = _firsts(keys)
        suffixes[before - 1 + np.arange(len(alike)) - first] = alike
        ranks[alike] = before + group - first
        alike = alike[_in_company(group)]
        known *= 2
    return suffixes.astype(np.int32)


def _firsts(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """(n,) for each of some sorted values, the place of the first that is equal to it."""
    new = np.append(True, values[1:] != values[:-1])[: len(values)]
    return np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))


def _in_company(firsts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) which are in a group of more than one."""
    return np.bincount(firsts, minlength=len(firsts))[firsts] > 1


@dataclass(frozen=True, eq=False)
class Matches:
    """For each place of a query, the longest run of symbols from there on that is in a text."""

    lengths: NDArray[np.int64]  # (Q,) symbols
    places: NDArray[np.int64]  # (Q,) where in the text one such run begins; -1 for a run of no symbol


def counted(admitted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N + 1,) how many of the first suffixes are admitted, for `longest_matches`."""
    return np.append(0, np.cumsum(admitted))


def longest_matches(
    text: NDArray[np.int32], suffixes: NDArray[np.int32], counts: NDArray[np.int64], query: NDArray[np.int32]
) -> Matches:
    """Matching statistics (Chang and Lawler 1994) of a query against those suffixes of a text that are admitted.

    All places of the query go side by side, symbol by symbol, through ever smaller ranges of the suffix array. No run
    that is in `query` may reach the end of `text`: its last symbol is in none of them.
    """
    low, high = np.zeros(len(query), dtype=np.int64), np.full(len(query), len(text), dtype=np.int64)
    lengths = np.zeros(len(query), dtype=np.int64)
    running = np.arange(len(query))
    length = 0
    while len(running := running[running + length < len(query)]):
        wanted = query[running + length]
        first = _first(text, suffixes, low[running], high[running], length, wanted)
        after = _first(text, suffixes, first, high[running], length, wanted + 1)
        there = counts[after] > counts[first]
        running, length = running[there], length + 1
        low[running], high[running], lengths[running] = first[there], after[there], length
    found = np.searchsorted(counts, counts[low] + 1) - 1  # the first admitted one of each range
    return Matches(lengths, np.where(lengths > 0, suffixes[np.minimum(found, len(text) - 1)], -1))


def _first(
    text: NDArray[np.int32],
    suffixes: NDArray[np.int32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    length: int,
    wanted: NDArray[np.int32],
) -> NDArray[np.int64]:
    """The first place in each range [low, high) whose suffix has `wanted` or more after `length` symbols."""
    low, high = low.copy(), high.copy()
    while len(open_ := np.flatnonzero(low < high)):
        middle = (low[open_] + high[open_]) // 2
        less = text[suffixes[middle] + length] < wanted[open_]
        low[open_[less]] = middle[less] + 1
        high[open_[~less]] = middle[~less]
    return low
