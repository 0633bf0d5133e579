"""Probes: plugins imported in processes of their own, with a time limit, so that none can hang or end ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from time import perf_counter
from typing import Any

from composer.devices import count_processors
from composer.errors import CannotWrite
from composer.plugins.cache import compute_mark
from composer.plugins.offers import load
from composer.storage.atomic import write_whole_file
from composer.storage.cache import find_cache_folder, make_folder

LIMIT = 20.0
"""Seconds that a plugin may take to be imported and to answer its hooks."""

_CHILD = """
import json, sys
point, sys.path[:], out = json.loads(sys.argv[1])
from composer.plugins.probing import report
report(point, out)
"""


@dataclass(frozen=True)
class Probe:
    """The result of importing one plugin and calling its hooks."""

    seconds: float = 0.0
    lost: str = ""  # why its process hung or failed


def probe(point: EntryPoint, limit: float | None = None) -> Probe:
    """Import one plugin in another process; `limit` is in seconds, `LIMIT` unless given."""
    limit = LIMIT if limit is None else limit
    with tempfile.TemporaryDirectory(prefix="composer-") as folder:
        out = Path(folder) / "probe.json"
        asked = json.dumps([[point.name, point.value, point.group], sys.path, str(out)])
        # The result goes to a file: children of the plugin may hold a pipe open.
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([sys.executable, "-P", "-c", _CHILD, asked], **quiet)  # type: ignore[call-overload]  # noqa: S603
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            return Probe(limit, lost=f"was not imported after {limit:g} seconds")
        finally:
            process.kill()
            process.wait()
        try:
            return Probe(**json.loads(out.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Probe(lost=f"ended the process that imported it (exit status {status})")


def report(point: Sequence[str], out: str) -> None:
    """Import the plugin and write the result to a file; called in the other process."""
    began = perf_counter()
    load([EntryPoint(*point)])
    found = asdict(Probe(perf_counter() - began))
    Path(out).write_text(json.dumps(found), encoding="utf-8")
    os._exit(0)  # without waiting for threads of the plugin


def probe_all(points: Sequence[EntryPoint]) -> list[Probe]:
    """Probe each plugin, as many at a time as there are processors."""
    with ThreadPoolExecutor(count_processors()) as pool:
        return list(pool.map(probe, points))


def find_lost(points: Iterable[EntryPoint]) -> dict[EntryPoint, str]:
    """Return the plugins that cannot be imported, with the reason; a probe is repeated only after a change."""
    points = list(points)
    known = {point: probe for point in points if (probe := _recall(point)) is not None}
    if unknown := [point for point in points if point not in known]:
        new = dict(zip(unknown, probe_all(unknown), strict=True))
        remember(new)
        known |= new
    return {point: one.lost for point, one in known.items() if one.lost}


def recall_seconds() -> dict[str, float]:
    """Return the seconds of each import by name of plugin, as far as they were measured."""
    return {name: values["seconds"] for name, values in _read_cache().items() if not values["lost"]}


def remember(found: Mapping[EntryPoint, Probe]) -> None:
    """Cache probes for later runs, where the cache is writable."""
    kept = _read_cache() | {point.name: {**asdict(one), "mark": compute_mark(point)} for point, one in found.items()}
    try:
        make_folder(_locate_cache().parent)
        with write_whole_file(_locate_cache()) as scratch:
            scratch.write_text(json.dumps(kept), encoding="utf-8")
    except (OSError, CannotWrite):
        return  # it is measured again


def _recall(point: EntryPoint) -> Probe | None:
    values = _read_cache().get(point.name)
    if values is None or values["mark"] != compute_mark(point):
        return None
    return Probe(values["seconds"], values["lost"])


def _read_cache() -> dict[str, dict[str, Any]]:
    """Read the cached probes, by name of plugin."""
    try:
        values = json.loads(_locate_cache().read_text(encoding="utf-8"))
        return {name: one for name, one in values.items() if {"mark", "seconds", "lost"} <= set(one)}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _locate_cache() -> Path:
    return find_cache_folder() / "probes.json"
