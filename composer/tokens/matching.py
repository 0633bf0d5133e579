"""Matches: the earlier stretches of a piece that are as the latest one, in a ring of its last tokens.

For each token in the ring, a length tells how many tokens up to it are equal to as many latest ones. The token after
the longest match is what comes next if the piece repeats itself, at whatever distance. Text compressors predict so (PPM
with unbounded contexts, Cleary and Teahan 1997); here the network is told, and judges.

The ring has N places. The latest of `count` tokens is at place (count - 1) % N.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_namespace, make_range, stack_columns
from composer.tokens.vocabulary import BOS
from composer.types import Array

LONGEST = 255
"""Tokens in a row that are counted."""


def advance_matches(lengths: Array, ring: Array, count: Array, written: Array) -> Array:
    """Return the lengths (B, N) after `written` (B,) became the latest of `count` (B,) tokens in the `ring` (B, N)."""
    xp, places = get_namespace(lengths), ring.shape[1]
    of_previous = xp.concat([lengths[:, -1:], lengths[:, :-1]], axis=1)
    is_latest = make_range(places, ring) == ((count - 1) % places)[:, None]
    goes_on = (ring == written[:, None]) & ~is_latest
    return xp.where(goes_on, xp.clip(of_previous + 1, 0, LONGEST), 0 * lengths)


def find_longest_match(lengths: Array, ring: Array, count: Array) -> Array:
    """Find (B, 2) the token after the longest match, the most recent of equals, and its length; BOS and 0 for none."""
    xp, places = get_namespace(lengths), ring.shape[1]
    recency = (make_range(places, ring) - count[:, None]) % places  # 0 for the oldest place
    scores = xp.where(lengths > 0, lengths * places + recency, 0 * lengths)
    best = xp.max(scores, axis=1)
    following = xp.concat([ring[:, 1:], ring[:, :1]], axis=1)
    found = xp.sum(xp.where(scores == best[:, None], following, 0 * following), axis=1)
    exists = best > 0
    return stack_columns([xp.where(exists, found, BOS), xp.where(exists, best // places, 0 * best)])


def compute_matches(
    tokens: NDArray[np.int64],
    compared: NDArray[np.int64],
    places: int,
    kept: NDArray[np.int64],
    count: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compute what the two functions above return at all T steps: (T, N) and (T, 2).

    `tokens` (E,) are all that enter the ring, `compared` (E,) as they are compared. At a step `count` (T,) of them are
    in it, and `kept` (T, N) tells which, -1 for none.
    """
    runs = _measure_runs(compared, places)
    last = count - 1
    lags = np.where(kept >= 0, last[:, None] - kept, 0)
    lengths = np.where(last[:, None] >= 0, runs[np.maximum(last, 0)[:, None], lags], 0)
    scores = runs * places + np.where(runs > 0, places - 1 - np.arange(places), 0)
    lag = np.argmax(scores, axis=1)
    best = np.take_along_axis(runs, lag[:, None], axis=1)[:, 0]
    after = np.arange(len(runs)) - lag + 1
    found = np.stack([np.where(best > 0, np.append(tokens, BOS)[after], BOS), best], axis=1)
    return lengths, np.where(last[:, None] >= 0, found[np.maximum(last, 0)], 0)


def compute_longest(tokens: NDArray[np.int64], compared: NDArray[np.int64], places: int) -> NDArray[np.int64]:
    """Compute (E + 1, 2) what `find_longest_match` finds after each of the E tokens, and BOS and 0 before the first.

    It goes lag by lag, and so holds no numbers for each place in the ring.
    """
    count = len(tokens)
    length, lag = np.zeros(count, dtype=np.int32), np.zeros(count, dtype=np.int32)
    times = np.arange(1, count + 1, dtype=np.int32)
    narrow = compared.astype(np.int32)
    for lags in range(1, min(places, count)):
        same = narrow[lags:] == narrow[:-lags]
        runs = times[: count - lags] - np.maximum.accumulate(np.where(same, 0, times[: count - lags]))
        better = np.flatnonzero(np.minimum(runs, LONGEST) > length[lags:])
        length[better + lags], lag[better + lags] = np.minimum(runs[better], LONGEST), lags
    found = np.zeros((count + 1, 2), dtype=np.int64)
    found[:, 0] = BOS
    has = np.flatnonzero(length)
    found[has + 1, 0], found[has + 1, 1] = tokens[has - lag[has] + 1], length[has]
    return found


def _measure_runs(tokens: NDArray[np.int64], places: int) -> NDArray[np.int64]:
    """Measure (E, N) how many tokens up to each equal those that came so many places before; 0 for the lag 0."""
    padded = np.concatenate([np.full(places, -1), tokens, [-1] * (not len(tokens))])
    before = np.lib.stride_tricks.sliding_window_view(padded, places + 1)[: max(len(tokens), 1), :0:-1]
    here = padded[places : places + len(before)]
    same = before == here[:, None]
    same[:, 0] = False
    times = np.arange(1, len(same) + 1, dtype=np.int64)[:, None]
    return np.minimum(times - np.maximum.accumulate(np.where(same, 0, times), axis=0), LONGEST)
