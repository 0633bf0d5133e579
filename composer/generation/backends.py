"""Inference backends: the one that runs a model, chosen by its name or its speed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from composer.errors import BadOption, printable
from composer.model import Model
from composer.plugins.registry import registry
from composer.plugins.specs import parse_spec
from composer.request import Request
from composer.types import Backend, Step


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
        backends = {name: _make_backend(name) for name in registry().list_names("backends")}
        suiting = {name: backend for name, backend in backends.items() if backend.supports(self._model, device)}
        if not suiting:
            raise BadOption(f"no plugin offers a backend for this model on '{device}'.")
        _check_precision(precision, {p for one in suiting.values() for p in one.tolerances}, "for this model here")
        having = [name for name, backend in suiting.items() if precision in backend.tolerances]
        return max(having, key=lambda name: suiting[name].speed)

    def _check(self, name: str, device: str, precision: str) -> None:
        backend = _make_backend(name)
        if not backend.supports(self._model, device):
            raise BadOption(f"the backend '{name}' cannot run this model on '{device}'.")
        _check_precision(precision, backend.tolerances, f"in the backend '{name}'")


def _make_backend(text: str) -> Backend:
    """Make a backend from its name, with options if there are any, as in `native:threads=2`."""
    spec = parse_spec(text, "backends")
    backend: Backend = registry().make("backends", spec.name, **spec.options)
    return backend


def _check_precision(precision: str, known: Collection[str], where: str) -> None:
    if precision not in known:
        raise BadOption(f"unknown precision '{printable(precision)}' {where}; choose from {', '.join(sorted(known))}.")
