"""A corpus: the pieces of a dataset as tokens on disk, memory-mapped and split.

It is built once for a dataset and a tokenizer, in parallel, and cached by the content of both and by predefined splits.
A digest detects damage. Its folder holds `tokens.bin` (N,) and `inputs.bin` (N, C) of all pieces end to end,
`pieces.npz` with a few numbers a piece, `names.json`, `labels.json` and `corpus.json`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from composer import __version__
from composer.data.encoding import Encoded, Encodings, Refused, add_inputs, encode_sources, get_predefined_split
from composer.data.parallel import Map, share_work
from composer.data.splits import SPLITS, choose_splits
from composer.errors import CannotWrite, EmptyDataset, printable
from composer.io.lint import Remarks
from composer.music.score import Labels
from composer.plugins.options import get_values
from composer.storage.cache import (
    clear_damaged,
    find_cache_folder,
    find_writable_cache,
    hash_files,
    make_folder,
    put_folder,
)
from composer.tokens.conditions import split_conditions
from composer.types import Dataset, HasUnits, Tokenizer, Tokens, Trainable

CHUNK, CHUNK_SECONDS = 64, 0.25
"""The most sources of one call, and the time that it should take, so that progress is reported often."""

GROUP = 250_000
"""Tokens of the pieces whose inputs one call makes: many pieces side by side, in bounded memory."""

FORMAT = 3
"""Version of the files; a corpus of another version is rebuilt."""

Report = Callable[[int, int], None]
"""Called with progress: sources done, sources in all."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Pieces as tokens. Arrays over all N tokens are memory-mapped; those over the P pieces are in memory."""

    folder: Path

    @cached_property
    def about(self) -> Mapping[str, Any]:
        """Its origin, the number of pieces, every refused piece with its reason, and `Remarks.to_plain`."""
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
        """(N, C) the model inputs for each token."""
        flat = np.memmap(self.folder / "inputs.bin", dtype=np.uint16, mode="r")
        return flat.reshape(len(self.tokens), -1)

    @cached_property
    def names(self) -> NDArray[np.str_]:
        """(P,) names of the pieces."""
        return np.array(json.loads((self.folder / "names.json").read_text()))

    @cached_property
    def labels(self) -> Mapping[str, Sequence[str]]:
        """By the name of each label that any piece has, the values (P,) of all pieces; "" for none."""
        found: Mapping[str, Sequence[str]] = json.loads((self.folder / "labels.json").read_text())
        return found

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(P + 1,) the index of each piece's first token."""
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
    def unit(self) -> str:
        """What the dataset counts its likelihood by, such as a voice and a 16th; "" for nothing of its own."""
        return self.about.get("unit", "")

    @property
    def units(self) -> NDArray[np.int64]:
        """(P,) such units of each piece, where the dataset has them."""
        return self._pieces["units"]

    @property
    def lowest(self) -> NDArray[np.int64]:
        """(P,) the lowest MIDI pitch in the tokens of each piece, 0 if there is none."""
        return self._pieces["lowest"]

    @property
    def highest(self) -> NDArray[np.int64]:
        """(P,) the highest MIDI pitch in the tokens of each piece, 0 if there is none."""
        return self._pieces["highest"]

    @property
    def refused(self) -> list[Refused]:
        """The refused pieces."""
        return [Refused(**row) for row in self.about["refused"]]

    def split(self, name: str) -> NDArray[np.int64]:
        """Return the indices of the pieces of one split."""
        return np.flatnonzero(self._pieces["splits"] == SPLITS.index(name))

    def read_piece(self, number: int) -> Tokens:
        """Return the tokens of one piece."""
        start, end = self.offsets[number : number + 2]
        return self.tokens[start:end].astype(np.int64)


