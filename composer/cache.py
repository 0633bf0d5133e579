"""Where things that can be made again are kept between runs; it knows none of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from warnings import warn

from composer.errors import RunWarning, printable
from composer.paths import from_home

CACHE = "COMPOSER_CACHE"


def cache_folder() -> Path:
    """The platform's cache folder, or `COMPOSER_CACHE`."""
    if chosen := os.environ.get(CACHE):
        return from_home(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("composer-midi")


def writable_cache() -> Path:
    """The cache folder; where nothing can be written there, from now on one that ends with this process, and a warning.

    The processes that this one starts find it, too.
    """
    import atexit  # where a corpus is built, which takes longer
    import shutil
    import tempfile

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        made = tempfile.mkdtemp(prefix="composer-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
        os.environ[CACHE] = made
        why = f"{printable(str(folder))}: cannot be written ({error.strerror})"
        warn(RunWarning(f"{why}; music is encoded for this run alone. {CACHE} names another folder."), stacklevel=2)
        return Path(made)
    return folder


def digest_of(paths: Iterable[Path]) -> str:
    """Another one for files of other content. Raises OSError."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, hashlib.blake2b).digest())
    return digest.hexdigest()
