"""A corpus: the pieces of a dataset as tokens on disk, memory-mapped and split; it knows no network.

Built once for a dataset and a tokenizer, in parallel, and cached by the content of both and the sides that the dataset
gives. Its folder holds `tokens.bin` (N,) and `inputs.bin` (N, C) of all pieces end to end, `pieces.npz` and
`corpus.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from composer import __version__
from composer.encoding import Encodings, Refused, encode, given_side, model_inputs
from composer.errors import CannotWrite, EmptyDataset, printable
from composer.splits import SPLITS, assign, given
from composer.types import Dataset, Tokenizer, Tokens

CHUNK = 64
"""Sources that one call of a worker reads."""

POOL_AFTER = 2.0
"""Seconds of building after which the rest is shared among processes; a small folder is done before."""

Report = Callable[[int, int], None]
"""Told of progress: sources done, sources in all."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Pieces as tokens. Arrays over all N tokens are memory-mapped; those over the P pieces are in memory."""

    folder: Path

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """What it was built from, how many pieces were kept, and every refused one with its reason."""
        return json.loads((self.folder / "corpus.json").read_text())

    @cached_property
    def _pieces(self) -> Mapping[str, NDArray[Any]]:
        with np.load(self.folder / "pieces.npz") as file:
            return {name: file[name] for name in file.files}

    @cached_property
    def tokens(self) -> NDArray[np.uint16]:
        """(N,) the tokens of all pieces, end to end."""
        return np.memmap(self.folder / "tokens.bin", dtype=np.uint16, mode="r")

    @cached_property
    def inputs(self) -> NDArray[np.uint16]:
        """(N, C) what a model is given to predict each token."""
        flat = np.memmap(self.folder / "inputs.bin", dtype=np.uint16, mode="r")
        return flat.reshape(len(self.tokens), -1)

    @property
    def names(self) -> NDArray[np.str_]:
        """(P,) names of the pieces."""
        return self._pieces["names"]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(P + 1,) where each piece begins among the tokens."""
        return self._pieces["offsets"]

    @property
    def notes(self) -> NDArray[np.int64]:
        """(P,) notes of each piece."""
        return self._pieces["notes"]

    @property
    def beats(self) -> NDArray[np.float64]:
        """(P,) beats of each piece."""
        return self._pieces["beats"]

    @property
    def refused(self) -> list[Refused]:
        """The pieces that were not taken."""
        return [Refused(**row) for row in self.about["refused"]]

    def split(self, name: str) -> NDArray[np.int64]:
        """The numbers of the pieces of one split."""
        return np.flatnonzero(self._pieces["splits"] == SPLITS.index(name))

    def piece(self, number: int) -> Tokens:
        """The tokens of one piece."""
        start, end = self.offsets[number : number + 2]
        return self.tokens[start:end].astype(np.int64)


def cache_folder() -> Path:
    """Where corpora are kept: the platform's cache folder, or `COMPOSER_CACHE`."""
    if chosen := os.environ.get("COMPOSER_CACHE"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("composer-midi")


def build(
    dataset: Dataset,
    tokenizer: Tokenizer,
    *,
    name: str = "",
    cache: Path | None = None,
    workers: int = 1,
    report: Report | None = None,
) -> Corpus:
    """The corpus of a dataset, from the cache or built now. Raises EmptyDataset, with reasons, if nothing is left.

    `name` is how the user calls the dataset. With more `workers` a long build is shared among processes; they import
    the main module, which must then keep its work under `if __name__ == "__main__"`.
    """
    sources = list(dataset.sources())
    if not sources:
        raise EmptyDataset(f"the dataset {printable(name)} is empty: no file in it can be read by any plugin.")
    about = {
        "version": __version__,
        "dataset": type(dataset).__name__,
        "options": asdict(dataset),  # type: ignore[call-overload]
        "tokenizer": [type(tokenizer).__name__, asdict(tokenizer)],  # type: ignore[call-overload]
        "vocabulary": tokenizer.vocabulary,
        "columns": [asdict(column) for column in tokenizer.grammar.columns],
        "sources": [[source, dataset.fingerprint(source), given_side(dataset, source)] for source in sources],
    }
    key = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16).hexdigest()
    folder = (cache or cache_folder()) / "corpora" / key
    if not (folder / "corpus.json").is_file():
        results = _encodings(dataset, tokenizer, sources, workers, report or _untold)
        try:
            _write(folder, results, tokenizer, {"name": name, "title": dataset.title, "licence": dataset.licence})
        except OSError as error:
            raise CannotWrite(f"{printable(str(folder))}: the cache cannot be written ({error.strerror}).") from error
    return Corpus(folder)


