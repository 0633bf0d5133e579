"""The cache folder: files that can be made again, kept between runs.

Its content is trusted, and some of it is executed. So the folder must be the user's own: a folder that others can write
to is not used.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from warnings import warn

from composer.errors import RunWarning, printable
from composer.storage.inside import expand_home

CACHE = "COMPOSER_CACHE"

_WE = (os.getuid(), 0) if hasattr(os, "getuid") else ()
"""Permitted owners of the folder: the user and the administrator; anybody on systems without user ids."""


def find_cache_folder() -> Path:
    """Find the platform's cache folder, or `COMPOSER_CACHE`.

    If others can write to it, this process uses a temporary one, with a warning.
    """
    folder = _choose_folder()
    if why := _find_fault(folder):
        return _make_temporary_cache(f"{printable(str(folder), 200)}: {why}, and is not used")
    return folder


def _choose_folder() -> Path:
    if chosen := os.environ.get(CACHE):
        return expand_home(chosen)
    if sys.platform == "linux" and not os.environ.get("XDG_CACHE_HOME"):
        return expand_home("~/.cache/composer-midi")  # as platformdirs says, whose import would be felt in help
    from platformdirs import user_cache_path

    return user_cache_path("composer-midi")


def _find_fault(folder: Path) -> str:
    """Say why a folder's content cannot be trusted; empty for the user's own folder, or a missing one."""
    try:
        found = folder.stat()
    except OSError:
        return ""
    if _WE and found.st_uid not in _WE:
        return "belongs to somebody else"
    shared = found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_alone(found.st_gid))
    return "can be written to by others (`chmod go-w` mends it)" if _WE and shared else ""


def _is_alone(group: int) -> bool:
    """Tell whether the user is the only member of a group, as many systems make one for each."""
    import grp
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
        return group == os.getgid() and set(grp.getgrgid(group).gr_mem) <= {name}
    except KeyError:
        return False


def find_writable_cache() -> Path:
    """Find the cache folder, and make it if need be.

    If it cannot be written, this process uses a temporary one, with a warning.
    """
    import tempfile

    folder = find_cache_folder()
    try:
        make_folder(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        why = f"{printable(str(folder), 200)}: cannot be written ({error.strerror})"
        return _make_temporary_cache(f"{why}; music is encoded for this run alone")
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder, and the cache around it, which nobody else can write to. Raises OSError."""
    cache = _choose_folder()
    if cache in (folder, *folder.parents):
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)


def _make_temporary_cache(why: str) -> Path:
    """Make a cache that is deleted at the end of this process; child processes use it too."""
    import atexit  # seldom
    import tempfile

    made = tempfile.mkdtemp(prefix="composer-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    os.environ[CACHE] = made
    warn(RunWarning(f"{why}. {CACHE} names another folder."), stacklevel=3)
    return Path(made)


# --- folders that appear whole ----------------------------------------------------------------------------------------


def clear_damaged(folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Remove a folder that is damaged, unless another process has just replaced it. Raises OSError."""
    import tempfile

    if not folder.exists() or is_whole(folder):
        return
    aside = Path(tempfile.mkdtemp(prefix=".spoilt-", dir=folder.parent))
    try:
        folder.rename(aside / folder.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def put_folder(made: Path, folder: Path, is_whole: Callable[[Path], bool]) -> None:
    """Move a finished folder to its path, unless another process was first. Raises OSError."""
    try:
        made.rename(folder)
    except OSError:
        if not is_whole(folder):
            raise


def hash_files(paths: Iterable[Path]) -> str:
    """Hash the content of files. Raises OSError."""
    import hashlib

    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, hashlib.blake2b).digest())
    return digest.hexdigest()
