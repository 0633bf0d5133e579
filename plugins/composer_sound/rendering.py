"""Takes rendered as sound, by the synthesiser of midirenderer (rustysynth), in several processes.

The synthesiser holds the interpreter's lock, so that the work is shared among processes: see `renderer`. It gets a MIDI
file with a tick of one sample, and returns a WAV file of 16 bits.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import islice
from multiprocessing import parent_process
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.devices import count_processors
from composer_midifile.pairing import encode_notes
from composer_sound import renderer
from composer_sound.soundfonts import Unusable, read_soundfont
from composer_sound.takes import BLOCK, RATE, WINDOW, Part, Window

# --- takes ------------------------------------------------------------------------------------------------------------


Sound: TypeAlias = NDArray[np.float32]
"""(samples, 2): left and right, 1.0 being full scale of the synthesiser."""

_TAILS = (4 * RATE, 16 * RATE, 64 * RATE)
"""Time for notes to die away; the next one is used if they do not."""

_VOLUMES = (127, 90, 64, 45, 32, 16, 8)
"""Volumes of all channels; the next one is used if samples clip. The gain is the square of the volume. The softer a
channel, the less the synthesiser smooths the steps of its gain."""

_TICKS = RATE // 2  # in a quarter note, which lasts half a second without a tempo event
_EARLY = BLOCK // 4  # without it, rounding decides whether a note at the edge of a block begins in it
_SILENT = 4  # of 32,768
_WAV_HEADER = 44


def render_windows(windows: Iterable[Window], soundfont: Path) -> Iterator[Sound]:
    """Render windows one after the other, and the tails after them. Raises Unusable."""
    played = tuple(windows)
    mixed = np.zeros((0, 2), np.float32)
    with share_rendering(soundfont, sum(len(window.takes) for window in played)) as each:
        parts = each(_render_take, (take for window in played for take in window.takes))
        for number, window in enumerate(played):
            if number:
                mixed = _pad(mixed, WINDOW)
                yield mixed[:WINDOW]
                mixed = mixed[WINDOW:]
            for part in islice(parts, len(window.takes)):
                mixed = _pad(mixed, len(part))
                mixed[: len(part)] += part
    yield mixed


def _pad(sound: Sound, least: int) -> Sound:
    return sound if len(sound) >= least else np.pad(sound, ((0, least - len(sound)), (0, 0)))


def _render_take(render: Render, take: tuple[Part, ...]) -> Sound:
    """Render a take until it has died away."""
    end = max(int((part.notes["start"] + part.notes["duration"]).max()) for part in take)
    for tail in _TAILS:
        samples, gain = _render_unclipped(render, take, end + tail)
        if np.abs(samples[-RATE // 20 :]).max() <= _SILENT:
            break
    return samples * np.float32(gain / 32768)


def _render_unclipped(render: Render, take: tuple[Part, ...], length: int) -> tuple[NDArray[np.int16], float]:
    """Render samples without clipping, and return them with their gain."""
    for volume in _VOLUMES:
        samples = np.frombuffer(render(_build_midi(take, length, volume)), np.int16, offset=_WAV_HEADER).reshape(-1, 2)
        if samples.max(initial=0) < 32767 and samples.min(initial=0) > -32768:
            break
    return samples, (_VOLUMES[0] / volume) ** 2


def _build_midi(take: tuple[Part, ...], length: int, volume: int) -> bytes:
    """Build a MIDI file of type 1: an empty track of this length, and a track for each part."""
    tracks = [_encode_quantity(length), *(_build_events(part, volume) for part in take)]
    chunks = [b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), _TICKS)]
    chunks += [b"MTrk" + struct.pack(">I", len(track) + 3) + track + b"\xff\x2f\x00" for track in tracks]
    return b"".join(chunks)


def _build_events(part: Part, volume: int) -> bytes:
    notes = part.notes.copy()
    early = np.minimum(notes["start"], _EARLY)
    notes["start"] -= early
    heading = bytes([0, 0xC0 | part.channel, part.program, 0, 0xB0 | part.channel, 7, volume])
    return heading + encode_notes(notes, part.channel) + b"\x00"


def _encode_quantity(ticks: int) -> bytes:
    """Encode a variable-length quantity of four bytes."""
    return bytes(ticks >> shift & 0x7F | (0x80 if shift else 0) for shift in (21, 14, 7, 0))


# --- work shared among processes --------------------------------------------------------------------------------------


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
