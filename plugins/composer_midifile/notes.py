"""The notes of all tracks at once, made into those of a Score; it knows no parser.

At once, since a call of NumPy costs more than the notes of a short track.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.score import NOTE, Notes, joined

Column: TypeAlias = NDArray[Any]

_Longs: TypeAlias = NDArray[np.int64]


def notes_of_parts(
    part: _Longs, start: _Longs, end: _Longs, pitch: Column, velocity: Column, remarks: Counter[str]
) -> list[Notes]:
    """The notes of parts 0, 1… of which each has one, sorted; none of a part lies over another of its pitch.

    `part` rises; times are in ticks of a Score, below 2^32. What is dropped or shortened is counted in `remarks`.
    """
    order = np.argsort((part << 32 | start) << 7 | pitch, kind="stable")
    notes = np.empty(len(order), dtype=NOTE)
    notes["start"], notes["pitch"], notes["velocity"] = start[order], pitch[order], velocity[order]
    end, kept = _untangled(part << 7 | notes["pitch"], notes["start"], np.maximum(end, start + 1)[order], remarks)
    notes["duration"] = end - notes["start"]
    if not kept.all():
        notes, part = notes[kept], part[kept]
    ends = np.cumsum(np.bincount(part)).tolist()
    return [notes[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def apart(parts: Sequence[Notes]) -> list[Notes]:
    """The same, of notes that a Score has already, and of parts that may have none."""
    used = [number for number, notes in enumerate(parts) if len(notes)]
    found = list(parts)
    if used:
        notes = joined([parts[number] for number in used])
        part = np.repeat(np.arange(len(used)), [len(parts[number]) for number in used])
        columns = notes["start"], notes["start"] + notes["duration"], notes["pitch"], notes["velocity"]
        for number, its in zip(used, notes_of_parts(part, *columns, Counter()), strict=True):
            found[number] = its
    return found


def _untangled(line: _Longs, start: _Longs, end: _Longs, remarks: Counter[str]) -> tuple[_Longs, NDArray[np.bool_]]:
    """Where each note ends, and whether it stays; `line` is one pitch of one part."""
    kept = np.ones(len(line), dtype=np.bool_)
    order = np.argsort(line.astype(np.int16) if line[-1] < 2**15 else line, kind="stable")  # by radix if it is short
    if not _over(line, start, end, order).any():
        return end, kept
    order = np.lexsort((end, start, line))  # of those that begin together, the longest is the last, and stays
    twins = order[:-1][(line[order[:-1]] == line[order[1:]]) & (start[order[:-1]] == start[order[1:]])]
    kept[twins] = False
    order = order[kept[order]]
    over = _over(line, start, end, order)
    end = end.copy()
    end[order[:-1][over]] = start[order[1:][over]]
    remarks["a note struck twice at once was left out once"] += len(twins)
    remarks["a note that the next of its pitch overlaps was shortened"] += int(np.count_nonzero(over))
    return end, kept


def _over(line: _Longs, start: _Longs, end: _Longs, order: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether each note but the last, in this order, ends after the next of its line begins."""
    line, start, end = line[order], start[order], end[order]
    over: NDArray[np.bool_] = (line[:-1] == line[1:]) & (end[:-1] > start[1:])
    return over
