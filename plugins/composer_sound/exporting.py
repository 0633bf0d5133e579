"""The exporter of sound: plays a score, measures it, scales it to the loudness and encodes it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import numpy as np

from composer.errors import CannotWrite, printable, suggest
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_midifile import omissions
from composer_sound import encoding, rendering, soundfonts, takes
from composer_sound.encoding import FORMATS, Format, encode
from composer_sound.rendering import Sound

IN_MEMORY = 64 * 2**20
"""Bytes of unscaled sound in memory: three minutes. More goes to a temporary file."""


@dataclass(frozen=True)
class SoundExporter:
    """Writes one piece as stereo sound of 48 kHz and 16 bits. The suffix decides the encoding.

    The instruments are those of General MIDI, from the soundfont TimGM6mb that comes with pretty_midi, or from another
    one. The sound begins at tick 0 and ends when the last note has died away. It has the chosen loudness, but its peaks
    stay 1 dB below full scale, or 2 dB where encoding moves them. The same piece always gives the same file.
    """

    soundfont: Annotated[str, "a file of instruments (.sf2) instead of the shipped one"] = ""
    loudness: Annotated[float, "loudness in LUFS (ITU-R BS.1770), as far as the peaks allow"] = -18.0

    def __post_init__(self) -> None:
        if not -70.0 <= self.loudness <= 0.0:
            raise ValueError(f"loudness is {self.loudness:g} LUFS, not in -70..0")

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite."""
        shown = printable(str(path))
        if len(pieces) != 1:
            raise CannotWrite(f"{shown}: a sound file holds one piece, and here are {len(pieces)}; give each its own.")
        if path.suffix.lower() not in FORMATS:
            raise CannotWrite(f"{shown}: is not a sound format; {suggest(path.suffix.lower(), FORMATS)}")
        try:
            with write_whole_file(path) as scratch:
                self._write(pieces[0], scratch, FORMATS[path.suffix.lower()])
        except (ValueError, soundfonts.Unusable) as error:
            raise CannotWrite(f"{shown}: cannot be written as sound: {printable(str(error), 200)}.") from None

    def _write(self, piece: Piece, path: Path, form: Format) -> None:
        omissions.check_limits(piece.score)
        played = takes.divide_into_windows(piece.score)
        soundfont = soundfonts.find_soundfont(self.soundfont)
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as raw:
            levels = _store_and_measure(rendering.render_windows(played, soundfont), raw)
            if not levels.peak:
                raise soundfonts.Unusable(f"nothing sounds with the soundfont {printable(str(soundfont))}")
            factor = levels.compute_gain(self.loudness, form.ceiling)
            encode(_trim_and_fade(raw, levels.frames, factor), path, form, title=printable(piece.title, 200))


FRAME = takes.RATE // 100
"""Samples of a frame, the precision of the end of a piece: 10 ms."""

FADE = 5 * FRAME
QUIET = 10 ** (-66 / 20)  # relative to the highest peak; a softer end is cut off


@dataclass(frozen=True, eq=False)
class Levels:
    """Levels measured while sound is played: (frames,) peaks, and (steps,) powers of `loudness`."""

    peaks: Sound
    powers: Sound

    @property
    def peak(self) -> float:
        """The highest peak."""
        return float(self.peaks.max(initial=0.0))

    @property
    def frames(self) -> int:
        """The number of samples until the sound has died away."""
        return int(np.flatnonzero(self.peaks > self.peak * QUIET)[-1] + 1) * FRAME + FADE

    def compute_gain(self, target: float, ceiling: float) -> float:
        """Compute the gain that brings sound to `target` LUFS, with no peak above `ceiling` dB."""
        wanted = target - encoding.measure_loudness(self.powers)
        return float(min(10 ** (wanted / 20), 10 ** (ceiling / 20) / self.peak))


def _store_and_measure(parts: Iterable[Sound], raw: IO[bytes]) -> Levels:
    """Store sound as it is played, and measure it. All parts but the last are whole frames and steps."""
    peaks, powers = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for part in parts:
        raw.write(part.tobytes())
        whole = np.abs(np.pad(part, ((0, -len(part) % FRAME), (0, 0))))
        peaks.append(whole.reshape(-1, FRAME * 2).max(1, initial=0.0))
        powers.append(encoding.compute_powers(part))
    return Levels(np.concatenate(peaks), np.concatenate(powers))


def _trim_and_fade(raw: IO[bytes], samples: int, factor: float) -> Iterable[Sound]:
    """Yield the first `samples` of the stored sound, times `factor`, second by second, with a short fade at the end."""
    raw.seek(0)
    for begin in range(0, samples, takes.RATE):
        part = np.frombuffer(raw.read(takes.RATE * 8), np.float32).reshape(-1, 2)[: samples - begin]
        left = samples - begin - np.arange(len(part), dtype=np.float32)
        yield part * (factor * np.minimum(left / FADE, 1.0))[:, None].astype(np.float32)
