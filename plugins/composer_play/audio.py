"""The sound of a piece: the exporter of `.wav` writes it, and a player on this machine plays it."""

from __future__ import annotations

import shutil
import subprocess
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from composer.errors import ComposerError, printable
from composer.io import formats
from composer.music.score import Score
from composer.music.tempo_map import make_tempo_map
from composer.types import Piece

PLAYERS: Mapping[str, Sequence[str]] = {
    "aplay": ("-q",),
    "paplay": (),
    "afplay": (),
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "quiet"),
}
"""Programs that play a file, and their options."""

LONGEST = 30 * 60.0
"""Seconds of a piece that may be played; an hour takes 700 MB."""

_FRAMES = 2**16  # copied at a time

_PATIENCE = 1.0  # seconds that a player may take to end


class NoSound(Exception):
    """Why there is no sound, as the end of a sentence."""


class Sound(Protocol):
    """A sound that can be started anywhere and stopped."""

    def start(self, second: float) -> None:
        """Play from this second on, instead of what plays now. Raises NoSound."""

    def stop(self) -> None:
        """Stop the sound."""

    def check(self) -> None:
        """Raise NoSound if the sound has failed."""


@dataclass
class Program:
    """A player program. It is started anew for each stretch of sound."""

    command: Sequence[str]
    path: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self, second: float) -> None:
        """Play from this second on."""
        self.stop()
        path = self.path if second <= 0 else cut(self.path, second)
        try:
            self.process = subprocess.Popen(  # noqa: S603  (a program that was looked up by its name)
                [*self.command, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise NoSound(f"{Path(self.command[0]).name} cannot be started ({error.strerror})") from None

    def stop(self) -> None:
        """End the program."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def check(self) -> None:
        """Raise NoSound if the program ended with an error."""
        if self.process and self.process.poll():
            raise NoSound(f"{Path(self.command[0]).name} ended with status {self.process.returncode}")


@dataclass
class Device:
    """Sound by the Python package sounddevice."""

    library: Any
    path: Path

    def start(self, second: float) -> None:
        """Play from this second on."""
        import numpy as np

        try:
            with wave.open(str(self.path)) as sound:
                sound.setpos(min(int(second * sound.getframerate()), sound.getnframes()))
                samples = np.frombuffer(sound.readframes(sound.getnframes()), dtype=f"<i{sound.getsampwidth()}")
                self.library.play(samples.reshape(-1, sound.getnchannels()), sound.getframerate())
        except Exception as error:  # errors of the package, which may not be installed
            raise NoSound(f"the sound device fails ({printable(str(error))})") from None

    def stop(self) -> None:
        """Stop the sound."""
        self.library.stop()

    def check(self) -> None:
        """Do nothing: the device fails at once, or not at all."""


def cut(path: Path, second: float) -> Path:
    """Write the rest of a sound, from this second on, to a file beside `path`. Raises NoSound if it cannot be cut."""
    rest = path.with_name(f"from-{path.name}")
    try:
        with wave.open(str(path)) as sound, wave.open(str(rest), "wb") as cut_sound:
            cut_sound.setparams(sound.getparams())
            sound.setpos(min(int(second * sound.getframerate()), sound.getnframes()))
            while frames := sound.readframes(_FRAMES):
                cut_sound.writeframes(frames)
    except (wave.Error, EOFError, OSError) as error:
        raise NoSound(f"its sound cannot be cut ({printable(str(error))})") from None
    return rest


def find_player() -> Callable[[Path], Sound]:
    """Find what plays a file on this machine. Raises NoSound if nothing does."""
    if find_spec("sounddevice"):
        try:
            import sounddevice  # type: ignore[import-not-found,unused-ignore]
        except OSError:
            pass  # installed, but without its library
        else:
            return lambda path: Device(sounddevice, path)
    for name, options in PLAYERS.items():
        if found := shutil.which(name):
            return lambda path: Program((found, *options), path)
    raise NoSound(f"there is no player: install one of {', '.join(PLAYERS)}, or the package sounddevice")


@dataclass
class Attempt:
    """A sound that goes silent when it fails, and keeps the reason. There may be none from the start."""

    sound: Sound | None
    why: str = ""

    def do(self, what: Callable[[Sound], None]) -> None:
        """Do something with the sound, if there still is one."""
        try:
            if self.sound:
                what(self.sound)
        except NoSound as error:
            self.sound, self.why = None, str(error)


@contextmanager
def try_sound(score: Score) -> Iterator[Attempt]:
    """Make the sound of a score, or state why there is none. It is stopped at the end."""
    with ExitStack() as stack:
        try:
            made = Attempt(stack.enter_context(make_sound(score)))
        except NoSound as error:
            made = Attempt(None, str(error))
        yield made


@contextmanager
def make_sound(score: Score) -> Iterator[Sound]:
    """Make the sound of a score, which is stopped at the end. Raises NoSound."""
    lasts = make_tempo_map(score).find_second(score.length)
    if lasts > LONGEST:
        raise NoSound(f"it lasts {lasts / 60:,.0f} minutes, and sound is made of at most {LONGEST / 60:.0f}")
    make = find_player()
    with TemporaryDirectory(prefix="composer-") as folder:
        path = Path(folder, "piece.wav")
        try:
            formats.make_exporter(path)([Piece(score)], path)
        except ComposerError as error:
            raise NoSound(str(error).removeprefix(f"{path}: ").rstrip(".")) from None
        sound = make(path)
        try:
            yield sound
        finally:
            sound.stop()
