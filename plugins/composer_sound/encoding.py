"""Sound as the bytes of a file, by libsndfile, and its perceived loudness in LUFS.

Encoders draw the serial number of an Ogg file at random, so that the same sound would give different files. Its pages
get a fixed one (RFC 3533, "The Ogg Encapsulation Format Version 0", section 6).

Loudness is that of Recommendation ITU-R BS.1770-4 (2015), "Algorithms to measure audio programme loudness and true-peak
audio level", annex 1. Its filter is applied to spectra, one for each 100 ms.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from composer_sound.takes import RATE

# --- formats ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """How sound is encoded: names of libsndfile, and the highest peak, in dB below full scale."""

    container: str
    coding: str
    ceiling: float = -1.0


FORMATS = {
    ".wav": Format("WAV", "PCM_16"),
    ".flac": Format("FLAC", "PCM_16"),
    ".ogg": Format("OGG", "VORBIS", ceiling=-2.0),  # decoding moves the peaks
    ".mp3": Format("MP3", "MPEG_LAYER_III", ceiling=-2.0),
}
"""Formats by suffix."""


def encode(parts: Iterable[object], path: Path, form: Format, *, title: str = "") -> None:
    """Write sound, arrays of (samples, 2), to `path`, tagged with a title. Raises OSError if it cannot be written."""
    import soundfile

    try:
        with soundfile.SoundFile(path, "w", RATE, 2, form.coding, format=form.container) as file:
            if title:
                file.title = title
            for part in parts:
                file.write(part)
    except soundfile.LibsndfileError as error:
        raise OSError(error.error_string) from None
    if form.container == "OGG":
        set_serial_numbers(path)


# --- pages of an Ogg file ---------------------------------------------------------------------------------------------


SERIAL = 1

_HEADER = 27
_SERIAL_AT, _CHECKSUM_AT = 14, 22
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def set_serial_numbers(path: Path) -> None:
    """Set the serial number of every page to 1, and update its checksum. Raises OSError for a file that is no Ogg."""
    with path.open("r+b") as file:
        at = 0
        while header := file.read(_HEADER):
            lengths = file.read(header[26]) if len(header) == _HEADER and header.startswith(b"OggS") else None
            if lengths is None:
                raise OSError("the encoder wrote no Ogg page")
            page = bytearray(header + lengths + file.read(sum(lengths)))
            page[_SERIAL_AT : _SERIAL_AT + 4] = SERIAL.to_bytes(4, "little")
            page[_CHECKSUM_AT : _CHECKSUM_AT + 4] = bytes(4)
            page[_CHECKSUM_AT : _CHECKSUM_AT + 4] = compute_checksum(page).to_bytes(4, "little")
            file.seek(at)
            file.write(page)
            at += len(page)


def compute_checksum(page: bytes | bytearray) -> int:
    """Compute Ogg's CRC: zlib's polynomial with the bits of each byte reversed, beginning and ending with 0."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


# --- loudness ---------------------------------------------------------------------------------------------------------


STEP = RATE // 10
"""Samples from one block of 400 ms to the next."""

_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
_OFFSET = -0.691
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0
_AT_ONCE = 8  # spectra; few enough for a processor's cache


def compute_powers(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute (steps,) weighted powers of both channels, one for each 100 ms of sound (samples, 2), the last padded.

    The window of a step is twice as long; the squares of neighbouring windows add up to 1.
    """
    steps = -(-len(sound) // STEP)
    whole = np.pad(sound, ((STEP // 2, STEP // 2 + steps * STEP - len(sound)), (0, 0)))
    both = whole.view(np.complex64)[:, 0]  # left and right in one spectrum: their powers at f and -f add up
    windows = np.lib.stride_tricks.sliding_window_view(both, 2 * STEP)[::STEP]
    found = np.zeros(steps, np.float32)
    for begin in range(0, steps, _AT_ONCE):
        spectra = np.fft.fft(windows[begin : begin + _AT_ONCE] * _make_window())
        found[begin : begin + _AT_ONCE] = (spectra.real**2 + spectra.imag**2) @ _compute_weights()
    return found


def measure_loudness(powers: NDArray[np.float32]) -> float:
    """Compute the loudness of all steps in LUFS, by blocks of 400 ms and both gates; -70 if all blocks are silent."""
    steps = np.concatenate((powers, np.zeros(max(4 - len(powers), 0))))
    blocks = np.convolve(steps, np.full(4, 0.25), "valid")
    for gate in (lambda _: _ABSOLUTE_GATE, lambda kept: _convert_to_lufs(kept.mean()) + _RELATIVE_GATE):
        if not len(blocks):
            break
        blocks = blocks[_convert_to_lufs(blocks) > gate(blocks)]
    return float(_convert_to_lufs(blocks.mean())) if len(blocks) else _ABSOLUTE_GATE


def _convert_to_lufs(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return _OFFSET + 10 * np.log10(np.maximum(power, 1e-12))


@cache
def _make_window() -> NDArray[np.float32]:
    return np.sin(np.pi * (np.arange(2 * STEP) + 0.5) / (2 * STEP)).astype(np.float32)


@cache
def _compute_weights() -> NDArray[np.float32]:
    """Compute the weight of each line of a spectrum in the power of a step, after both filters (Parseval's theorem)."""
    back = np.exp(-1j * np.pi * np.arange(2 * STEP) / STEP)
    response = np.ones(len(back), np.complex128)
    for above, below in (_SHELF, _HIGH_PASS):
        response *= np.polyval(above[::-1], back) / np.polyval(below[::-1], back)
    return (np.abs(response) ** 2 / (2 * STEP**2)).astype(np.float32)
