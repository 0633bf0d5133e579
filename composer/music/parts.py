"""Parts: a track of a score by its name or number."""

from __future__ import annotations

from composer.errors import BadOption, printable, suggest
from composer.music.score import Score


def find_voice(score: Score, name: str) -> int:
    """Find a track by its name, or its number from 1. Raises BadOption."""
    names = [track.name.casefold() for track in score.tracks]
    wanted = name.strip().casefold()
    if wanted in names:
        return names.index(wanted)
    if wanted.isdecimal() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    shown = [track_name or str(number) for number, track_name in enumerate(names, start=1)]
    raise BadOption(f"unknown voice '{printable(name.strip())}'; {suggest(wanted, shown)}")
