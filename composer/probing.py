"""Imports plugins in processes of their own, with a time limit, so that none hangs or ends ours; it knows no plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from time import perf_counter

from composer.cache import cache_folder
from composer.catalogue import mark
from composer.errors import CannotWrite
from composer.files import whole_file
from composer.plugins import load

LIMIT = 20.0
"""Seconds that a plugin may take to be imported and to say what it offers."""

_CHILD = """
import json, sys
point, sys.path[:], out = json.loads(sys.argv[1])
from composer.probing import report
report(point, out)
"""


@dataclass(frozen=True)
class Probe:
    """What came of importing one plugin, and of asking what it offers."""

    seconds: float = 0.0
    lost: str = ""  # why its process came to no end, or to a bad one
    fault: str = ""  # why it would be left out even so


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
    (plugin,) = load([EntryPoint(*point)]).plugins
    found = asdict(Probe(perf_counter() - began, fault=plugin.fault))
    Path(out).write_text(json.dumps(found), encoding="utf-8")
    os._exit(0)  # whatever the plugin has begun


def probes(points: Sequence[EntryPoint]) -> list[Probe]:
    """A probe of each, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(probe, points))


def lost(points: Iterable[EntryPoint], *, again: bool = False) -> dict[EntryPoint, str]:
    """Those that cannot even be imported, and why; each is probed once, and again when its files have changed."""
    marks = {point: mark(point) for point in points}
    known = {} if again else _kept()
    unknown = [point for point, now in marks.items() if now not in known]
    if unknown:
        known |= {marks[point]: found.lost for point, found in zip(unknown, probes(unknown), strict=True)}
        keep(known)
    return {point: known[now] for point, now in marks.items() if known[now]}


def _kept() -> dict[str, str]:
    try:
        values = json.loads(_place().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    right = isinstance(values, dict) and all(isinstance(value, str) for value in values.values())
    return values if right else {}


def keep(verdicts: dict[str, str]) -> None:
    """Remember why each plugin, by its mark, could not be imported (nothing: it could)."""
    try:
        _place().parent.mkdir(parents=True, exist_ok=True)
        with whole_file(_place()) as scratch:
            scratch.write_text(json.dumps(verdicts), encoding="utf-8")
    except (OSError, CannotWrite):
        return  # it is asked again


def _place() -> Path:
    return cache_folder() / "probes.json"
