"""Paths as users and files name them, which may be no paths at all; it opens nothing."""

from __future__ import annotations

import os
from pathlib import Path


def from_home(text: str) -> Path:
    """Read `text` as a path, its `~` or `~name` as the folder of that user; as it stands if there is no such user."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  (that of `Path` raises RuntimeError)


def is_file(path: Path) -> bool:
    """Say whether there is a regular file; there is none under a name that no file system takes."""
    return os.path.isfile(path)  # noqa: PTH113  (that of `Path` raises OSError for a long name)


def is_folder(path: Path) -> bool:
    """Say whether there is a folder; there is none under a name that no file system takes."""
    return os.path.isdir(path)  # noqa: PTH112
