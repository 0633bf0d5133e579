"""The table of takes in the Groove MIDI Dataset, `info.csv`."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from composer.errors import BadOption, EmptyDataset, UnreadableFile, printable
from composer.io.folders import check_folder
from composer.music.score import TimeSignature, parse_time_signature
from composer.storage.inside import is_file
from composer.storage.opening import read_bytes

TABLE = "info.csv"
LARGEST = 2**24
"""Most bytes of the table."""

SPLITS = {"train": "train", "validation": "valid", "test": "test"}
"""The splits of the table, and what they are called here."""

_COLUMNS = ("style", "bpm", "beat_type", "time_signature", "midi_filename", "split")


@dataclass(frozen=True)
class Take:
    """A take: one MIDI file, and what the table says of it."""

    style: str  # the primary one, such as funk
    kind: str  # beat or fill
    bpm: float
    time_signature: TimeSignature
    split: str  # train, valid or test


def find_root(folder: str) -> Path:
    """Find the folder of the dataset. Raises BadOption if there is none, or one without the table."""
    root = check_folder(folder, f"of the Groove MIDI Dataset, which has {TABLE}")
    if not is_file(root / TABLE):
        hint = "give the folder of the Groove MIDI Dataset, which has it"
        raise BadOption(f"{printable(folder)}: has no {TABLE}; {hint}.")
    return root


def list_files(folder: str) -> list[str]:
    """List the files of the table that are there, sorted.

    Raises BadOption without a folder or a table, UnreadableFile for a wrong table, and EmptyDataset where a split has
    no files.
    """
    root, takes = find_root(folder), read_takes(folder)
    found = sorted(name for name in takes if is_file(root / name))
    missing = set(SPLITS.values()) - {takes[name].split for name in found}
    if missing:
        raise EmptyDataset(f"{printable(folder)}: has no files of the splits {', '.join(sorted(missing))} of {TABLE}.")
    return found


def read_takes(folder: str) -> Mapping[str, Take]:
    """Read the takes of a folder by their files. Raises BadOption or UnreadableFile, as `list_files` does."""
    root = find_root(folder)
    about = (root / TABLE).stat()
    return _read_table(root, (about.st_mtime_ns, about.st_size))


@lru_cache(maxsize=4)
def _read_table(root: Path, _stamp: tuple[int, int]) -> Mapping[str, Take]:
    """Read the table; it is read again when its time or size has changed."""
    path, shown = root / TABLE, printable(str(root / TABLE))
    try:
        text = read_bytes(path, LARGEST).decode("utf-8-sig")
        rows = list(csv.DictReader(text.splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"{shown}: cannot be read as a table ({printable(str(error), 120)}).") from error
    lacking = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if lacking:
        raise UnreadableFile(f"{shown}: lacks the columns {', '.join(lacking)}.")
    takes = {}
    for line, row in enumerate(rows, start=2):
        try:
            takes[_check_name(row["midi_filename"])] = _parse_row(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableFile(f"{shown}: line {line} cannot be read ({printable(str(error), 120)}).") from error
    return takes


def _parse_row(row: Mapping[str, str]) -> Take:
    """Parse a row. Raises ValueError, KeyError, or TypeError and AttributeError where fields are missing."""
    bpm = float(row["bpm"])
    if not 1 <= bpm <= 1000:
        raise ValueError(f"{row['bpm']} is no tempo")
    signature = parse_time_signature(row["time_signature"].replace("-", "/"))
    return Take(row["style"].partition("/")[0], row["beat_type"], bpm, signature, SPLITS[row["split"]])


def _check_name(name: str) -> str:
    """Return the path of a file inside the folder. Raises ValueError for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name} is no file of the folder")
    return str(path)
