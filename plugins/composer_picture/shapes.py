"""What a picture is made of: boxes and words in a plane, fonts, texts and colours.

The font is DejaVu, which comes with matplotlib, or else Pillow's. Tracks have the hues of Okabe and Ito (2008), which
differ for colour-blind viewers, too. Pale hues are darker on white, and dark ones lighter on black, so that the
contrast with the background is at least 3 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from composer.errors import printable
from composer.music.score import TICKS_PER_QUARTER, TimeSignature
from composer.types import Piece

# --- shapes -----------------------------------------------------------------------------------------------------------


Rectangles = NDArray[Any]
"""(n, 4) boxes: left, top, right, bottom, in units from the upper left corner."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one colour (`#rrggbb`), with square or rounded corners."""

    rectangles: Rectangles
    colour: str
    radius: float = 0.0


@dataclass(frozen=True)
class Words:
    """A line of text; `x`, `y` are the start, middle or end of its baseline, by `anchor`."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: str = "start"
    is_bold: bool = False


Shape: TypeAlias = Boxes | Words


@dataclass(frozen=True)
class Drawing:
    """Shapes on a sheet, in drawing order. Sizes are in units; a screen shows one unit as one pixel."""

    width: float
    height: float
    background: str
    title: str
    shapes: tuple[Shape, ...]


# --- fonts and the width of text --------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def load_font(size: float, *, is_bold: bool = False) -> Any:
    """Load a Pillow font of this size in pixels."""
    from PIL import ImageFont

    found = _find_folder() / ("DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf")
    # Basic layout: pictures do not depend on the shaping library of the machine.
    if found.is_file():
        return ImageFont.truetype(str(found), size, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size)


def measure_text(text: str, size: float, *, is_bold: bool = False) -> float:
    """Measure the width of a line of text, in the unit of `size`."""
    return float(load_font(32, is_bold=is_bold).getlength(text)) * size / 32


def cut_text(text: str, size: float, room: float, *, is_bold: bool = False) -> str:
    """Return `text`, or as much of it as fits into `room`, with an ellipsis."""
    if measure_text(text, size, is_bold=is_bold) <= room:
        return text
    for end in range(len(text) - 1, 0, -1):
        shortened = text[:end].rstrip() + "…"
        if measure_text(shortened, size, is_bold=is_bold) <= room:
            return shortened
    return ""


@lru_cache(maxsize=1)
def _find_folder() -> Path:
    """Find matplotlib's fonts without importing it, which would take longer than drawing."""
    spec = find_spec("matplotlib")
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders), "")) / "mpl-data" / "fonts" / "ttf" if folders else Path()


# --- titles and names -------------------------------------------------------------------------------------------------


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


def make_subtitle(piece: Piece, whole_bars: int, time_signature: TimeSignature) -> str:
    """Return the model and seed, if they are not the title, and length, time signature, key and tempo."""
    score = piece.score
    parts = (
        _describe_origin(piece.provenance) if make_title(piece) != ", ".join(_describe_origin(piece.provenance)) else []
    )
    parts += [f"{whole_bars:,} bar{'s' * (whole_bars != 1)}", str(time_signature)]
    if score.key_signatures:
        key = score.key_signatures[0].key
        parts.append(str(key).removesuffix("m") + (" minor" if key.minor else " major"))
    if score.tempos:
        parts.append(f"{score.tempos[0].bpm * TICKS_PER_QUARTER / time_signature.pulse_ticks:.4g} bpm")
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


# --- colours, light and dark ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Theme:
    """Colours by use."""

    background: str
    lane: str  # of a white key
    dark_lane: str  # of a black key
    octave: str  # line under each C
    beat: str
    bar: str
    text: str
    muted: str
    ivory: str  # keys at the left
    ebony: str
    marker: str
    on_marker: str
    tracks: tuple[str, ...]


LIGHT = Theme(
    background="#ffffff",
    lane="#f8f9fb",
    dark_lane="#eef0f4",
    octave="#d5d9e2",
    beat="#e3e6ec",
    bar="#b3bac8",
    text="#1b1f2a",
    muted="#646c7d",
    ivory="#ffffff",
    ebony="#3a4150",
    marker="#333a4a",
    on_marker="#ffffff",
    tracks=("#0072b2", "#d55e00", "#00875f", "#b8588f", "#a87900", "#3a8fc4", "#6a4c93", "#7d7d7d"),
)
DARK = Theme(
    background="#12151c",
    lane="#1a1e27",
    dark_lane="#151821",
    octave="#323947",
    beat="#262c38",
    bar="#465063",
    text="#f0f2f6",
    muted="#98a1b3",
    ivory="#d9dde5",
    ebony="#12151c",
    marker="#d5dae4",
    on_marker="#12151c",
    tracks=("#56b4e9", "#f08540", "#2fc59b", "#e893c4", "#e6b93c", "#8fa8ff", "#b79bdf", "#b4b4b4"),
)
THEMES = {"light": LIGHT, "dark": DARK}
