"""Texts of a picture: titles, pitches, drum sounds, tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composer.errors import printable
from composer.music.score import TimeSignature
from composer.types import Piece

_LETTERS = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
# fmt: off
_DRUMS = (
    "Kick 2", "Kick", "Side stick", "Snare", "Clap", "Snare 2", "Low floor tom", "Closed hat", "High floor tom",
    "Pedal hat", "Low tom", "Open hat", "Low-mid tom", "High-mid tom", "Crash", "High tom", "Ride", "China",
    "Ride bell", "Tambourine", "Splash", "Cowbell", "Crash 2", "Vibraslap", "Ride 2", "High bongo", "Low bongo",
    "Mute conga", "High conga", "Low conga", "High timbale", "Low timbale", "High agogo", "Low agogo", "Cabasa",
    "Maracas", "Short whistle", "Long whistle", "Short guiro", "Long guiro", "Claves", "High block", "Low block",
    "Mute cuica", "Open cuica", "Mute triangle", "Triangle",
)
# fmt: on
_FIRST_DRUM = 35


def make_title(piece: Piece) -> str:
    """Return the piece's own title, or its model and seed; empty if it has neither."""
    return printable(piece.title, 120) or ", ".join(_describe_origin(piece.provenance))


def make_subtitle(piece: Piece, whole_bars: int, metre: TimeSignature) -> str:
    """Return the model and seed, if they are not the title, and length, time signature, key and tempo."""
    score = piece.score
    parts = (
        _describe_origin(piece.provenance) if make_title(piece) != ", ".join(_describe_origin(piece.provenance)) else []
    )
    parts += [f"{whole_bars:,} bar{'s' * (whole_bars != 1)}", str(metre)]
    if score.key_signatures:
        key = score.key_signatures[0].key
        parts.append(str(key).removesuffix("m") + (" minor" if key.minor else " major"))
    if score.tempos:
        parts.append(f"{score.tempos[0].bpm:.4g} bpm")
    return "  ·  ".join(parts)


def _describe_origin(made_by: Mapping[str, Any]) -> list[str]:
    request = made_by.get("request")
    seed, index = (request.get("seed", 0), request.get("index", 0)) if isinstance(request, Mapping) else (None, 0)
    parts = [printable(str(made_by["model"]), 60)] if made_by.get("model") else []
    parts += [f"seed {printable(str(seed), 24)}"] if seed is not None else []
    return [*parts, f"index {printable(str(index), 24)}"] if index else parts


def name_pitch(number: int) -> str:
    """Name a pitch: `C4` for 60."""
    return f"{_LETTERS[number % 12]}{number // 12 - 1}"


def name_drum(number: int) -> str:
    """Name a General MIDI drum sound; unknown ones by number."""
    index = number - _FIRST_DRUM
    return _DRUMS[index] if 0 <= index < len(_DRUMS) else f"Sound {number}"


def name_track(name: str, number: int, *, is_drum: bool) -> str:
    """Name a track: its own name, or its number."""
    return printable(name.strip(), 40) if name.strip() else "Drums" if is_drum else f"Track {number + 1}"
