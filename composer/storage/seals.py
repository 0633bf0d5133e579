"""Seals that tell a user's own words from a stranger's, with a key that never leaves the user's cache."""

from __future__ import annotations

import hashlib
import hmac
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from composer.storage.cache import find_cache_folder, make_folder
from composer.storage.inside import open_inside

NAME, SIZE = "key", 32
"""The file of the key, and its size in bytes."""


def sign_words(*words: str) -> str:
    """Seal some words as this user's own; empty where no key can be kept."""
    with suppress(OSError):
        return _compute_mark(_read_key() or _make_key(), words)
    return ""


def is_ours(mark: str, *words: str) -> bool:
    """Tell whether this user has sealed these words."""
    try:
        key = _read_key()
    except OSError:
        return False
    return bool(key) and hmac.compare_digest(mark.encode(errors="replace"), _compute_mark(key, words).encode())


def _compute_mark(key: bytes, words: tuple[str, ...]) -> str:
    return hashlib.blake2b("\0".join(words).encode(errors="surrogatepass"), key=key, digest_size=16).hexdigest()


def _read_key() -> bytes:
    """Read the key; empty where there is none yet. Raises OSError."""
    try:
        with open_inside(_locate_key(), "read") as file:
            found = file.read(SIZE)
    except FileNotFoundError:
        return b""
    if len(found) != SIZE:
        raise OSError("the key is damaged")
    return found


def _make_key() -> bytes:
    """Make a key, or read the one that another process has written meanwhile. Raises OSError."""
    make_folder(_locate_key().parent)
    with tempfile.NamedTemporaryFile(dir=_locate_key().parent) as file:  # nobody else reads it
        file.write(os.urandom(SIZE))
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(file.name, _locate_key())
    return _read_key()


def _locate_key() -> Path:
    return find_cache_folder() / NAME
