"""Where things that can be made again are kept between runs; it knows none of them."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The platform's cache folder, or `COMPOSER_CACHE`."""
    if chosen := os.environ.get("COMPOSER_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("composer-midi")
