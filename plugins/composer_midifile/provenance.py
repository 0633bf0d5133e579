"""The text event in which a MIDI file carries what made it, and its upbeat; it knows no other event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from composer.storage.opening import read_bytes

from composer.errors import UnreadableFile, printable
from composer_midifile.chunks import Damaged
from composer_midifile.events import OWN_TEXT
from composer_midifile.inspection import MOST_BYTES, inspect

UPBEAT = "upbeat"
"""The key that a score's upbeat has in the text event, in ticks of a Score."""


def provenance(path: Path) -> dict[str, Any]:
    """What made the piece in a MIDI file, as it was given to the exporter; `{}` if the file does not say.

    Raises UnreadableFile for a file that is no MIDI file or cannot be opened. The values are a stranger's: check them.
    """
    shown = printable(str(path))
    try:
        found = unpack(inspect(bytes_of(path)).own_text)
    except Damaged as error:
        raise UnreadableFile(f"{shown}: {error}") from None
    return {key: value for key, value in found.items() if key != UPBEAT}


def bytes_of(path: Path) -> bytes:
    """A file's content. Raises UnreadableFile for more than `MOST_BYTES`, and if it cannot be had at all."""
    return read_bytes(path, MOST_BYTES)


def pack(values: Mapping[str, Any]) -> str:
    """The text event's text, ASCII, the same for equal values. Raises TypeError or ValueError for what is no JSON."""
    return OWN_TEXT.decode() + json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def unpack(raw: bytes) -> dict[str, Any]:
    """The values in the text event's bytes after its first word; `{}` for anything but a JSON object."""
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
