"""Rendering shared among processes, since the synthesiser holds the interpreter's lock."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

from composer.devices import count_processors
from composer_sound import renderer
from composer_sound.soundfonts import Unusable, read_soundfont

MOST = 4
"""Processes, at most; each holds the soundfont in memory."""

Render: TypeAlias = Callable[[bytes], bytes]
"""MIDI to WAV. Raises Unusable."""

Map: TypeAlias = Callable[[Callable[[Render, Any], Any], Iterable[Any]], Iterator[Any]]
"""Like the built-in `map`, but the function gets a renderer as its first argument."""


@contextmanager
def share_rendering(soundfont: Path, calls: int) -> Iterator[Map]:
    """Yield a `map` for this many calls. Results come in order, and few of them wait. Raises Unusable."""
    data = read_soundfont(soundfont)
    many = min(calls, MOST, _count_processors())
    if many < 2:
        yield lambda function, arguments: map(partial(function, partial(_render_here, data)), arguments)
        return
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(many)
        stack.callback(pool.shutdown, cancel_futures=True)
        idle: SimpleQueue[Render] = SimpleQueue()
        for _ in range(many):
            idle.put(partial(_ask_process, stack.enter_context(_start_process(soundfont))))
        yield partial(_map_in_order, pool, idle, many)


def _count_processors() -> int:
    """Count the processors this process may use; 1 in a process that is one of many."""
    if parent_process() is not None:
        return 1
    return count_processors()


def _map_in_order(
    pool: ThreadPoolExecutor,
    idle: SimpleQueue[Render],
    many: int,
    function: Callable[[Render, Any], Any],
    arguments: Iterable[Any],
) -> Iterator[Any]:
    def call(argument: Any) -> Any:
        render = idle.get()
        try:
            return function(render, argument)
        finally:
            idle.put(render)

    ahead: deque[Future[Any]] = deque()
    for argument in arguments:
        ahead.append(pool.submit(call, argument))
        if len(ahead) > many:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _render_here(soundfont: bytes, midi: bytes) -> bytes:
    try:
        return renderer.render(soundfont, midi)
    except ValueError as error:
        raise Unusable(str(error)) from None


@contextmanager
def _start_process(soundfont: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-P", renderer.__file__, str(soundfont.absolute())]
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=none)  # noqa: S603  (our own program)
    try:
        yield process
    finally:
        process.kill()
        with suppress(BrokenPipeError), process:  # closes the pipes, and waits
            pass


def _ask_process(process: subprocess.Popen[bytes], midi: bytes) -> bytes:
    assert process.stdin is not None  # noqa: S101  (for the type checker)
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(len(midi).to_bytes(renderer.LENGTH) + midi)
        process.stdin.flush()
        wav, wrong = (_read_part(process.stdout) for _ in range(2))
    except OSError:
        raise Unusable("the synthesiser has broken down: the soundfont may be damaged") from None
    if wrong:
        raise Unusable(wrong.decode())
    return wav


def _read_part(answers: Any) -> bytes:
    """Read a length, and as many bytes. Raises OSError if the process ended."""
    length = answers.read(renderer.LENGTH)
    part: bytes = answers.read(int.from_bytes(length))
    if len(length) < renderer.LENGTH or len(part) < int.from_bytes(length):
        raise OSError("it ended")
    return part
