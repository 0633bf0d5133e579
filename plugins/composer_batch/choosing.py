"""Selection: the best pieces of a job stay and the others are removed, by the ranks in the catalogue.

A piece that is not among the best so far cannot be among the best of all, so it is removed at once. Each shard keeps
the best of its own pieces, and the shard that ends last keeps the best of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from composer.io.lock import hold_lock
from composer_batch import folder, manifest
from composer_batch.catalogue import Catalogue, open_catalogue
from composer_batch.cell import Cell
from composer_batch.filters import Keep


def keep_best(out: Path, catalogues: Sequence[Catalogue], kept: Mapping[int, str]) -> int:
    """Keep the best pieces of each job, by its `keep`, across these catalogues. Return how many were removed."""
    count = 0
    for job, text in kept.items():
        keep = Keep.parse(text)
        if len(catalogues) == 1:
            beyond = [(catalogues[0], number) for *_, number in catalogues[0].rank_pieces(job, keep.by, keep.count)]
        else:
            ranked = [(key, shard) for shard, one in enumerate(catalogues) for key in one.rank_pieces(job, keep.by)]
            beyond = [(catalogues[shard], key[-1]) for key, shard in sorted(ranked)[keep.count :]]
        count += len(beyond)
        for catalogue in catalogues:
            dropped = catalogue.drop([number for one, number in beyond if one is catalogue])
            folder.remove_files(out, catalogue, dropped)
    return count


def collect_keep_rules(cells: Iterable[Cell]) -> dict[int, str]:
    """Collect the `keep` of each job that has one."""
    return {cell.job: cell.keep for cell in cells if cell.keep is not None}


def keep_best_of_shards(out: Path, parts: int, kept: Mapping[int, str]) -> None:
    """Keep the best pieces of all shards, and rewrite their manifests. Do nothing while a shard has pieces to make."""
    if not kept:
        return
    with hold_lock(out / folder.SHARDS, wait=True), ExitStack() as stack:
        paths = folder.find_catalogues(out)
        catalogues = [stack.enter_context(open_catalogue(path)) for path in paths]
        if len(paths) < parts or any(catalogue.count_states()["waiting"] for catalogue in catalogues):
            return  # the shard that ends last does it
        if keep_best(out, catalogues, kept):
            for path, catalogue in zip(paths, catalogues, strict=True):
                manifest.write_manifest(catalogue, path.with_name(manifest.MANIFEST))
