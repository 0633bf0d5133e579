"""The folder of a batch: its layout, its manifest, its repair, and the choice of the best pieces.

    catalogue.sqlite      the catalogue
    manifest.jsonl        a line of JSON for each finished piece, written at the end, for people without SQL
    catalogue.parquet     a row for each piece, if requested
    0000/000017.mid       the pieces, a thousand in a folder
    shards/03-of-16/      the catalogue and the manifest of a run that makes a part of the batch

Files are written before the catalogue records them as done. After a kill, a piece is therefore either done, or made
again with the same bytes. A power cut may lose files that the catalogue records as done, since files are flushed to
disk at the end of a run only. The next run reads the files of an unfinished run, and compares them with their hashes.

The best pieces of a job stay and the others are removed, by the ranks in the catalogue. A piece that is not among the
best so far cannot be among the best of all, so it is removed at once. Each shard keeps the best of its own pieces, and
the shard that ends last keeps the best of these.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from composer.errors import BatchFailed, CannotWrite, printable
from composer.io.outputs import NAME as LOCK
from composer.io.outputs import hold_lock
from composer.storage.atomic import write_whole_file
from composer.storage.inside import is_file, join_inside
from composer_batch import folder
from composer_batch.catalogue import NAME, Catalogue, Shard, open_catalogue
from composer_batch.cell import Cell
from composer_batch.filters import Keep

# --- layout and repair ------------------------------------------------------------------------------------------------


SHARDS, SCRATCH, PARQUET = "shards", ".scratch", "catalogue.parquet"


def find_run_folder(out: Path, shard: Shard) -> Path:
    """Return the folder in which the catalogue of a run lies."""
    return out if shard.parts == 1 else join_inside(out, SHARDS, f"{shard.part:02}-of-{shard.parts:02}")


def find_catalogues(out: Path) -> list[Path]:
    """Find the catalogues in the folder of a batch: one, or one for each shard."""
    shards = join_inside(out, SHARDS)
    places = [
        join_inside(out, NAME),
        *(join_inside(shards, path.parent.name, NAME) for path in sorted(shards.glob(f"*/{NAME}"))),
    ]
    return [path for path in places if is_file(path)]


def check(out: Path, shard: Shard) -> None:
    """Raise BatchFailed for a folder with other contents, CannotWrite for a path that is no folder."""
    shown = printable(str(out))
    try:
        names = {path.name for path in out.iterdir()} if out.exists() else set()
    except OSError as error:
        raise CannotWrite(f"{shown}: cannot be used as a folder ({error.strerror}).") from error
    ours = {LOCK, NAME, f"{NAME}-journal", SHARDS, SCRATCH}  # manifests and tables come after the catalogue
    if (
        not (find_run_folder(out, shard) / NAME).exists()
        and not find_catalogues(out)
        and (others := sorted(names - ours))
    ):
        raise BatchFailed(f"{shown}: holds other things ('{printable(others[0])}'); name a new folder.")
    whole = (out / NAME).exists()
    parts = {path.name.rpartition("-")[2] for path in (out / SHARDS).glob("*-of-*")} - {f"{shard.parts:02}"}
    if (whole and shard.parts > 1) or (parts and not whole) or (not whole and shard.parts == 1 and parts):
        kind = f"in {printable(min(parts), 10).lstrip('0')} shards" if parts else "without shards"
        raise BatchFailed(f"{shown}: was begun {kind}; go on so, or name another folder.")


def write(out: Path, stem: str, files: Mapping[str, bytes], scratch: Path, known: set[Path]) -> None:
    """Write the files of a piece, by suffix. Each is written whole in the scratch folder of this run, and then moved.

    The folders in `known` exist. Raises CannotWrite.
    """
    folder, name = stem.split("/")
    try:
        for path in {out / folder, scratch} - known:
            join_inside(path.parent, path.name).mkdir(exist_ok=True)
            known.add(path)
        for suffix, data in files.items():
            made = scratch / f"piece.{suffix}"
            made.write_bytes(data)
            made.replace(out / folder / f"{name}.{suffix}")
    except OSError as error:
        raise CannotWrite(f"{printable(str(out / stem))}: cannot be written ({error.strerror}).") from error


def make_path(out: Path, stem: str, suffix: str) -> Path:
    """Build the path of a file of a piece from its stem. Raises CannotWrite if it leads out of the batch."""
    folder, _, name = stem.partition("/")
    return join_inside(out, folder, f"{name}.{suffix}")


def remove_files(out: Path, catalogue: Catalogue, pieces: Iterable[tuple[int, str, Iterable[str]]]) -> None:
    """Delete the files of pieces (number, stem, suffixes) that are `dropping` in the catalogue. Raises CannotWrite."""
    gone = []
    for number, stem, suffixes in pieces:
        for suffix in suffixes:
            try:
                make_path(out, stem, suffix).unlink(missing_ok=True)
            except OSError as error:
                raise CannotWrite(f"{printable(stem)}: cannot be deleted ({error.strerror}).") from error
        gone.append(number)
    catalogue.mark_dropped(gone)


def repair(out: Path, catalogue: Catalogue, settled: int) -> None:
    """Repair what a killed run left: half-written files, files still to be removed, and files that are missing.

    Files of runs after `settled` are read, and compared with their hashes.
    """
    shutil.rmtree(join_inside(catalogue.path.parent, SCRATCH), ignore_errors=True)
    remove_files(out, catalogue, catalogue.list_dropping())
    gone = []
    for row in catalogue.read_pieces("done", "number, stem, files, run"):
        paths = {make_path(out, row["stem"], suffix): about for suffix, about in row["files"].items()}
        if not all(_is_there(path, size, row["run"] > settled and digest) for path, (digest, size) in paths.items()):
            gone.append(row["number"])
    catalogue.reset_pieces(gone)


def _is_there(path: Path, size: int, digest: str | bool) -> bool:
    """Tell whether a file has this size and, if a hash is given, this content."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    if not digest:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def flush(catalogue: Catalogue, run: int) -> None:
    """Flush all files to disk, where the system can, and record it in the catalogue."""
    shutil.rmtree(catalogue.path.parent / SCRATCH, ignore_errors=True)
    if hasattr(os, "sync"):
        os.sync()
        catalogue.mark_settled(run)


# --- the manifest -----------------------------------------------------------------------------------------------------


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


# --- the best of a job ------------------------------------------------------------------------------------------------


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
                write_manifest(catalogue, path.with_name(MANIFEST))
