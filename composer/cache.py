"""Where things that can be made again are kept between runs; it knows none of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from composer.paths import from_home


def cache_folder() -> Path:
    """The platform's cache folder, or `COMPOSER_CACHE`."""
    if chosen := os.environ.get("COMPOSER_CACHE"):
        return from_home(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("composer-midi")


def digest_of(paths: Iterable[Path]) -> str:
    """Another one for files of other content. Raises OSError."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, hashlib.blake2b).digest())
    return digest.hexdigest()
