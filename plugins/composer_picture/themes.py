"""Colours of pictures, light and dark.

Tracks have the hues of Okabe and Ito (2008), which differ for colour-blind viewers, too. Pale hues are darker on white,
and dark ones lighter on black, so that the contrast with the background is at least 3 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass


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
