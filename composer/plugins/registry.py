"""The registry: what the installed and enabled plugins offer, from the cache of an earlier run where that still fits.

It is the top of this room, and names no plugin.
"""

from __future__ import annotations

from functools import lru_cache

from composer.plugins import cache
from composer.plugins.discovery import find, get_plugin, is_disabled, list_disabled
from composer.plugins.offers import Registry, load


def registry() -> Registry:
    """Return the registry of all plugins that are installed and not disabled; built once for each set of them."""
    return _build_registry(list_disabled())


@lru_cache(maxsize=8)
def _build_registry(names: tuple[str, ...]) -> Registry:
    points = [point for point in find() if not is_disabled(get_plugin(point), names)]
    if (recalled := cache.recall(points)) is not None:
        return recalled
    from composer.plugins import help_lines, probing  # only where plugins have changed

    loaded = load(points, lost=probing.find_lost(point for point in points if not get_plugin(point).ours))
    cache.keep(points, loaded)
    help_lines.keep(loaded)
    return loaded
