"""Isolation of readers that promise no bounds: each call runs in another process with limits of time and memory.

The process stays for the next file. After a file that takes too much, or ends the process, a new one is started.
Whatever a reader does there (hangs, crashes, exits, prints) is an error of that one file.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from composer.errors import ReadingWarning, UnreadableFile, printable
from composer.io.bounds import MEMORY, SECONDS, make_memory_error, make_time_error
from composer.plugins import DISABLED

STARTING = 120.0
"""Seconds for the process to start and import the plugin, apart from those of the file."""

IDLE = 60.0
"""Seconds without a file after which the process ends; the next file starts another."""

MOST_WARNINGS = 1_000
"""Of one file."""

_CHILD = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from composer.io.isolation import serve
serve()
"""


@dataclass(frozen=True)
class Isolated:
    """A method of a reader, or the reader itself, that runs in the other process when it is called with a path."""

    suffix: str
    options: tuple[tuple[str, Any], ...]
    method: str = "__call__"

    def __call__(self, path: Path) -> Any:
        """Return the result; an iterator as a list. Raises its error, OutOfBounds, or UnreadableFile if it crashes.

        Errors come as the nearest class of Python's own or of `composer.errors`; of the warnings, only
        `ReadingWarning`.
        """
        answer = _ask(self, path)
        for warning in answer.warnings:
            warnings.warn(warning, stacklevel=2)
        if answer.error is not None:
            raise answer.error
        return answer.result


def isolate(reader: Any, suffix: str, options: Mapping[str, Any]) -> Any:
    """Make a reader with the methods of `reader`, which `registry().make` made of suffix and options."""
    chosen = tuple(options.items())
    found = Isolated(suffix, chosen)
    for name in dir(reader):
        if not name.startswith("_") and callable(getattr(reader, name)):
            object.__setattr__(found, name, Isolated(suffix, chosen, name))  # where `isinstance` of a protocol finds it
    return found


@dataclass(frozen=True)
class _Answer:
    """The result of a call."""

    result: Any = None
    error: Exception | None = None
    warnings: list[Warning] = field(default_factory=list)


# --- in this process --------------------------------------------------------------------------------------------------


class _Lost(Exception):
    """The process has ended; the text states how."""


class _Process:
    """The other process."""

    def __init__(self) -> None:
        self.surroundings = _describe_surroundings()
        command = [sys.executable, "-P", "-c", _CHILD, json.dumps(self.surroundings[1])]
        own: dict[str, Any] = {} if sys.platform == "win32" else {"start_new_session": True}  # Ctrl-C is for us alone
        pipe, none = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=none, **own)  # noqa: S603  (our own)
        self.is_new = True

    def ask(self, what: Isolated, path: Path) -> _Answer:
        """Call a reader there. Raises OutOfBounds if it takes too long, _Lost if the process ends."""
        try:
            with suppress(OSError):  # it has ended; receiving reports it
                pickle.dump((what, path), self._end(self.process.stdin))
                self._end(self.process.stdin).flush()
            answer: _Answer = self._receive(STARTING) or self._receive(SECONDS)
            self.is_new = False
            return answer
        except BaseException:
            self.end()
            raise

    def _receive(self, seconds: float) -> Any:
        """Receive the next message."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            return pickle.load(self._end(self.process.stdout))  # noqa: S301  (from a process of ours)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            if late.is_set():
                raise make_time_error(seconds) from None
            raise _Lost(self._describe_end()) from None
        finally:
            timer.cancel()

    @staticmethod
    def _end(pipe: IO[bytes] | None) -> IO[bytes]:
        if pipe is None:
            raise EOFError
        return pipe

    def _describe_end(self) -> str:
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return "it broke off"
        return f"signal {-status}" if status < 0 else f"exit status {status}"

    def _kill(self) -> None:
        """Kill it, with its own children."""
        if sys.platform == "win32":
            self.process.kill()
        else:
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill it, and close its pipes."""
        self._kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                self._end(pipe).close()
        self.process.wait()


def _describe_surroundings() -> tuple[int, list[str], str | None]:
    """Describe where the process started: after a fork it is not ours, and another path has other plugins."""
    return os.getpid(), [str(place) for place in sys.path], os.environ.get(DISABLED)


