"""The registry: what the installed and enabled plugins offer, from the cache of an earlier run where that still fits.

It is the top of this room, and names no plugin.
"""

from __future__ import annotations

from functools import lru_cache

from composer.plugins import cache
from composer.plugins.discovery import disabled, find, is_left_out, plugin_of
from composer.plugins.offers import Registry, load


def registry() -> Registry:
    """Return the registry of all plugins that are installed and not disabled; built once for each set of them."""
    return _registry(disabled())


@lru_cache(maxsize=8)
def _registry(names: tuple[str, ...]) -> Registry:
    points = [point for point in find() if not is_left_out(plugin_of(point), names)]
    if (recalled := cache.recall(points)) is not None:
        return recalled
    from composer.plugins import help_lines, probing  # only where plugins have changed

    loaded = load(points, lost=probing.lost(point for point in points if not plugin_of(point).ours))
    cache.keep(points, loaded)
    help_lines.keep(loaded)
    return loaded
