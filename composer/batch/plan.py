"""The plan of a batch: cells that are known to work, in order, before anything runs; it makes no folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from composer import generation
from composer.batch import jobs, places
from composer.batch.jobs import Job, Wanted
from composer.continuing import after
from composer.errors import BadOption, ComposerError, nearest, printable
from composer.files import exporter
from composer.form import Form
from composer.form import check as check_form
from composer.generation import Player, chained
from composer.making import Asked, asked_of, request_of, with_request
from composer.model import find, load
from composer.plugins import registry
from composer.primers import is_typed, read_primer
from composer.request import Request

MOST_IN_ALL = 5_000_000
"""Pieces of one batch."""


@dataclass(frozen=True)
class Cell:
    """Pieces that differ in their index alone, asked for as plain values: all that a worker needs to make them."""

    job: int  # the table that it comes from, from 1
    name: str
    model: str  # as it was typed
    model_path: str  # of a file; empty for a model that a plugin offers
    model_hash: str
    asked: Mapping[str, Any]  # of the piece with index 0
    first: int  # index
    count: int
    file: str
    fields: Mapping[str, Any]  # what its pattern may use
    formats: tuple[str, ...]
    export_options: Mapping[str, Mapping[str, Any]]
    title: str | None
    gates: Mapping[str, Any]
    attempts: int
    keep: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Cell:
        """The reverse of `to_json`."""
        return Cell(**{**{f.name: values[f.name] for f in fields(Cell)}, "formats": tuple(values["formats"])})

    def wanted(self, index: int) -> Asked:
        """What the piece with this index is made of."""
        asked = asked_of(self.asked)
        return with_request(asked, replace(request_of(asked), index=index))

    @property
    def together(self) -> tuple[Any, ...]:
        """Pieces of cells that are equal in this can run side by side."""
        request = self.asked["request"]
        where = tuple(str(request.get(name)) for name in ("samplers", "stepper", "precision", "device"))
        return (self.model, self.model_path, "form" in self.asked, *where)

    @property
    def length(self) -> int:
        """Bars that a piece has, 0 if its model decides: pieces of like length are run side by side."""
        return int(self.asked["request"].get("bars") or 0)

    def stem(self, number: int, index: int) -> str:
        """The path of one piece without its suffix."""
        return places.stem(self.file, self.fields, number, index)


def plan(wanted: Sequence[Wanted], opened: Mapping[str, Player] | None = None) -> list[Cell]:
    """The cells of a batch, each known to work. Raises BadJobs, with file and line, for the first that does not."""
    players = dict(opened or {})
    cells: list[Cell] = []
    total = 0
    for one in wanted:
        with _faulted(one, "model"):
            if one.job.model not in players:
                players[one.job.model] = player_of(one.job.model, one.job.model)
        with _faulted(one, "formats"):
            _check_formats(one)
        with _faulted(one):
            cells.append(_cell(one, players[one.job.model]))
        total += one.job.count
        if total > MOST_IN_ALL:
            raise one.table.fault(
                f"up to here the jobs ask for {total:,} pieces; {MOST_IN_ALL:,} are the most.", "count"
            )
    _check_apart(cells, wanted)
    _check_names(cells, wanted)
    return cells


@contextmanager
def _faulted(one: Wanted, key: str = "") -> Iterator[None]:
    """Errors told with the line of the key, or of the one that they name."""
    try:
        yield
    except ComposerError as error:
        raise one.table.fault(error, key or _key_of(str(error), one)) from None


def _check_formats(one: Wanted) -> None:
    known = registry().offers["exporters"]
    for form in one.job.formats:
        if f".{form}" not in known:
            raise BadOption(f"no plugin writes '.{printable(form)}' files; {nearest(f'.{form}', known)}")
        exporter(Path(f"piece.{form}"), **one.export_options.get(form, {}))
    for form in one.export_options:
        if form not in one.job.formats:
            raise BadOption(f"'export_options' are for '{printable(form)}', which is not among the formats.")


def player_of(name: str, source: str) -> Player:
    """A model by its name or file, which is loaded once in a process. Raises UnknownName, BadModelFile."""
    path = find(source).absolute()
    return _loaded(name, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _loaded(name: str, path: Path, _: int) -> Player:
    return Player(load(path), name)


def _key_of(text: str, one: Wanted) -> str:
    """The key of a table that an error is likely to be about, for its line."""
    words = set(re.findall(r"[\w-]+", text.lower()))
    keys = sorted(one.table.values, key=len, reverse=True)
    return next((key for key in keys if key.replace("-", "_").lower() in words or key.lower() in words), "")


def _cell(one: Wanted, player: Player) -> Cell:
    job = one.job
    asked = _asked(job, one, player)
    if one.gates.get("max_copied_bars") is not None:
        player.learnt()  # read and indexed now, and not by each worker
    options = registry().names("models")
    return Cell(
        job=one.table.number,
        name=job.name or f"job{one.table.number}",
        model=job.model,
        model_path="" if job.model in options else str(Path(job.model).expanduser().absolute()),
        model_hash=player.model.hash,
        asked=json.loads(json.dumps(_plain(asked))),
        first=job.index or 0,
        count=job.count,
        file=job.file,
        fields=_fields(one),
        formats=job.formats,
        export_options=one.export_options,
        title=job.title,
        gates=one.gates,
        attempts=job.attempts,
        keep=job.keep,
    )


def _asked(job: Job, one: Wanted, player: Player) -> Asked:
    """What is asked of the piece with index 0. Raises what `composer generate` would."""
    wishes = {"bars": job.bars, "time_signature": job.time_signature, "key": job.key, "tempo": job.tempo}
    stated: dict[str, Any] = {name: wish for name, wish in wishes.items() if wish is not None}
    where: dict[str, Any] = {"device": job.device, "stepper": job.stepper, "precision": job.precision}
    request = chained(replace(player.suggested, seed=job.seed, **where, **stated), one.links)
    asked: Asked = request
    if job.primer is not None:
        score, typed = read_primer(job.primer), is_typed(job.primer)
        asked = after(player, request, score, tempo=job.tempo, own_tracks=not typed)
    request = player.resolved(request_of(asked))
    generation.check(player, request)
    if job.form is None:
        return with_request(asked, request)
    form = Form.of(replace(request, bars=job.bars), job.form)
    check_form(player, form)
    return form


def _plain(asked: Asked) -> dict[str, Any]:
    return {"request": asked.to_json()} if isinstance(asked, Request) else asked.to_json()


def _fields(one: Wanted) -> dict[str, Any]:
    """What a pattern may use beside a piece's own: the options of the job, and the samplers that its grid is of."""
    job = one.job
    model = Path(job.model).stem if job.model.endswith(".safetensors") else job.model
    own = ("seed", "bars", "form", "time_signature", "key", "tempo", "device", "stepper", "precision")
    found = {name: getattr(job, name) for name in own}
    keys = {option: key for key, option in _keys_of_links().items()}
    for link in one.links:
        for name, value in link.options.items():
            found[keys[link.name, name]] = value
    return {"name": job.name or f"job{one.table.number}", "model": model, **found}


