"""Inference backends: the one that runs a model, chosen by its name or its speed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from composer.errors import BadOption, printable
from composer.model import Model
from composer.plugins.registry import registry
from composer.plugins.specs import parse_spec
from composer.request import Request
from composer.types import Backend, HasReasons, Step


class Backends:
    """The backends of one model. Each choice, check and step is made once."""

    def __init__(self, model: Model) -> None:
        """Begin without a backend."""
        self._model = model
        self._fastest: dict[tuple[str, str], str] = {}
        self._checked: set[tuple[str, str, str]] = set()
        self._steps: dict[tuple[str, str, str], Step] = {}

    def resolve(self, request: Request) -> Request:
        """Check the request's backend, or choose the fastest for `auto`. Raises UnknownName, BadOption."""
        if request.backend == "auto":
            wanted = request.device, request.precision
            if wanted not in self._fastest:
                self._fastest[wanted] = self._find_fastest(*wanted)
            return replace(request, backend=self._fastest[wanted])
        chosen = request.backend, request.device, request.precision
        if chosen not in self._checked:
            self._check(*chosen)
            self._checked.add(chosen)
        return request

    def get_step(self, request: Request) -> Step:
        """Return the step of a resolved request, made once."""
        chosen = request.backend, request.device, request.precision
        if chosen not in self._steps:
            self._steps[chosen] = _make_backend(request.backend).make(self._model, request.device, request.precision)
        return self._steps[chosen]

    def _find_fastest(self, device: str, precision: str) -> str:
        """Find the fastest backend; the slower ones are not even asked, since some import much to answer."""
        backends = {name: _make_backend(name) for name in registry().list_names("backends")}
        known: set[str] = set()
        for name in sorted(backends, key=lambda name: -backends[name].speed):
            if backends[name].supports(self._model, device):
                if precision in backends[name].tolerances:
                    return name
                known |= set(backends[name].tolerances)
        if not known:
            raise BadOption(f"no plugin offers a backend for this model on '{device}'.")
        raise _refuse_precision(precision, known, "for this model here")

    def _check(self, name: str, device: str, precision: str) -> None:
        backend = _make_backend(name)
        if not backend.supports(self._model, device):
            why = backend.explain(self._model, device) if isinstance(backend, HasReasons) else ""
            reason = f": {printable(why, 200)}" if why else ""
            raise BadOption(f"the backend '{name}' cannot run this model on '{device}'{reason}.")
        if precision not in backend.tolerances:
            raise _refuse_precision(precision, backend.tolerances, f"in the backend '{name}'")


def _make_backend(text: str) -> Backend:
    """Make a backend from its name, with options if there are any, as in `native:threads=2`."""
    spec = parse_spec(text, "backends")
    backend: Backend = registry().make("backends", spec.name, **spec.options)
    return backend


def _refuse_precision(precision: str, known: Collection[str], where: str) -> BadOption:
    """Make the error of an unknown precision."""
    return BadOption(f"unknown precision '{printable(precision)}' {where}; choose from {', '.join(sorted(known))}.")