_lock = threading.Lock()
_process: _Process | None = None


def _ask(what: Isolated, path: Path) -> _Answer:
    """Call a reader in the process, which is started if need be.

    A file that ends the process, or exhausts its memory, is tried once more in a new one: earlier files may be the
    cause.
    """
    global _process
    with _lock:
        while True:
            if _process is None or _process.surroundings != _describe_surroundings():
                _process = _Process()
            process, was_new = _process, _process.is_new
            try:
                answer = process.ask(what, path)
                if not isinstance(answer.error, MemoryError):
                    return answer
                process.end()
                lost: Exception = make_memory_error(MEMORY)
            except _Lost as how:
                lost = _make_crash_error(what, path, str(how))
            finally:
                if process.process.returncode is not None:
                    _process = None
            if was_new:
                raise lost from None


def _make_crash_error(what: Isolated, path: Path, how: str) -> UnreadableFile:
    from composer.plugins.registry import registry

    plugin = registry().get_offer("readers", what.suffix).plugin.name
    return UnreadableFile(f"{printable(str(path))}: crashed the plugin '{plugin}' ({how}); tell those who made it.")


# --- in the other process ---------------------------------------------------------------------------------------------


def serve() -> None:
    """Serve calls from standard input on standard output; a reader finds both empty."""
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    limit = _Limit()
    while True:
        _end_after(IDLE)
        try:
            what, path = pickle.load(asked)  # noqa: S301  (from the process that began this one)
        except EOFError:
            return
        for message in _run_call(what, path, limit):
            answers.write(message)
            answers.flush()


class _Limit:
    """The memory that this process may have."""

    is_set = False

    def set(self) -> None:
        """Limit it to `MEMORY` more than it has now, where the system can."""
        if self.is_set or sys.platform == "win32":
            return
        import resource

        with suppress(OSError, ValueError, IndexError):  # this system cannot
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
            most = pages * resource.getpagesize() + MEMORY
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            resource.setrlimit(resource.RLIMIT_DATA, (most if hard < 0 else min(most, hard), hard))
        self.is_set = True


def _run_call(what: Isolated, path: Path, limit: _Limit) -> Iterator[bytes]:
    """Yield None as soon as the reader is ready, and then the answer."""
    _end_after(STARTING + 5)
    try:
        act = _load_function(what)
        limit.set()
        yield pickle.dumps(None)
    except Exception as error:
        yield pickle.dumps(_Answer(error=_simplify_error(error)))
        return
    _end_after(SECONDS + 5)  # should the parent be gone
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ReadingWarning)
        try:
            result = act(path)
            if isinstance(result, Iterator):
                result = list(result)
            said = [
                _simplify_warning(one.message) for one in caught[:MOST_WARNINGS] if isinstance(one.message, Warning)
            ]
            answer = pickle.dumps(_Answer(result, warnings=said))
        except BaseException as error:  # a reader may exit, or raise anything
            result = None
            answer = pickle.dumps(_Answer(error=_simplify_error(error)))
    yield answer


def _end_after(seconds: float) -> None:
    """Have this process ended by the system, where it does that, unless this is called again."""
    if hasattr(signal, "alarm"):
        signal.alarm(int(seconds))


_last: tuple[Any, Any] = (None, None)


def _load_function(what: Isolated) -> Any:
    """Make the reader, or return one of its methods; the last reader is kept."""
    global _last
    from composer.plugins.registry import registry

    if _last[0] != (what.suffix, what.options):
        _last = (what.suffix, what.options), registry().make("readers", what.suffix, **dict(what.options))
    return _last[1] if what.method == "__call__" else getattr(_last[1], what.method)


def _simplify_error(error: BaseException) -> Exception:
    """Convert an error to the nearest class that every process knows, with its text."""
    try:
        text = str(error)[:2_000]
    except Exception:
        text = ""
    for kind in type(error).__mro__:
        if kind.__module__ in ("builtins", "composer.errors") and issubclass(kind, Exception):
            with suppress(Exception):
                return kind(text)
    return RuntimeError(f"{type(error).__name__}: {text}")


def _simplify_warning(warning: Warning) -> Warning:
    return warning if type(warning).__module__ == "composer.errors" else ReadingWarning(str(warning))
