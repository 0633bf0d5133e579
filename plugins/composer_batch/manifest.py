"""The manifest of a batch: a line of JSON for each finished piece, for people without SQL."""

from __future__ import annotations

import json
from pathlib import Path

from composer.storage.atomic import write_whole_file
from composer_batch.catalogue import Catalogue

MANIFEST = "manifest.jsonl"


def write_manifest(catalogue: Catalogue, path: Path) -> None:
    """Write one line for each finished piece, in the order of the jobs. Raises CannotWrite."""
    with write_whole_file(path) as scratch, scratch.open("w", encoding="utf-8") as file:
        for row in catalogue.read_pieces("done"):
            files = {
                f"{row['stem']}.{suffix}": {"sha256": digest, "bytes": size}
                for suffix, (digest, size) in row["files"].items()
            }
            line = {
                "number": row["number"],
                "files": files,
                "model": row["model"],
                "model_hash": row["model_hash"],
                **(row["asked"] or {}),
                "metrics": row["metrics"],
            }
            file.write(json.dumps(line) + "\n")
