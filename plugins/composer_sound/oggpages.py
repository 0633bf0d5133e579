"""Gives the pages of an Ogg file a fixed serial number.

Encoders draw the serial number at random, so that the same sound would give different files.
Source: RFC 3533, "The Ogg Encapsulation Format Version 0", section 6.
"""

from __future__ import annotations

import zlib
from pathlib import Path

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
