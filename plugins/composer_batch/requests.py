"""Requests of jobs, checked against their models. Of jobs that differ in their seeds only, one is checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from composer.errors import BadOption, printable, suggest
from composer.generation.continuation import make_continuation
from composer.generation.defaults import choose_new_samplers
from composer.generation.finishing import add_flagged, include_typed, read_transforms
from composer.generation.form import check as check_form
from composer.generation.form_spec import Form
from composer.generation.generator import Generator, apply_samplers, check, make_samplers, state_edition
from composer.generation.options import merge_conditions, state_options
from composer.generation.primers import is_typed, read_primer
from composer.io.formats import make_exporter
from composer.model import find_model, load
from composer.music.score import Score
from composer.plugins.registry import registry
from composer.request import EDITION, Request, SamplerSpec
from composer.types import Constraint
from composer_batch.jobs import PATTERN, GridPoint, Job

MOST_MODELS = 100
"""Models of one batch."""

MOST_CHECKED = 500
"""Different requests whose constraints are checked against each other before anything is drawn.

If those of another request contradict each other, drawing finds it, and the piece is set aside.
"""

MOST_OF_PRIMERS = 2**26
"""Bytes of the primers of all jobs and grids. The catalogue holds one for each."""


@dataclass(frozen=True)
class PlainRequest:
    """The request of the piece with index 0 and seed 0, as plain values."""

    plain: Mapping[str, Any]
    digest: str
    primer_size: int  # bytes

    def replace_seed(self, seed: int) -> dict[str, Any]:
        """Return the same request with another seed."""
        return {**self.plain, "request": {**self.plain["request"], "seed": seed}} if seed else dict(self.plain)


@dataclass(frozen=True)
class PrimedRequest:
    """A request that continues a primer, and its parts as plain values."""

    request: Request
    tokens: Sequence[int]
    score: Mapping[str, Any]
    size: int  # bytes

    def apply_to(self, request: Request) -> Request:
        """Let another request continue the same primer. Only tempo, length and samplers may differ."""
        changed = {
            name: getattr(self.request, name) for name in ("primer", "primer_ticks", "time_signature", "conditions")
        }
        return replace(request, **changed, tempo=None if self.request.tempo is None else request.tempo)


@dataclass(eq=False)
class JobChecker:
    """Checks jobs, and remembers the results of earlier checks."""

    generators: dict[str, Generator] = field(default_factory=dict)
    requests: dict[Hashable, PlainRequest] = field(default_factory=dict)
    primed: dict[Hashable, PrimedRequest] = field(default_factory=dict)
    primers: dict[str, Score] = field(default_factory=dict)
    formats: set[Hashable] = field(default_factory=set)
    checked_constraints: int = 0
    primer_size: int = 0

    def find_generator(self, name: str) -> Generator:
        """Load the model of a job, once. Raises UnknownName, BadModelFile, and BadOption for too many models."""
        if name not in self.generators:
            if len(self.generators) == MOST_MODELS:
                raise BadOption(f"the jobs of a batch take {MOST_MODELS} models at most; divide them.")
            self.generators[name] = open_generator(name, name)
        return self.generators[name]

    def check_formats(self, one: GridPoint) -> None:
        """Raise UnknownName or BadOption for formats that no plugin writes, and for options that they do not have."""
        key = (one.job.formats, json.dumps(one.export_options))
        if key in self.formats:
            return
        known = registry().offers["exporters"]
        for form in one.job.formats:
            if f".{form}" not in known:
                raise BadOption(f"no plugin writes '.{printable(form)}' files; {suggest(f'.{form}', known)}")
            make_exporter(Path(f"piece.{form}"), **one.export_options.get(form, {}))
        for form in one.export_options:
            if form not in one.job.formats:
                raise BadOption(f"'export_options' are for '{printable(form)}', which is not among the formats.")
        self.formats.add(key)

    def make_request(self, one: GridPoint) -> PlainRequest:
        """Build the request of one point of a grid. Raises the same errors as `composer generate`."""
        alike = replace(one.job, **_FREE)
        key = (alike, _serialise_samplers(one.links), one.conditions, one.flagged)
        if key not in self.requests:
            self.requests[key] = self._make_request(alike, one)
        found = self.requests[key]
        self.primer_size += found.primer_size
        if self.primer_size > MOST_OF_PRIMERS:
            many = f"{self.primer_size / 2**20:.0f} MiB of primers"
            raise BadOption(f"up to here jobs and grids have {many}; {MOST_OF_PRIMERS // 2**20} MiB are the most.")
        return found

    def _make_request(self, job: Job, one: GridPoint) -> PlainRequest:
        generator = self.find_generator(job.model)
        stated = {name: value for name in _CONDITIONS if (value := getattr(job, name)) is not None}
        where: dict[str, Any] = {"device": job.device, "backend": job.backend, "precision": job.precision}
        transforms = read_transforms(job.transforms)
        stated["transforms"] = add_flagged(transforms, dict(one.flagged), usual=job.edition == EDITION)
        suggested = merge_conditions(generator.suggested, one.conditions)
        request = _apply_edition(generator, replace(suggested, **where, **stated), one.links, job.edition)
        primed = None if job.primer is None else self._add_primer(job, generator, request)
        if primed is not None:
            request = primed.apply_to(request)
            request = include_typed(request) if job.edition == EDITION and is_typed(str(job.primer)) else request
        request = generator.resolve(request)
        is_held = self._must_check(request)
        check(generator, request if is_held else replace(request, samplers=()))
        if job.form is None:
            return _convert_request(request, primed)
        form = Form.parse(replace(request, bars=job.bars), job.form, contrasts=job.edition == EDITION)
        if is_held:
            check_form(generator, form)
        return _make_plain_request(form.to_json())

    def _must_check(self, request: Request) -> bool:
        """Tell whether the constraints of a request are to be checked against each other."""
        if not _select_constraints(request.samplers):
            return True
        self.checked_constraints += 1
        return self.checked_constraints <= MOST_CHECKED

    def _add_primer(self, job: Job, generator: Generator, request: Request) -> PrimedRequest:
        """Add the primer of a job to a request, as its model encodes it."""
        text = str(job.primer)
        key = (
            job.model,
            text,
            job.time_signature,
            job.key,
            job.tempo is None,
            request.conditions,
            _serialise_samplers(_select_constraints(request.samplers)),
        )
        if key not in self.primed:
            if text not in self.primers:
                self.primers[text] = read_primer(text)
            found = make_continuation(
                generator, request, self.primers[text], tempo=job.tempo, own_tracks=not is_typed(text)
            )
            whole = json.dumps(found.to_json())
            plain = json.loads(whole)
            self.primed[key] = PrimedRequest(
                found.request, plain["request"].get("primer", []), plain["primer"], len(whole)
            )
        return self.primed[key]


def _apply_edition(generator: Generator, request: Request, links: Sequence[SamplerSpec], edition: int) -> Request:
    """Apply the samplers of a job, and the edition of what it means. Raises BadOption for an unknown edition."""
    if edition not in (1, EDITION):
        raise BadOption(f"'edition' is {edition}, and must be 1 or {EDITION}.")
    if edition == 1:
        return apply_samplers(request, links)
    request = apply_samplers(state_edition(generator, request), [state_options(link) for link in links])
    return choose_new_samplers(generator.tokenizer.token_info, request)


_CONDITIONS = ("bars", "time_signature", "key", "tempo", "beams")
"""Options of a job that are fields of its request."""

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


def _select_constraints(links: Sequence[SamplerSpec]) -> list[SamplerSpec]:
    return [link for link, made in zip(links, make_samplers(links), strict=True) if isinstance(made, Constraint)]


def _serialise_samplers(links: Sequence[SamplerSpec]) -> str:
    return json.dumps([(link.name, dict(link.options)) for link in links])


def _convert_request(request: Request, primed: PrimedRequest | None) -> PlainRequest:
    if primed is None:
        return _make_plain_request({"request": request.to_json()})
    own = _make_plain_request({"request": replace(request, primer=()).to_json()})
    tokens = {**own.plain["request"], "primer": primed.tokens}  # shared by all that have them
    return _make_plain_request({"request": tokens, "primer": primed.score}, primed.size)


def _make_plain_request(plain: Mapping[str, Any], primer_size: int = 0) -> PlainRequest:
    text = json.dumps(plain)
    digest = hashlib.blake2b(text.encode()).hexdigest()
    return PlainRequest(plain if primer_size else json.loads(text), digest, primer_size)


def open_generator(name: str, source: str) -> Generator:
    """Load a model by its name or file, once in a process. Raises UnknownName, BadModelFile."""
    path = find_model(source).absolute()
    return _load_generator(name, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _load_generator(name: str, path: Path, _: int) -> Generator:
    return Generator(load(path), name)
