"""The registry: what the installed and enabled plugins offer, each from the cache of an earlier run if it still fits.

It is the top of this room, and names no plugin.
"""

from __future__ import annotations

from functools import lru_cache

from composer.plugins import cache
from composer.plugins.discovery import find, get_plugin, is_disabled, list_disabled
from composer.plugins.offers import Registry, combine, read_plugin


def registry() -> Registry:
    """Return the registry of all plugins that are installed and not disabled; built once for each set of them."""
    return _build_registry(list_disabled())


@lru_cache(maxsize=8)
def _build_registry(names: tuple[str, ...]) -> Registry:
    points = [point for point in find() if not is_disabled(get_plugin(point), names)]
    found = cache.recall(points)
    if not (changed := [point for point in points if point not in found]):
        return combine(found[point] for point in points)
    from composer.plugins import help_lines, probing  # only where plugins have changed

    lost = probing.find_lost(point for point in changed if not get_plugin(point).ours)
    read = {point: read_plugin(point, lost=lost.get(point, "")) for point in changed}
    cache.keep(read)
    registry = combine({**found, **read}[point] for point in points)
    help_lines.keep(registry)
    return registry
