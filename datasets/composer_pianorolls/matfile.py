"""Read the rolls of a MATLAB file, as published by Boulanger-Lewandowski, Bengio and Vincent.

Cells `traindata`, `validdata` and `testdata` hold a matrix of 0 and 1 for each piece: a row a frame, and a column for
each of 88 piano keys from the lowest, A0. The size is checked before scipy allocates memory.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.data.splits import SPLITS
from composer.errors import BadOption, UnreadableFile, printable
from composer.storage.inside import expand_home, is_file

LOWEST = 21
"""MIDI pitch of the first column."""

KEYS = 88

LARGEST = 2**29
"""Most bytes after unpacking; Nottingham has 24 million."""

HEADER = 128
COMPRESSED = 15
"""Type of an element that is compressed by zlib."""

Roll = NDArray[np.int8]
"""(frames, 88) of 0 and 1."""


@dataclass(frozen=True)
class Contents:
    """The rolls of each split, not yet validated, and a hash of the file."""

    rolls: Mapping[str, NDArray[Any]]
    digest: str


def read_contents(name: str) -> Contents:
    """Read a file, once while it does not change. Raises BadOption, UnreadableFile."""
    path, shown = expand_home(name), printable(name)
    if not is_file(path):
        raise BadOption(f"{shown}: no such file; give a .mat file of piano rolls.")
    stat = path.stat()
    if stat.st_size > LARGEST:
        raise _refuse_size(shown)
    try:
        return _read(path, shown, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise UnreadableFile(f"{shown}: cannot be read ({error.strerror}).") from error


@lru_cache(maxsize=1)
def _read(path: Path, shown: str, *_: int) -> Contents:
    data = path.read_bytes()
    _check(data, shown)
    variables = _load_variables(data, shown)
    rolls = {}
    for side in SPLITS:
        cells = variables.get(f"{side}data")
        if cells is None:
            raise UnreadableFile(f"{shown}: has no {side}data; rolls are in traindata, validdata and testdata.")
        if cells.dtype != object:
            raise UnreadableFile(f"{shown}: {side}data is not a cell array with a roll for each piece.")
        rolls[side] = cells.ravel()
    return Contents(rolls, hashlib.blake2b(data, digest_size=16).hexdigest())


def _load_variables(data: bytes, shown: str) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        return loadmat(BytesIO(data), variable_names=[f"{side}data" for side in SPLITS])
    except Exception as error:  # scipy may raise anything for a damaged file
        raise UnreadableFile(f"{shown}: is damaged ({printable(' '.join(str(error).split()), 100)}).") from error


def _check(data: bytes, shown: str) -> None:
    """Refuse a file that is not MATLAB 5, or unpacks to more than LARGEST bytes."""
    order = {b"IM": "<", b"MI": ">"}.get(data[126:HEADER])
    if order is None or struct.unpack_from(f"{order}H", data, 124)[0] != 0x0100:
        raise UnreadableFile(f"{shown}: is not a MATLAB file of version 5 to 7, which 'save -v7' writes.")
    offset, size = HEADER, 0
    while offset + 8 <= len(data) and size <= LARGEST:
        kind, length = struct.unpack_from(f"{order}II", data, offset)
        offset += 8
        size += _measure_unpacked(data[offset : offset + length], shown) if kind == COMPRESSED else length
        offset += length
    if size > LARGEST:
        raise _refuse_size(shown)


def _measure_unpacked(packed: bytes, shown: str) -> int:
    """Return the unpacked size. It is counted in parts, up to the limit."""
    unpacker, size, part = zlib.decompressobj(), 0, 2**14  # zlib expands at most 1032 times
    try:
        for offset in range(0, len(packed), part):
            size += len(unpacker.decompress(packed[offset : offset + part]))
            if size > LARGEST:
                break
    except zlib.error as error:
        raise UnreadableFile(f"{shown}: is damaged ({error}).") from error
    return size


def _refuse_size(shown: str) -> UnreadableFile:
    return UnreadableFile(f"{shown}: is too large for a set of piano rolls; at most {LARGEST // 2**20} MB are taken.")


def parse_roll(found: Any) -> Roll:
    """Return a cell's matrix as a roll. Raises UnreadableFile for anything else."""
    roll = np.asarray(found)
    if roll.ndim != 2 or roll.dtype.kind not in "biuf":
        raise UnreadableFile("is not a matrix of numbers.")
    if roll.shape[1] != KEYS:
        raise UnreadableFile(f"is a matrix of {roll.shape[0]} x {roll.shape[1]}, and a roll is of frames x {KEYS}.")
    if not np.isin(roll, (0, 1)).all():
        raise UnreadableFile("has values other than 0 and 1.")
    return roll.astype(np.int8)
