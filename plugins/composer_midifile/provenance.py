"""The text event that stores provenance and pickup in a MIDI file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from composer.errors import UnreadableFile, printable
from composer.storage.opening import read_bytes
from composer_midifile.chunks import Damaged
from composer_midifile.events import OWN_TEXT
from composer_midifile.inspection import MOST_BYTES, decode_file

PICKUP = "upbeat"
"""The key of the pickup in the text event, in ticks of a Score."""


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of the piece in a MIDI file; `{}` if the file states none.

    Raises UnreadableFile for anything but a readable MIDI file. The values are untrusted: check them.
    """
    shown = printable(str(path))
    try:
        found = unpack(decode_file(read_file(path)).own_text)
    except Damaged as error:
        raise UnreadableFile(f"{shown}: {error}") from None
    return {key: value for key, value in found.items() if key != PICKUP}


def read_file(path: Path) -> bytes:
    """Read a file. Raises UnreadableFile for more than `MOST_BYTES`, and for a file that cannot be opened."""
    return read_bytes(path, MOST_BYTES)


def pack(values: Mapping[str, Any]) -> str:
    """Encode values as the text of the event, ASCII, equal for equal values. Raises TypeError or ValueError."""
    return OWN_TEXT.decode() + json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def unpack(raw: bytes) -> dict[str, Any]:
    """Decode the values after the first word of the text event; `{}` for anything but a JSON object."""
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
