"""MIDI to WAV by midirenderer, in this process or in one that is asked over pipes.

As a process it imports as little as possible, since every piece waits for its start: see `rendering`.
"""

from __future__ import annotations

import sys

LENGTH = 4
"""Bytes of a number on the pipes, big-endian."""


def render(soundfont: bytes, midi: bytes) -> bytes:
    """Render a WAV file of 16 bits, stereo, 48 kHz. Raises ValueError, stating what is wrong with the soundfont."""
    import midirenderer

    try:
        return midirenderer.render_wave_from(soundfont, midi)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"the soundfont cannot be used ({' '.join(str(error).split())})") from None
    except BaseException as error:  # a panic in Rust is not an Exception
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("the soundfont cannot be used: it is damaged") from None


def main() -> None:
    """Render every MIDI file that comes in, each after its length, until none comes.

    An answer is the length of a WAV file, the file, the length of an error message and the message, or 0.
    """
    with open(sys.argv[1], "rb") as file:  # noqa: PTH123  (pathlib would take longer to import than this to run)
        soundfont = file.read()
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    while length := asked.read(LENGTH):
        wav, wrong = b"", b""
        try:
            wav = render(soundfont, asked.read(int.from_bytes(length)))
        except ValueError as error:
            wrong = str(error).encode()
        for part in (wav, wrong):
            answers.write(len(part).to_bytes(LENGTH))
            answers.write(part)
        answers.flush()


if __name__ == "__main__":
    main()