def build(
    dataset: Dataset,
    tokenizer: Tokenizer,
    *,
    name: str = "",
    cache: Path | None = None,
    workers: int = 1,
    report: Report | None = None,
) -> Corpus:
    """Build the corpus of a dataset, or take it from the cache. Raises EmptyDataset, with reasons, if no piece is left.

    `name` is the user's name for the dataset. With more `workers`, a long build is shared among processes. They import
    the main module, which must then keep its work under `if __name__ == "__main__"`.
    """
    sources = list(dataset.list_sources())
    if not sources:
        raise EmptyDataset(f"the dataset {printable(name)} is empty: no file in it can be read by any plugin.")
    inner, conditions = split_conditions(tokenizer)
    made_of = {
        "version": __version__,
        "format": FORMAT,
        "dataset": type(dataset).__name__,
        "options": get_values(dataset),
        "tokenizer": [type(inner).__name__, get_values(inner)],
        "conditions": conditions,
        "vocabulary": tokenizer.vocabulary,
        "columns": [asdict(column) for column in tokenizer.grammar.columns],
    }
    unit = {"unit": dataset.unit} if isinstance(dataset, HasUnits) else {}
    key = hashlib.blake2b(json.dumps(made_of | unit, sort_keys=True).encode(), digest_size=16)
    for source in sources:
        key.update(json.dumps([source, dataset.fingerprint(source), get_predefined_split(dataset, source)]).encode())
    key_path = Path("corpora", key.hexdigest())
    folder = (cache or find_cache_folder()) / key_path
    if not _is_whole(folder):
        folder = (cache or find_writable_cache()) / key_path
        about = {"name": name, "title": dataset.title, "licence": dataset.licence, **unit}
        try:
            clear_damaged(folder, _is_whole)
            with share_work(workers) as each:
                encodings = each(partial(encode_sources, dataset, tokenizer), _cut_chunks(sources), long=True)
                _write(
                    folder, _report_each(encodings, len(sources), report or _ignore_progress), tokenizer, each, about
                )
        except OSError as error:
            raise CannotWrite(f"{printable(str(folder))}: the cache cannot be written ({error.strerror}).") from error
    return Corpus(folder)


def _is_whole(folder: Path) -> bool:
    """Tell whether a folder holds a corpus, unchanged since it was built."""
    try:
        about = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        return bool(about.pop("digest") == _hash_corpus(folder, about))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False


def _hash_corpus(folder: Path, about: Mapping[str, Any]) -> str:
    """Hash the whole content of a corpus."""
    files = hash_files(
        folder / name for name in ("tokens.bin", "inputs.bin", "pieces.npz", "names.json", "labels.json")
    )
    return hashlib.blake2b(json.dumps([about, files], sort_keys=True).encode(), digest_size=16).hexdigest()


def fit_tokenizer(tokenizer: Tokenizer, corpus: Callable[[], Corpus]) -> Tokenizer:
    """Fit the tokenizer to the training pieces, if it is trainable and not trained yet.

    `corpus` builds the music in the untrained tokenizer's tokens; it is called only then.
    """
    if not isinstance(tokenizer, Trainable) or tokenizer.is_trained:
        return tokenizer
    found = corpus()
    return tokenizer.fit(found.read_piece(int(number)) for number in found.split("train"))


def _ignore_progress(done: int, total: int) -> None:
    """Ignore a report."""


def _report_each(encodings: Iterable[Encodings], total: int, report: Report) -> Iterator[Encodings]:
    """Yield the encodings, and report progress after each."""
    done = 0
    for result in encodings:
        yield result
        done += result.sources
        report(done, total)


