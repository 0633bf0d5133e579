"""Splits by content: training, validation and test pieces.

Pieces with the same melody, in any key, rhythm or accompaniment, always fall into one split, unless their dataset has
predefined splits. So do pieces of drums alone with the same beat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.errors import EmptyDataset
from composer.music.score import Score, concatenate_notes

SPLITS = ("train", "valid", "test")
SHARES = {"valid": 0.1, "test": 0.1}
_SCALE = 2**64


def hash_melody(score: Score) -> int:
    """Hash the melody to 64 bits, or the beat of a piece of drums alone."""
    pitched = any(len(track.notes) and not track.is_drum for track in score.tracks)
    found = extract_melody(score) if pitched else extract_beat(score)
    return int.from_bytes(hashlib.blake2b(found.tobytes(), digest_size=8).digest(), "little")


def extract_beat(score: Score) -> NDArray[np.int32]:
    """Compute the beat (N, 2) of the drums: the ticks since the drum before, and the sound."""
    drums = np.sort(
        concatenate_notes([track.notes for track in score.tracks if track.is_drum]), order=["start", "pitch"]
    )
    return np.stack([np.diff(drums["start"], prepend=drums["start"][:1]), drums["pitch"]], axis=1).astype("<i4")


def extract_melody(score: Score) -> NDArray[np.int16]:
    """Compute the melody of the first pitched track: the intervals between the highest notes at successive onsets.

    Intervals are in semitones, so that transpositions agree. Repeated notes count once, so that rhythms may differ.
    """
    tracks = [track.notes for track in score.tracks if not track.is_drum and len(track.notes)]
    if not tracks:
        return np.zeros(0, dtype="<i2")
    start, pitch = tracks[0]["start"], tracks[0]["pitch"]
    tops = pitch[np.append(start[1:] != start[:-1], True)]  # sorted by start, then pitch
    steps = tops[1:] - tops[:-1]
    return steps[steps != 0].astype("<i2")


def assign_splits(groups: Sequence[int] | NDArray[np.uint64]) -> NDArray[np.int8]:
    """Assign each piece (P,) its index in `SPLITS`, by its group's hash alone; no split is left empty.

    Raises EmptyDataset for fewer than three groups.
    """
    found = sorted(set(map(int, groups)), key=_spread_hash)
    if len(found) < 3:
        raise EmptyDataset(
            f"there are {len(found)} different pieces among {len(groups)}, and at least 3 are needed to train, "
            "to validate and to test."
        )
    points = np.array([_spread_hash(group) / _SCALE for group in found])
    # A few pieces may leave a split empty by chance: then the nearest groups fill it.
    test = min(max(int(np.count_nonzero(points < SHARES["test"])), 1), len(found) - 2)
    valid = min(max(int(np.count_nonzero(points < SHARES["test"] + SHARES["valid"])), test + 1), len(found) - 1)
    split = {group: 2 if n < test else 1 if n < valid else 0 for n, group in enumerate(found)}
    return np.array([split[int(group)] for group in groups], dtype=np.int8)


def choose_splits(sides: Sequence[str], groups: Sequence[int]) -> NDArray[np.int8]:
    """Choose the split of each piece (P,) as an index in `SPLITS`: the predefined one, or "" for one by content.

    Raises EmptyDataset if a split has no pieces.
    """
    if all(sides):
        return convert_splits(sides)
    by_content = np.array([not side for side in sides])
    splits = np.array([SPLITS.index(side or SPLITS[0]) for side in sides], dtype=np.int8)
    splits[by_content] = assign_splits(np.array(groups, dtype=np.uint64)[by_content])
    return splits


def convert_splits(sides: Sequence[str]) -> NDArray[np.int8]:
    """Convert predefined splits to indices in `SPLITS`, (P,). Raises EmptyDataset if a split has no pieces."""
    if empty := [side for side in SPLITS if side not in sides]:
        raise EmptyDataset(f"the dataset divides its pieces itself, and has none to use for {' and '.join(empty)}.")
    return np.array([SPLITS.index(side) for side in sides], dtype=np.int8)


def _spread_hash(group: int) -> int:
    """Map a group to a point from 0 to 2^64, unrelated to its own hash."""
    return int.from_bytes(hashlib.blake2b(group.to_bytes(8, "little"), digest_size=8).digest(), "little")
