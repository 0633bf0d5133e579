"""Pieces in a notebook: a piano roll as SVG, and the sound of short ones, by the installed exporters."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composer.io.pieces import Piece

LONGEST = 45.0
"""Seconds of a piece that is shown with its sound."""

ROLL, SOUND = ".roll.svg", ".mp3"


def render_html(piece: Piece) -> str:
    """Draw a piece, with sound if it is short; parts without an exporter are left out."""
    words = escape(piece.title or "A piece")
    shown = f"<p>{words}: {piece.score.note_count:,} notes.</p>"
    roll = _try_export(piece, ROLL)
    if roll is not None:
        picture = roll.decode()
        shown = f'<div style="max-width: 100%; overflow-x: auto">{picture[picture.index("<svg") :]}</div>'
    return shown + _render_sound(piece)


def _render_sound(piece: Piece) -> str:
    if not piece.score.note_count or piece.seconds > LONGEST:
        return ""
    sound = _try_export(piece, SOUND)
    if sound is None:
        return ""
    return f'<audio controls src="data:audio/mpeg;base64,{base64.b64encode(sound).decode()}"></audio>'


def _try_export(piece: Piece, suffix: str) -> bytes | None:
    """Write a piece to bytes; None for any error of an exporter, so that the rest is still shown."""
    try:
        return piece.to_bytes(suffix)
    except Exception:
        return None
