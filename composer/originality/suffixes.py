"""A suffix array over integers, and the longest matches in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray


def build_suffix_array(text: NDArray[np.int32]) -> NDArray[np.int32]:
    """Build (N,) the starts of the suffixes of `text` in lexicographic order; a prefix comes before its extensions.

    By prefix doubling (Karp, Miller and Rosenberg 1972; Manber and Myers 1993); only suffixes not yet distinguished are
    sorted again (Larsson and Sadakane 2007).
    """
    size = len(text)
    suffixes = np.argsort(text, kind="stable").astype(np.int64)
    ranks = np.zeros(size + 1, dtype=np.int64)  # index of the first of its equals, from 1; 0 is past the end
    group = _find_firsts(text[suffixes])
    ranks[suffixes] = group + 1
    alike = suffixes[_has_equal(group)]
    known = 1
    while len(alike):
        keys = ranks[alike] * (size + 2) + ranks[np.minimum(alike + known, size)]
        order = np.argsort(keys)
        alike, keys = alike[order], keys[order]
        before = ranks[alike]
        first = _find_firsts(before)
        group = _find_firsts(keys)
        suffixes[before - 1 + np.arange(len(alike)) - first] = alike
        ranks[alike] = before + group - first
        alike = alike[_has_equal(group)]
        known *= 2
    return suffixes.astype(np.int32)


def _find_firsts(values: NDArray[np.integer]) -> NDArray[np.int64]:
    """Find (n,) for each of some sorted values the index of the first equal one."""
    new = np.append(True, values[1:] != values[:-1])[: len(values)]
    return np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))


def _has_equal(firsts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell (n,) which values have an equal."""
    return np.bincount(firsts, minlength=len(firsts))[firsts] > 1


@dataclass(frozen=True, eq=False)
class Matches:
    """For each place of a query, the longest run of symbols from there that occurs in a text."""

    lengths: NDArray[np.int64]  # (Q,) symbols
    places: NDArray[np.int64]  # (Q,) the start of one such run in the text; -1 if the run is empty


def count_admitted(admitted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count (N + 1,) the admitted ones among the first suffixes, for `find_longest_matches`."""
    return np.append(0, np.cumsum(admitted))


def compute_ranks(suffixes: NDArray[np.int32]) -> NDArray[np.int32]:
    """Invert a suffix array: (N,) the rank of each suffix, for `find_longest_matches`."""
    ranks = np.empty_like(suffixes)
    ranks[suffixes] = np.arange(len(suffixes), dtype=suffixes.dtype)
    return ranks


def find_longest_matches(
    text: NDArray[np.int32],
    suffixes: NDArray[np.int32],
    ranks: NDArray[np.int32],
    counts: NDArray[np.int64],
    query: NDArray[np.int32],
) -> Matches:
    """Compute matching statistics (Chang and Lawler 1994) of a query against the admitted suffixes of a text.

    All positions of the query narrow their ranges of the suffix array in parallel: each extends its match by the
    longest run of 1, 2, 4 … symbols that fits, then by half as many, so that long runs take few steps (Karp, Miller and
    Rosenberg 1972, on a query). No match may reach the end of `text`: its last symbol must not occur in `query`.
    """
    places = np.arange(len(query))
    low, high = np.zeros(len(query), dtype=np.int64), np.full(len(query), len(text), dtype=np.int64)
    lengths = np.zeros(len(query), dtype=np.int64)
    for step, (begin, end) in reversed(_find_runs(text, suffixes, ranks, query)):
        on = places[places + lengths < len(query)]
        on = on[begin[on + lengths[on]] < end[on + lengths[on]]]
        at, length = on + lengths[on], lengths[on]
        lowest, highest = np.where(length, low[on], begin[at]), np.where(length, high[on], end[at])
        first = _find_first(ranks, suffixes, lowest, highest, length, begin[at])
        after = _find_first(ranks, suffixes, first, highest, length, end[at])
        there = counts[after] > counts[first]
        on = on[there]
        low[on], high[on], lengths[on] = first[there], after[there], length[there] + step
    found = np.searchsorted(counts, counts[low] + 1) - 1  # the first admitted one of each range
    return Matches(lengths, np.where(lengths > 0, suffixes[np.minimum(found, len(text) - 1)], -1))


_Ranges: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]
"""(Q,) and (Q,) the range of suffixes that begin with the run at each position of a query: first, and end."""


def _find_runs(
    text: NDArray[np.int32], suffixes: NDArray[np.int32], ranks: NDArray[np.int32], query: NDArray[np.int32]
) -> list[tuple[int, _Ranges]]:
    """Find the ranges of runs of 1, 2, 4 … symbols, as long as any such run occurs in the text."""
    low, high = np.zeros(len(query), dtype=np.int64), np.full(len(query), len(text), dtype=np.int64)
    begin = _find_first(text, suffixes, low, high, low, query)
    end = _find_first(text, suffixes, begin, high, low, query + 1)
    found, step = [(1, (begin, end))], 1
    while True:
        on = np.flatnonzero(begin[:-step] < end[:-step])
        on = on[begin[on + step] < end[on + step]]
        longer = np.zeros(len(query), dtype=np.int64), np.zeros(len(query), dtype=np.int64)
        longer[0][on] = _find_first(ranks, suffixes, begin[on], end[on], step, begin[on + step])
        longer[1][on] = _find_first(ranks, suffixes, longer[0][on], end[on], step, end[on + step])
        begin, end = longer
        if not (begin < end).any():
            return found
        step *= 2
        found.append((step, longer))


def _find_first(
    values: NDArray[np.int32],
    suffixes: NDArray[np.int32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    length: NDArray[np.int64] | int,
    wanted: NDArray[np.integer],
) -> NDArray[np.int64]:
    """Find in each range [low, high) the first suffix with `wanted` or more in `values` after `length`."""
    low, high = low.copy(), high.copy()
    ahead = np.broadcast_to(length, low.shape)
    while len(open_ := np.flatnonzero(low < high)):
        middle = (low[open_] + high[open_]) // 2
        less = values[suffixes[middle] + ahead[open_]] < wanted[open_]
        low[open_[less]] = middle[less] + 1
        high[open_[~less]] = middle[~less]
    return low
