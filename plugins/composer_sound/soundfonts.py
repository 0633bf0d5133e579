"""Finds a soundfont, and checks it before a synthesiser reads it.

Source: SoundFont Technical Specification 2.04, Creative Technology 2006.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from composer.errors import UnreadableFile, printable
from composer.storage.inside import expand_home
from composer.storage.opening import read_bytes

SHIPPED = "TimGM6mb.sf2"
"""General MIDI in 6 MB, by Tim Brechbill; it comes with pretty_midi."""

LARGEST = 2**30
"""Bytes, at most: a soundfont is held in memory."""

_RECORDS = {
    "phdr": np.dtype([("name", "S20"), ("preset", "<u2"), ("bank", "<u2"), ("bag", "<u2"), ("rest", "V12")]),
    "pbag": np.dtype([("gen", "<u2"), ("mod", "<u2")]),
    "pmod": np.dtype("V10"),
    "pgen": np.dtype([("what", "<u2"), ("amount", "<u2")]),
    "inst": np.dtype([("name", "S20"), ("bag", "<u2")]),
    "ibag": np.dtype([("gen", "<u2"), ("mod", "<u2")]),
    "imod": np.dtype("V10"),
    "igen": np.dtype([("what", "<u2"), ("amount", "<u2")]),
    "shdr": np.dtype([("name", "S20"), ("places", "<u4", 4), ("rate", "<u4"), ("rest", "V6")]),
}
_INSTRUMENT, _SAMPLE = 41, 53  # generators that refer to another list


class Unusable(Exception):
    """A soundfont that is missing or cannot be played. The text is a sentence without its full stop."""


def find_soundfont(named: str) -> Path:
    """Find the soundfont that the user named, or the shipped one. Raises Unusable if there is none."""
    if named:
        path = expand_home(named)
        if not path.exists():
            raise Unusable(f"there is no soundfont {printable(named)}")
        return path
    spec = find_spec("pretty_midi")
    path = Path(spec.origin).with_name(SHIPPED) if spec and spec.origin else Path(SHIPPED)
    if not path.is_file():
        raise Unusable(f"the soundfont {SHIPPED} of pretty_midi is not there; name another by the option 'soundfont'")
    return path


def read_soundfont(path: Path) -> bytes:
    """Read and check a soundfont. Raises Unusable."""
    try:
        data = read_bytes(path, LARGEST)
        check(data)
    except UnreadableFile as error:
        raise Unusable(f"the soundfont {str(error).removesuffix('.')}") from None
    except ValueError as error:
        raise Unusable(f"the soundfont {printable(str(path))} {error}") from None
    return data


def check(data: bytes) -> None:
    """Raise ValueError, stating what is wrong, unless all numbers and sizes in a soundfont are in range."""
    if not data:
        raise ValueError("is empty")
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise ValueError("is not a soundfont (.sf2)")
    found = _read_chunks(data)
    version = found.get("ifil", b"\0\0")
    if int.from_bytes(version[:2], "little") > 2:
        raise ValueError("is compressed (SoundFont 3); convert it to SoundFont 2")
    _demand("smpl" in found, "has no samples")
    lists = _read_lists(found)
    _check_bags(lists["phdr"], lists["pbag"], lists["pgen"])
    _check_bags(lists["inst"], lists["ibag"], lists["igen"])
    _check_numbers(lists["pgen"], _INSTRUMENT, lists["inst"])
    _check_numbers(lists["igen"], _SAMPLE, lists["shdr"])
    _demand(bool(np.all(lists["shdr"]["places"][:-1] <= len(found["smpl"]) // 2)), "is cut off within its samples")


def _read_chunks(data: bytes) -> dict[str, memoryview]:
    """Read the chunks of all lists, by name."""
    found: dict[str, memoryview] = {}
    whole, at = memoryview(data), 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        _demand(at + 8 + size <= len(data), "is cut off")
        if name == b"LIST":
            at += 12
            continue
        found.setdefault(name.decode("latin-1"), whole[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return found


def _read_lists(found: Mapping[str, bytes | memoryview]) -> dict[str, NDArray[np.void]]:
    lists = {}
    for name, record in _RECORDS.items():
        chunk = found.get(name, b"")
        _demand(len(chunk) >= record.itemsize and not len(chunk) % record.itemsize, f"has no whole list '{name}'")
        lists[name] = np.frombuffer(chunk, record)
    _demand(len(lists["phdr"]) > 1, "has no instruments")
    return lists


def _check_bags(heads: NDArray[np.void], bags: NDArray[np.void], generators: NDArray[np.void]) -> None:
    _check_rising(heads["bag"], len(bags) - 1)
    _check_rising(bags["gen"], len(generators))


def _check_rising(places: NDArray[np.uint16], last: int) -> None:
    rising = np.diff(places.astype(np.int64)) >= 0
    _demand(bool(rising.all()) and int(places[-1]) <= last, "is damaged: its instruments are not where it says")


def _check_numbers(generators: NDArray[np.void], what: int, named: NDArray[np.void]) -> None:
    numbers = generators["amount"][generators["what"] == what]
    _demand(bool(np.all(numbers < len(named) - 1)), "is damaged: it names instruments or samples that it has not")


def _demand(true: bool, otherwise: str) -> None:
    if not true:
        raise ValueError(otherwise)
