"""The notes of all tracks at once, made into those of a Score.

All tracks are processed together, since a call of NumPy costs more than the notes of a short track. A `line` is one
pitch of one part, as `part << 7 | pitch`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.music.score import NOTE, Notes, concatenate_notes

Column: TypeAlias = NDArray[Any]

_Longs: TypeAlias = NDArray[np.int64]


def build_notes(line: _Longs, start: _Longs, end: _Longs, velocity: Column, remarks: Counter[str]) -> list[Notes]:
    """Build the sorted notes of each part that has any, without overlaps of one pitch.

    The arguments are sorted by line, then start; times are in ticks of a Score, below 2^32. Dropped and shortened notes
    are counted in `remarks`.
    """
    end = np.maximum(end, start + 1)
    if _find_overlaps(line, start, end).any():
        line, start, end, velocity = _untangle(line, start, end, velocity, remarks)
    part, pitch = line >> 7, line & 0x7F
    order = ((part << 32 | start) << 7 | pitch).argsort()
    notes = np.empty(len(order), dtype=NOTE)
    notes["start"], notes["pitch"], notes["velocity"] = start[order], pitch[order], velocity[order]
    notes["duration"] = (end - start)[order]
    counts = np.bincount(part)
    ends = counts[counts > 0].cumsum().tolist()
    return [notes[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def separate_notes(parts: Sequence[Notes]) -> list[Notes]:
    """Separate overlapping notes of one pitch, in the parts of a Score. Parts may be empty."""
    used = [number for number, notes in enumerate(parts) if len(notes)]
    found = list(parts)
    if used:
        notes = concatenate_notes([parts[number] for number in used])
        part = np.repeat(np.arange(len(used)), [len(parts[number]) for number in used])
        line = part << 7 | notes["pitch"]
        order = np.lexsort((notes["start"], line))
        line, notes = line[order], notes[order]
        columns = notes["start"], notes["start"] + notes["duration"], notes["velocity"]
        for number, its in zip(used, build_notes(line, *columns, Counter()), strict=True):
            found[number] = its
    return found


def _untangle(
    line: _Longs, start: _Longs, end: _Longs, velocity: Column, remarks: Counter[str]
) -> tuple[_Longs, _Longs, _Longs, Column]:
    """Keep the longest of notes with one onset, and cut a note at the next onset of its line."""
    order = np.lexsort((end, start, line))
    line, start, end, velocity = line[order], start[order], end[order], velocity[order]
    stays = np.append((line[:-1] != line[1:]) | (start[:-1] != start[1:]), True)
    remarks["a note struck twice at once was left out once"] += int(np.count_nonzero(~stays))
    line, start, end, velocity = line[stays], start[stays], end[stays], velocity[stays]
    over = np.flatnonzero(_find_overlaps(line, start, end))
    end[over] = start[over + 1]
    remarks["a note that the next of its pitch overlaps was shortened"] += len(over)
    return line, start, end, velocity


def _find_overlaps(line: _Longs, start: _Longs, end: _Longs) -> NDArray[np.bool_]:
    """Tell whether each note but the last ends after the next onset of its line, (notes - 1,)."""
    over: NDArray[np.bool_] = (line[:-1] == line[1:]) & (end[:-1] > start[1:])
    return over