def _untold(done: int, total: int) -> None:
    """Nobody wants to know."""


def _encodings(
    dataset: Dataset, tokenizer: Tokenizer, sources: Sequence[str], workers: int, report: Report
) -> Iterator[Encodings]:
    """What came of all sources, in their order; by more processes only where the work is long enough to pay."""
    work = partial(encode, dataset, tokenizer)
    started, done = monotonic(), 0
    while done < len(sources) and (workers == 1 or monotonic() - started < POOL_AFTER):
        step = CHUNK if monotonic() - started < POOL_AFTER / 8 and done else 4
        yield work(sources[done : done + step])
        done = min(done + step, len(sources))
        report(done, len(sources))
    if done == len(sources):
        return
    size = max(1, min(CHUNK, (len(sources) - done) // (4 * workers)))
    chunks = [sources[i : i + size] for i in range(done, len(sources), size)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for chunk, result in zip(chunks, pool.map(work, chunks), strict=True):
            done += len(chunk)
            report(done, len(sources))
            yield result


def _write(folder: Path, results: Iterator[Encodings], tokenizer: Tokenizer, about: Mapping[str, Any]) -> None:
    """A corpus folder that appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        with (scratch / "tokens.bin").open("wb") as tokens, (scratch / "inputs.bin").open("wb") as inputs:
            pieces, refused, mended = _stream(results, tokenizer, tokens, inputs)
        if not pieces["names"]:
            shown = printable(str(about["name"])) or "the dataset"
            raise EmptyDataset(f"no piece of {shown} can be used.{_reasons(refused)}")
        arrays = {
            "names": np.array(pieces["names"]),
            "offsets": np.concatenate([[0], np.cumsum(pieces["lengths"])]),
            "notes": np.array(pieces["notes"]),
            "beats": np.array(pieces["beats"]),
            "splits": _splits(pieces["sides"], pieces["groups"], refused),
        }
        np.savez(scratch / "pieces.npz", **arrays)  # type: ignore[arg-type]  # names an option that is not given
        counts = {"kept": len(pieces["names"]), "mended": mended, "refused": [asdict(r) for r in refused]}
        (scratch / "corpus.json").write_text(json.dumps({**about, **counts}, indent=1))
        if not folder.exists():
            scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _stream(
    results: Iterator[Encodings], tokenizer: Tokenizer, tokens: BinaryIO, inputs: BinaryIO
) -> tuple[dict[str, list[Any]], list[Refused], int]:
    """Write tokens and inputs as they come; memory holds one chunk and a few numbers a piece."""
    pieces: dict[str, list[Any]] = {field: [] for field in ("names", "lengths", "notes", "beats", "groups", "sides")}
    refused: list[Refused] = []
    mended = 0
    for result in results:
        for piece, columns in zip(result.kept, model_inputs(tokenizer, [p.tokens for p in result.kept]), strict=True):
            tokens.write(piece.tokens.tobytes())
            inputs.write(columns.tobytes())
            row = (piece.name, len(piece.tokens), piece.notes, piece.beats, piece.group, piece.side)
            for values, value in zip(pieces.values(), row, strict=True):
                values.append(value)
        refused.extend(result.refused)
        mended += result.mended
    return pieces, refused, mended


def _splits(sides: Sequence[str], groups: Sequence[int], refused: Sequence[Refused]) -> NDArray[np.int8]:
    try:
        return given(sides) if any(sides) else assign(groups)
    except EmptyDataset as error:
        raise EmptyDataset(f"{error}{_reasons(refused)}") from None


def _reasons(refused: Sequence[Refused]) -> str:
    """A sentence on the first few refused pieces, if there are any."""
    if not refused:
        return ""
    shown = [f"{printable(r.name, 60)}: {r.reason.rstrip('.')}" for r in refused[:3]]
    more = [f"and {len(refused) - 3} more"] if len(refused) > 3 else []
    return f" Refused: {'; '.join(shown + more)}."
