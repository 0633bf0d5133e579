"""Imports plugins in processes of their own, with a time limit, so that none hangs or ends ours; it knows no plugin."""

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

from composer.devices import processors
from composer.errors import CannotWrite
from composer.plugins.cache import mark
from composer.plugins.offers import load
from composer.storage.atomic import whole_file
from composer.storage.cache import cache_folder, make

LIMIT = 20.0
"""Seconds that a plugin may take to be imported and to say what it offers."""

_CHILD = """
import json, sys
point, sys.path[:], out = json.loads(sys.argv[1])
from composer.plugins.probing import report
report(point, out)
"""


@dataclass(frozen=True)
class Probe:
    """What came of importing one plugin, and of asking what it offers."""

    seconds: float = 0.0
    lost: str = ""  # why its process came to no end, or to a bad one


def probe(point: EntryPoint, limit: float | None = None) -> Probe:
    """Import one plugin elsewhere; `limit` is in seconds, `LIMIT` unless given."""
    limit = LIMIT if limit is None else limit
    with tempfile.TemporaryDirectory(prefix="composer-") as folder:
        out = Path(folder) / "probe.json"
        asked = json.dumps([[point.name, point.value, point.group], sys.path, str(out)])
        # The result goes to a file: a pipe stays open as long as anything that the plugin has begun.
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
    """In the other process: import the plugin, and write down what came of it."""
    began = perf_counter()
    load([EntryPoint(*point)])
    found = asdict(Probe(perf_counter() - began))
    Path(out).write_text(json.dumps(found), encoding="utf-8")
    os._exit(0)  # whatever the plugin has begun


def probes(points: Sequence[EntryPoint]) -> list[Probe]:
    """A probe of each, as many at a time as there are processors."""
    with ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(probe, points))


def lost(points: Iterable[EntryPoint]) -> dict[EntryPoint, str]:
    """Those that cannot even be imported, and why; each is probed once, and again when its files have changed."""
    points = list(points)
    known = {point: probe for point in points if (probe := _recalled(point)) is not None}
    if unknown := [point for point in points if point not in known]:
        new = dict(zip(unknown, probes(unknown), strict=True))
        remember(new)
        known |= new
    return {point: one.lost for point, one in known.items() if one.lost}


def known() -> dict[str, float]:
    """The seconds that importing took, by the name of the plugin, as far as it was measured."""
    return {name: values["seconds"] for name, values in _kept().items() if not values["lost"]}


def remember(found: Mapping[EntryPoint, Probe]) -> None:
    """Keep what came of probes for later runs, where the cache can be written to."""
    kept = _kept() | {point.name: {**asdict(one), "mark": mark(point)} for point, one in found.items()}
    try:
        make(_place().parent)
        with whole_file(_place()) as scratch:
            scratch.write_text(json.dumps(kept), encoding="utf-8")
    except (OSError, CannotWrite):
        return  # it is measured again


def _recalled(point: EntryPoint) -> Probe | None:
    values = _kept().get(point.name)
    if values is None or values["mark"] != mark(point):
        return None
    return Probe(values["seconds"], values["lost"])


def _kept() -> dict[str, dict[str, Any]]:
    """What is kept of each plugin, by name."""
    try:
        values = json.loads(_place().read_text(encoding="utf-8"))
        return {name: one for name, one in values.items() if {"mark", "seconds", "lost"} <= set(one)}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _place() -> Path:
    return cache_folder() / "probes.json"
