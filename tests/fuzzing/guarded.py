"""Starts a process that reads files, and tells what became of each, be it of the process."""

import base64
import json
import os
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")
PATIENCE = 600
"""Seconds without a word from a process that does nothing, not even reckon."""


@dataclass
class Found:
    """How so many files ended; `faults` are what should not be, each with what makes it again."""

    ended: Counter = field(default_factory=Counter)
    faults: list = field(default_factory=list)
    slowest: float = 0.0
    said: Counter = field(default_factory=Counter)


def fuzz(kind, count, folder, *, seed=1, most_faults=20, environment=None):
    """Make and read `count` files of a kind, in processes that have `environment` besides."""
    found, number = Found(), 0
    while number < count and len(found.faults) < most_faults:
        lines, died = _run(kind, seed, number, count - number, folder, environment or {})
        for line in lines:
            found.ended[line["how"]] += 1
            found.slowest = max(found.slowest, line["seconds"])
            found.said.update(line["said"])
            if line["fault"]:
                found.faults.append(_told(kind, seed, line["number"], line["fault"], bytes.fromhex(line["data"])))
        number += len(lines)
        if died and number < count:
            found.ended["fault"] += 1
            data = (folder / "now").read_bytes() if (folder / "now").exists() else b""
            found.faults.append(_told(kind, seed, number, died, data))
            number += 1
    return found


def _run(kind, seed, first, count, folder, more):
    """What a process said, and how it died, if it did."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(CHILD.parent), str(CHILD.parents[1]), *filter(None, sys.path)]),
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder),
        "COMPOSER_CACHE": str(folder / "cache"),
        "CC": "none",
        "PATH": "",  # nothing is compiled, and nothing else is started
        **more,
    }
    command = [sys.executable, CHILD, kind, seed, first, count, folder]
    with (folder / "said").open("w+") as said:
        try:
            done = subprocess.run(
                list(map(str, command)), env=environment, stdout=said, stderr=subprocess.PIPE, text=True, cwd=folder,
                timeout=PATIENCE + count, check=False,
            )  # fmt: skip
            status, error = done.returncode, done.stderr[-3000:]
        except subprocess.TimeoutExpired:
            status, error = -1, "it waits for something that does not come"
        said.seek(0)
        lines = [json.loads(line) for line in said]
    how = {-27: "it takes too long (10 seconds of a processor)"}.get(
        status, f"the process ended with {status}\n{error}"
    )
    return lines, how if status or len(lines) < count else ""


def _told(kind, seed, number, fault, data):
    packed = base64.b64encode(zlib.compress(data, 9)).decode()
    again = f"zlib.decompress(base64.b64decode({packed!r}))" if len(packed) < 6000 else f"{len(data)} bytes"
    return f"{kind}, seed {seed}, number {number}: {fault}\nfile: {again}"
