"""Splits by content: training, validation and test pieces.

Pieces with the same melody, in any key, rhythm or accompaniment, always fall into one split, unless their dataset has
predefined splits. So do pieces of drums alone with the same beat.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from composer.errors import EmptyDataset
from composer.music.score import Score, concatenate_notes

SPLITS = ("train", "valid", "test")
SHARES = {"valid": 0.1, "test": 0.1}
_SCALE = 2**64

FEW = 200
"""Groups; of fewer the pieces are counted, since far more than a tenth might be held out by chance."""


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

    Of fewer than `FEW` groups a tenth of the pieces goes to each split that is held out, at least one; of more groups,
    about a tenth, and each stays where it is when others are added. A group larger than that is for training. Raises
    EmptyDataset for fewer than three groups.
    """
    sizes = Counter(map(int, groups))
    if len(sizes) < 3:
        raise EmptyDataset(
            f"there are {len(sizes)} different pieces among {len(groups)}, and at least 3 are needed to train, "
            "to validate and to test."
        )
    held_out = _take_tenths(sizes) if len(sizes) < FEW else _take_by_hash(sizes)
    return np.array([held_out.get(int(group), 0) for group in groups], dtype=np.int8)


def _take_tenths(sizes: Mapping[int, int]) -> dict[int, int]:
    """Choose the a few held-out groups, each with its split: at most a tenth of the groups and of the pieces."""
    waiting = sorted(sizes, key=_spread_hash)
    found: dict[int, int] = {}
    for split, share in ((2, SHARES["test"]), (1, SHARES["valid"])):
        room, most = (max(1, round(share * whole)) for whole in (sum(sizes.values()), len(sizes)))
        taken: list[int] = []
        for group in waiting:
            if sizes[group] <= room and len(taken) < most:
                taken.append(group)
                room -= sizes[group]
        found |= dict.fromkeys(taken or [min(waiting, key=lambda group: sizes[group])], split)
        waiting = [group for group in waiting if group not in found]
    return found


def _take_by_hash(sizes: Mapping[int, int]) -> dict[int, int]:
    """Choose the held-out groups among many, each with its split: those whose hashes are lowest."""
    most = SHARES["test"] * sum(sizes.values())
    found = sorted((group for group, size in sizes.items() if size <= most), key=_spread_hash)
    points = np.array([_spread_hash(group) / _SCALE for group in found])
    # A split may be empty by chance: then the nearest groups fill it.
    test = max(int(np.count_nonzero(points < SHARES["test"])), 1)
    valid = max(int(np.count_nonzero(points < SHARES["test"] + SHARES["valid"])), test + 1)
    return {group: 2 if n < test else 1 for n, group in enumerate(found[:valid])}


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
