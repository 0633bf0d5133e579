"""Read `Jsb16thSeparated.json`, of github.com/czhuang/JSB-Chorales-dataset.

It holds a list of pieces for each split, and of each 16th of a piece the pitches of four voices, -1 for silence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.data.splits import SPLITS
from composer.errors import BadOption, UnreadableFile, printable
from composer.storage.inside import expand_home, is_file
from composer.storage.opening import read_bytes

VOICES = 4

SILENT = -1
"""The pitch of a silent voice."""

HIGHEST = 127

LARGEST = 2**25
"""Most bytes of a file; the published one has 1.7 million."""

MOST_FRAMES = 2**14
"""Most 16ths of a piece, a thousand bars; the longest published one has 640."""

Frames = NDArray[np.int64]
"""(frames, 4) MIDI pitches of the voices, from the top; SILENT for none."""


@dataclass(frozen=True)
class Contents:
    """The pieces of each split, not yet validated, and a hash of the file."""

    pieces: Mapping[str, Sequence[Any]]
    digest: str


def read_contents(name: str) -> Contents:
    """Read a file, once while it does not change. Raises BadOption, UnreadableFile."""
    path, shown = expand_home(name), printable(name)
    if not is_file(path):
        raise BadOption(f"{shown}: no such file; give Jsb16thSeparated.json, with its path.")
    stat = path.stat()
    return _read(path, shown, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1)
def _read(path: Path, shown: str, *_: int) -> Contents:
    data = read_bytes(path, LARGEST)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{shown}: is not JSON ({printable(str(error), 100)}).") from error
    for side in SPLITS:
        if not isinstance(found, dict) or not isinstance(found.get(side), list):
            raise UnreadableFile(f"{shown}: has no list of pieces '{side}'; it needs train, valid and test.")
    return Contents({side: found[side] for side in SPLITS}, hashlib.blake2b(data, digest_size=16).hexdigest())


def parse_frames(found: Any) -> Frames:
    """Return a piece as an array. Raises UnreadableFile for anything but frames of four pitches."""
    if not isinstance(found, list) or not found:
        raise UnreadableFile("is not a list of frames.")
    if len(found) > MOST_FRAMES:
        raise UnreadableFile(f"has {len(found):,} frames; at most {MOST_FRAMES:,} are taken.")
    for number, frame in enumerate(found):
        if not isinstance(frame, list) or len(frame) != VOICES:
            raise UnreadableFile(f"has no list of {VOICES} pitches in frame {number + 1}.")
        for pitch in frame:
            if type(pitch) is not int or not SILENT <= pitch <= HIGHEST:
                raise UnreadableFile(
                    f"has {printable(repr(pitch), 20)} in frame {number + 1}; pitches are 0 to {HIGHEST}, or {SILENT}."
                )
    return np.array(found, dtype=np.int64)
