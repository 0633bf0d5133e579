"""The state of a batch, from its folder, all shards together. Nothing is changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from composer.errors import BadOption, printable
from composer_batch.catalogue import STATES, open_catalogue
from composer_batch.folder import find_catalogues


def summarise(out: Path) -> dict[str, Any]:
    """Count pieces by state, rejections by gate, and the reasons of failures. Raises BadOption without a batch."""
    paths = find_catalogues(out)
    if not paths:
        raise BadOption(f"{printable(str(out))}: contains no batch.")
    states: Counter[str] = Counter()
    rejections: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    shards = []
    for path in paths:
        with open_catalogue(path, reading=True) as catalogue:
            states.update(catalogue.count_states())
            rejections.update(catalogue.count_rejections())
            aside.update(row["reason"] for row in catalogue.read_pieces("failed", "reason"))
            shards.append(catalogue.read_header()["shard"])
    return {
        "pieces": states.total(),
        "states": {state: states[state] for state in STATES if states[state]},
        "rejections": dict(rejections.most_common()),
        "set aside": dict(aside.most_common(20)),
        "shards": ", ".join(shards) if shards != ["1/1"] else "",
    }