def _cut_chunks(sources: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield all sources, as many at a time as lately took `CHUNK_SECONDS`."""
    began, done = monotonic(), 0
    while done < len(sources):
        pace = done / max(monotonic() - began, 1e-3)
        size = max(1, min(CHUNK, int(pace * CHUNK_SECONDS)))
        yield sources[done : done + size]
        done += size


def _write(
    folder: Path, encodings: Iterable[Encodings], tokenizer: Tokenizer, each: Map, about: Mapping[str, Any]
) -> None:
    """Write a corpus folder that appears whole or not at all."""
    make_folder(folder.parent)
    scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        with (scratch / "tokens.bin").open("wb") as tokens, (scratch / "inputs.bin").open("wb") as inputs:
            pieces, refused, remarks = _write_pieces(encodings, tokenizer, each, tokens, inputs)
        if not pieces["names"]:
            shown = printable(str(about["name"])) or "the dataset"
            raise EmptyDataset(f"no piece of {shown} can be used.{_explain_refusals(refused)}")
        arrays = {
            "offsets": np.concatenate([[0], np.cumsum(pieces["lengths"])]),
            **{field: np.array(pieces[field]) for field in ("notes", "beats", "lowest", "highest", "units")},
            "splits": _assign_splits(pieces["sides"], pieces["groups"], refused),
        }
        np.savez(scratch / "pieces.npz", **arrays)  # type: ignore[arg-type]  # mypy takes a name for an option
        (scratch / "names.json").write_text(json.dumps(pieces["names"]))
        (scratch / "labels.json").write_text(json.dumps(_arrange_labels(pieces["labels"])))
        about = {**about, "kept": len(pieces["names"]), "refused": [asdict(r) for r in refused], **remarks.to_plain()}
        (scratch / "corpus.json").write_text(json.dumps({**about, "digest": _hash_corpus(scratch, about)}, indent=1))
        put_folder(scratch, folder, _is_whole)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_pieces(
    encodings: Iterable[Encodings], tokenizer: Tokenizer, each: Map, tokens: BinaryIO, inputs: BinaryIO
) -> tuple[dict[str, MutableSequence[Any]], list[Refused], Remarks]:
    """Write tokens and inputs as they come. Memory holds a few groups, and of each piece a name and a few numbers."""
    pieces: dict[str, MutableSequence[Any]] = {"names": [], "sides": [], "labels": [], "groups": array("Q")}
    pieces |= {field: array("q") for field in ("lengths", "notes", "lowest", "highest", "units")} | {
        "beats": array("d")
    }
    refused: list[Refused] = []
    remarks = Remarks()

    def read_kept() -> Iterator[Encoded]:
        for result in encodings:
            refused.extend(result.refused)
            remarks.add(result.remarks)
            yield from result.kept

    groups: Iterator[list[tuple[Encoded, NDArray[np.uint16]]]]
    groups = each(partial(add_inputs, tokenizer), _group_pieces(read_kept()))
    for group in groups:
        for piece, features in group:
            tokens.write(piece.tokens.tobytes())
            inputs.write(features.tobytes())
            pieces["names"].append(piece.name)
            pieces["sides"].append(piece.split)
            pieces["labels"].append(piece.labels)
            pieces["groups"].append(piece.group)
            pieces["lengths"].append(len(piece.tokens))
            for field in ("notes", "beats", "lowest", "highest", "units"):
                pieces[field].append(getattr(piece, field))
    return pieces, refused, remarks


def _arrange_labels(labels: Sequence[Labels]) -> dict[str, list[str]]:
    """Arrange the labels of pieces by name: for each, the values of all pieces."""
    pieces = list(map(dict, labels))
    names = sorted({name for piece in pieces for name in piece})
    return {name: [piece.get(name, "") for piece in pieces] for name in names}


def _group_pieces(pieces: Iterable[Encoded]) -> Iterator[list[Encoded]]:
    """Yield the pieces in groups of about `GROUP` tokens."""
    group: list[Encoded] = []
    tokens = 0
    for piece in pieces:
        group.append(piece)
        tokens += len(piece.tokens)
        if tokens >= GROUP:
            yield group
            group, tokens = [], 0
    if group:
        yield group


def _assign_splits(sides: Sequence[str], groups: Sequence[int], refused: Sequence[Refused]) -> NDArray[np.int8]:
    try:
        return choose_splits(sides, groups)
    except EmptyDataset as error:
        raise EmptyDataset(f"{error}{_explain_refusals(refused)}") from None


def _explain_refusals(refused: Sequence[Refused]) -> str:
    """Write a sentence on the first few refused pieces, if there are any."""
    if not refused:
        return ""
    shown = [f"{printable(r.name, 60)}: {r.reason.rstrip('.')}" for r in refused[:3]]
    more = [f"and {len(refused) - 3} more"] if len(refused) > 3 else []
    return f" Refused: {'; '.join(shown + more)}."
