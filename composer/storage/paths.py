"""Paths as users and files spell them, valid or not."""

from __future__ import annotations

import os
from pathlib import Path


def expand_home(text: str) -> Path:
    """Expand `~` or `~name` in a path; without such a user it stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  (that of `Path` raises RuntimeError)


def is_file(path: Path) -> bool:
    """Tell whether there is a regular file; false for names that no file system takes."""
    return os.path.isfile(path)  # noqa: PTH113  (that of `Path` raises OSError for a long name)


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder; false for names that no file system takes."""
    return os.path.isdir(path)  # noqa: PTH112