@lru_cache(maxsize=1)
def _keys_of_links() -> dict[str, tuple[str, str]]:
    found = jobs.sampler_keys().items()
    return {key.replace("-", "_"): (sampler, option.name) for key, (sampler, option) in found}


def _check_apart(cells: Sequence[Cell], wanted: Sequence[Wanted]) -> None:
    """Raise BadJobs for jobs that ask for the same pieces."""
    seen: dict[str, list[tuple[int, int, Wanted]]] = {}
    for cell, one in zip(cells, wanted, strict=True):
        same = seen.setdefault(repr((cell.model_hash, cell.asked)), [])
        for first, count, other in same:
            if cell.first < first + count and first < cell.first + cell.count:
                place = f"line {other.table.line}" if other.table.line else f"job {other.table.number}"
                raise one.table.fault(f"this asks for the same pieces as {place}; give it another seed.")
        same.append((cell.first, cell.count, one))


def _check_names(cells: Sequence[Cell], wanted: Sequence[Wanted]) -> None:
    """Raise BadJobs for a pattern that leads out of the folder, and for names that two pieces would share."""
    for cell, one in zip(cells, wanted, strict=True):
        try:
            places.check_pattern(cell.file, cell.fields)
        except BadOption as error:
            raise one.table.fault(error, "file") from None
    if {cell.file for cell in cells} == {places.PATTERN}:
        return  # numbers are apart
    folder, names = "", set[str]()
    for (number, index, cell), one in zip(pieces(cells), _repeated(cells, wanted), strict=True):
        try:
            stem = cell.stem(number, index)
        except BadOption as error:
            raise one.table.fault(error, "file") from None
        inside, _, name = stem.partition("/")
        if inside != folder:
            folder, names = inside, set()
        if name.casefold() in names:
            text = f"two pieces would be called '{name}'; put {{index}} or {{number}} into 'file'."
            raise one.table.fault(text, "file")
        names.add(name.casefold())


def _repeated(cells: Sequence[Cell], wanted: Sequence[Wanted]) -> Iterator[Wanted]:
    for cell, one in zip(cells, wanted, strict=True):
        for _ in range(cell.count):
            yield one


def pieces(cells: Sequence[Cell], number: int = 0) -> Iterator[tuple[int, int, Cell]]:
    """(number, index, cell) of every piece; numbers go on from `number`."""
    for cell in cells:
        for index in range(cell.first, cell.first + cell.count):
            yield number, index, cell
            number += 1


def count(cells: Sequence[Cell]) -> Counter[str]:
    """Pieces asked for, by model."""
    found: Counter[str] = Counter()
    for cell in cells:
        found[cell.model] += cell.count
    return found
