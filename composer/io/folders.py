"""The music files in a folder and its subfolders, by the suffixes that plugins read."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from composer.errors import LeftOutWarning, printable
from composer.plugins.registry import registry

HIDDEN, MACOS, CLOSED = "hidden files", "files that macOS adds", "folders that cannot be opened"
"""What is left out, and said to be."""

MACOS_FOLDER, MACOS_PREFIX = "__MACOSX", "._"
"""Where macOS keeps what other file systems have no place for: files with the names of others, but no music."""


def find_music(root: Path) -> list[str]:
    """Find every file of a suffix that a plugin reads: paths from `root`, with `/` between names, sorted.

    Links are followed; a folder reached twice counts once. Hidden files and folders are left out. LeftOutWarning counts
    the files left out, and the folders that cannot be opened.
    """
    left_out: Counter[str] = Counter()
    found = sorted(_walk(root, left_out))
    if left_out:
        warnings.warn(LeftOutWarning(printable(str(root)), left_out), stacklevel=2)
    return found


def _walk(root: Path, left_out: Counter[str]) -> Iterator[str]:
    suffixes = registry().offers["readers"]
    seen: set[tuple[int, int]] = set()
    ahead = [(str(root), "", False)]
    while ahead:
        folder, before, is_left_out = ahead.pop()
        try:
            place = os.stat(folder)  # noqa: PTH116  (a folder may hold a hundred thousand)
            if (place.st_dev, place.st_ino) in seen:
                continue
            seen.add((place.st_dev, place.st_ino))
            with os.scandir(folder) as inside:
                entries = list(inside)
        except OSError:
            left_out[CLOSED] += 1
            continue
        for entry in entries:
            name = entry.name
            if os.path.splitext(name)[1].lower() in suffixes and not _is_folder(entry):  # noqa: PTH122  (likewise)
                if is_left_out or name.startswith(MACOS_PREFIX):
                    left_out[MACOS] += 1
                elif name.startswith("."):
                    left_out[HIDDEN] += 1
                else:
                    yield before + name
            elif not name.startswith(".") and _is_folder(entry):
                ahead.append((entry.path, f"{before}{name}/", is_left_out or name == MACOS_FOLDER))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False
