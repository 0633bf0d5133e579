"""Folders of files that a dataset reads: found, and fingerprinted by content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from composer.errors import BadOption, ComposerError, printable
from composer.storage.inside import expand_home, is_file, is_folder
from composer.storage.opening import read_bytes


@lru_cache(maxsize=16)
def expand_path(folder: str) -> Path:
    """Return the path of a folder as it is typed, with a `~` expanded."""
    return expand_home(folder)


def check_folder(folder: str, hint: str) -> Path:
    """Return the path of a folder. Raises BadOption if there is none, with a hint of what to give."""
    root, shown = expand_path(folder), printable(folder)
    if not is_folder(root):
        problem = "is a file, not a folder" if is_file(root) else "there is no such folder"
        raise BadOption(f"{shown}: {problem}; give the folder {hint}.")
    return root


def hash_file(path: Path, largest: int, about: bytes = b"") -> str:
    """Return a hash of the content of a file, and of what else is known about it.

    A file that cannot be read, or has more than `largest` bytes, is `unreadable`.
    """
    try:
        return hashlib.blake2b(read_bytes(path, largest) + about, digest_size=16).hexdigest()
    except (OSError, ComposerError):
        return "unreadable"
