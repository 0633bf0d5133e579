"""Events: plugins are told what has happened, in pluggy's order. This is the only place that calls them.

Only plugins that answer an event are imported for it. No answer can stop the work, change what it is told, or write to
stdout. One that raises is reported in a line, and its plugin is asked no more in this process.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from contextvars import ContextVar
from copy import deepcopy
from functools import lru_cache, wraps
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from composer.errors import ComposerError, RunWarning, printable
from composer.plugins.discovery import get_plugin
from composer.plugins.hooks import HookManager, find_implementations, is_wrapper, read_hooks
from composer.plugins.offers import Registry
from composer.plugins.registry import registry

if TYPE_CHECKING:
    from composer.types import Piece

_telling: ContextVar[bool] = ContextVar("_telling", default=False)
"""Whether an event is being answered here: what plugins do meanwhile is no event."""

_silenced: set[EntryPoint] = set()
"""The plugins that have failed in this process."""


def is_answered(event: str) -> bool:
    """Tell whether an event would reach a plugin."""
    return not _telling.get() and any(point not in _silenced for point in registry().answering.get(event, ()))


def tell(event: str, **arguments: Any) -> None:
    """Tell all plugins that answer an event, in pluggy's order. `arguments` are those of its spec."""
    if not is_answered(event):
        return
    told = _telling.set(True)
    try:
        manager = _gather(event, registry())
        with _stdout.divert():
            getattr(manager.hook, event)(**arguments)
    finally:
        _telling.reset(told)


def tell_piece_written(paths: Iterable[Path], piece: Piece) -> None:
    """Tell of a piece that was written to these files; plugins are given a copy of it."""
    if is_answered("piece_written"):
        tell("piece_written", paths=tuple(path.absolute() for path in paths), piece=deepcopy(piece))


def list_answering(event: str) -> list[str]:
    """Import the plugins that answer an event, and list their names in the order in which they are called."""
    implementations = getattr(_gather(event, registry()).hook, event).get_hookimpls()
    return list(dict.fromkeys(one.plugin.__name__ for one in reversed(implementations)))


# --- guarded answers --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _gather(event: str, found: Registry) -> HookManager:
    """Import the plugins that answer an event, and register their answers, each guarded."""
    manager = HookManager()
    for point in found.answering.get(event, ()):
        shell = ModuleType(point.name)
        with _silence(point, event):
            module = point.load()
            hooks, _ = read_hooks(module)
            for name, function, marks in find_implementations(module):
                if hooks.get(name) == event:
                    guard = _guard_wrapper if is_wrapper(marks) else _guard
                    setattr(shell, name, guard(point, event, function))
        manager.register(shell, f"{point.name}={point.value}")
    return manager


def _guard(point: EntryPoint, event: str, function: Callable[..., Any]) -> Callable[..., None]:
    """Guard an answer, so that it raises nothing."""

    @wraps(function)
    def answer(*arguments: Any) -> None:
        if point not in _silenced:
            with _silence(point, event):
                function(*arguments)

    return answer


def _guard_wrapper(point: EntryPoint, event: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Guard an answer that is called around the others, so that it raises nothing; they are called in any case."""

    @wraps(function)
    def wrap(*arguments: Any) -> Generator[Any, Any, Any]:
        steps = None
        if point not in _silenced:
            with _silence(point, event):
                steps = function(*arguments)
                if next(steps, _END) is _END:
                    raise RuntimeError("a wrapper has to come to its yield")
        result = yield
        if steps is not None and point not in _silenced:
            with _silence(point, event):
                _end_wrapper(steps, result)
        return result

    return wrap


_END = object()


def _end_wrapper(steps: Generator[Any, Any, Any], result: Any) -> None:
    try:
        steps.send(result)
    except StopIteration:
        return
    raise RuntimeError("a wrapper has one yield")


@contextmanager
def _silence(point: EntryPoint, event: str) -> Iterator[None]:
    """Report in one line what a plugin raises, and tell it no more."""
    try:
        yield
    except (Exception, SystemExit) as error:  # third-party code may raise anything
        _silenced.add(point)
        what = str(error) if isinstance(error, ComposerError) else f"{type(error).__name__}: {error}".rstrip(". ") + "."
        plugin = get_plugin(point)
        name = f"'{printable(plugin.name)}' ({printable(plugin.distribution)})"
        text = f"the plugin {name} failed at {event}, and is told no more: {printable(' '.join(what.split()), 200)}"
        warnings.warn(text, RunWarning, stacklevel=2)


# --- stdout -----------------------------------------------------------------------------------------------------------


class _Diversion:
    """What is printed goes to stderr while any event is answered, and what programs print that plugins start."""

    def __init__(self) -> None:
        self._lock, self._depth, self._open = threading.Lock(), 0, ExitStack()

    @contextmanager
    def divert(self) -> Iterator[None]:
        """Divert it during the block; with several threads, until the last of them leaves."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._open.enter_context(_divert_descriptor())
                self._open.enter_context(redirect_stdout(sys.stderr))
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if not self._depth:
                    self._open.close()


@contextmanager
def _divert_descriptor() -> Iterator[None]:
    """Divert the descriptor of stdout to that of stderr, where there are such."""
    try:
        kept = os.dup(1)
    except OSError:
        yield
        return
    try:
        with suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            sys.stdout.flush()
            os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


_stdout = _Diversion()
