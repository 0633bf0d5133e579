"""Requests of jobs, checked against their models. Of jobs that differ in their seeds only, one is checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from composer.errors import BadOption, nearest, printable
from composer.generation import generator
from composer.generation.continuation import after
from composer.generation.form import check as check_form
from composer.generation.form_spec import Form
from composer.generation.generator import Generator, chained, make_samplers
from composer.generation.primers import is_typed, read_primer
from composer.io.formats import exporter
from composer.model import find, load
from composer.music.score import Score
from composer.plugins.registry import registry
from composer.request import Link, Request
from composer.types import Constraint
from composer_batch.jobs import Job, Wanted
from composer_batch.places import PATTERN

MOST_MODELS = 100
"""Models of one batch."""

MOST_HELD = 500
"""Different requests whose constraints are checked against each other before anything is drawn.

If those of another request contradict each other, drawing finds it, and the piece is set aside.
"""

MOST_OF_PRIMERS = 2**26
"""Bytes of the primers of all jobs and grids. The catalogue holds one for each."""


@dataclass(frozen=True)
class Asking:
    """The request of the piece with index 0 and seed 0, as plain values."""

    plain: Mapping[str, Any]
    digest: str
    primer_size: int  # bytes

    def of_seed(self, seed: int) -> dict[str, Any]:
        """Return the same request with another seed."""
        return {**self.plain, "request": {**self.plain["request"], "seed": seed}} if seed else dict(self.plain)


@dataclass(frozen=True)
class Primed:
    """A request that continues a primer, and its parts as plain values."""

    request: Request
    tokens: Sequence[int]
    score: Mapping[str, Any]
    size: int  # bytes

    def taken_up_by(self, request: Request) -> Request:
        """Let another request continue the same primer. Only tempo, length and samplers may differ."""
        changed = {name: getattr(self.request, name) for name in ("primer", "primer_ticks", "time_signature")}
        return replace(request, **changed, tempo=None if self.request.tempo is None else request.tempo)


@dataclass(eq=False)
class Desk:
    """Checks jobs, and remembers the results of earlier checks."""

    players: dict[str, Generator] = field(default_factory=dict)
    asked: dict[Hashable, Asking] = field(default_factory=dict)
    primed: dict[Hashable, Primed] = field(default_factory=dict)
    primers: dict[str, Score] = field(default_factory=dict)
    formats: set[Hashable] = field(default_factory=set)
    held: int = 0
    primer_size: int = 0

    def player(self, name: str) -> Generator:
        """Load the model of a job, once. Raises UnknownName, BadModelFile, and BadOption for too many models."""
        if name not in self.players:
            if len(self.players) == MOST_MODELS:
                raise BadOption(f"the jobs of a batch take {MOST_MODELS} models at most; divide them.")
            self.players[name] = player_of(name, name)
        return self.players[name]

    def check_formats(self, one: Wanted) -> None:
        """Raise UnknownName or BadOption for formats that no plugin writes, and for options that they do not have."""
        key = (one.job.formats, json.dumps(one.export_options))
        if key in self.formats:
            return
        known = registry().offers["exporters"]
        for form in one.job.formats:
            if f".{form}" not in known:
                raise BadOption(f"no plugin writes '.{printable(form)}' files; {nearest(f'.{form}', known)}")
            exporter(Path(f"piece.{form}"), **one.export_options.get(form, {}))
        for form in one.export_options:
            if form not in one.job.formats:
                raise BadOption(f"'export_options' are for '{printable(form)}', which is not among the formats.")
        self.formats.add(key)

    def asking(self, one: Wanted) -> Asking:
        """Build the request of one point of a grid. Raises the same errors as `composer generate`."""
        alike = replace(one.job, **_FREE)
        key = (alike, _text_of(one.links))
        if key not in self.asked:
            self.asked[key] = self._asking(alike, one.links)
        found = self.asked[key]
        self.primer_size += found.primer_size
        if self.primer_size > MOST_OF_PRIMERS:
            many = f"{self.primer_size / 2**20:.0f} MiB of primers"
            raise BadOption(f"up to here jobs and grids have {many}; {MOST_OF_PRIMERS // 2**20} MiB are the most.")
        return found

    def _asking(self, job: Job, links: Sequence[Link]) -> Asking:
        player = self.player(job.model)
        conditions = {"bars": job.bars, "time_signature": job.time_signature, "key": job.key, "tempo": job.tempo}
        stated: dict[str, Any] = {name: value for name, value in conditions.items() if value is not None}
        where: dict[str, Any] = {"device": job.device, "stepper": job.stepper, "precision": job.precision}
        request = chained(replace(player.suggested, **where, **stated), links)
        primed = None if job.primer is None else self._primed(job, player, request)
        if primed is not None:
            request = primed.taken_up_by(request)
        request = player.resolved(request)
        is_held = self._is_held(request)
        generator.check(player, request if is_held else replace(request, samplers=()))
        if job.form is None:
            return _of_request(request, primed)
        form = Form.of(replace(request, bars=job.bars), job.form)
        if is_held:
            check_form(player, form)
        return _of_plain(form.to_json())

    def _is_held(self, request: Request) -> bool:
        """Tell whether the constraints of a request are to be checked against each other."""
        if not _constraints(request.samplers):
            return True
        self.held += 1
        return self.held <= MOST_HELD

    def _primed(self, job: Job, player: Generator, request: Request) -> Primed:
        """Add the primer of a job to a request, as its model encodes it."""
        text = str(job.primer)
        key = (
            job.model,
            text,
            job.time_signature,
            job.key,
            job.tempo is None,
            _text_of(_constraints(request.samplers)),
        )
        if key not in self.primed:
            if text not in self.primers:
                self.primers[text] = read_primer(text)
            found = after(player, request, self.primers[text], tempo=job.tempo, own_tracks=not is_typed(text))
            whole = json.dumps(found.to_json())
            plain = json.loads(whole)
            self.primed[key] = Primed(found.request, plain["request"].get("primer", []), plain["primer"], len(whole))
        return self.primed[key]


_FREE: Mapping[str, Any] = {
    "name": "",
    "file": PATTERN,
    "count": 1,
    "seed": 0,
    "index": None,
    "title": None,
    "formats": ("mid",),
    "attempts": 1,
    "keep": None,
}
"""Options of a job that cannot make it invalid."""


def _constraints(links: Sequence[Link]) -> list[Link]:
    return [link for link, made in zip(links, make_samplers(links), strict=True) if isinstance(made, Constraint)]


def _text_of(links: Sequence[Link]) -> str:
    return json.dumps([(link.name, dict(link.options)) for link in links])


def _of_request(request: Request, primed: Primed | None) -> Asking:
    if primed is None:
        return _of_plain({"request": request.to_json()})
    own = _of_plain({"request": replace(request, primer=()).to_json()})
    tokens = {**own.plain["request"], "primer": primed.tokens}  # shared by all that have them
    return _of_plain({"request": tokens, "primer": primed.score}, primed.size)


def _of_plain(plain: Mapping[str, Any], primer_size: int = 0) -> Asking:
    text = json.dumps(plain)
    digest = hashlib.blake2b(text.encode()).hexdigest()
    return Asking(plain if primer_size else json.loads(text), digest, primer_size)


def player_of(name: str, source: str) -> Generator:
    """Load a model by its name or file, once in a process. Raises UnknownName, BadModelFile."""
    path = find(source).absolute()
    return _loaded(name, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _loaded(name: str, path: Path, _: int) -> Generator:
    return Generator(load(path), name)
