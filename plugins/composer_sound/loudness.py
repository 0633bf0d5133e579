"""Perceived loudness of sound, in LUFS.

Source: Recommendation ITU-R BS.1770-4 (2015), "Algorithms to measure audio programme loudness and true-peak audio
level", annex 1. Its filter is applied to spectra, one for each 100 ms.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from composer_sound.takes import RATE

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
