"""Encodes sound as the bytes of a file, by libsndfile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from composer_sound import oggpages
from composer_sound.takes import RATE


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
        oggpages.set_serial_numbers(path)
