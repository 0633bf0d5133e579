"""A piece in the forms that other plugins write, and the positions of the bars in its engraved form.

Any form may be missing. The positions are for the mark that follows the music. They are read from the SVG of Verovio: a
group of class `measure` for each bar, with groups of class `staff`, and in these the lines of the staff as paths from
left to right. Other SVG has no positions, and the score no mark.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

from composer.errors import ComposerError, printable
from composer.plugins.registry import registry
from composer.types import Piece

# --- forms, as bytes --------------------------------------------------------------------------------------------------


ENGRAVED = ".svg"
SOUNDING = (".mid",)
PLAIN = (*SOUNDING, ".musicxml")
ALL = (*PLAIN, ENGRAVED)

NARROW = 105.0
"""Millimetres of the width of a score that is shown on a phone."""


@dataclass(frozen=True)
class Forms:
    """The written files by suffix, and the reason for each missing one."""

    data: Mapping[str, bytes]
    missing: Mapping[str, str]


def write_forms(piece: Piece, suffixes: Sequence[str]) -> Forms:
    """Write the piece in each of these forms that has an exporter."""
    data, missing = {}, {}
    with tempfile.TemporaryDirectory(prefix="composer-page-") as folder:
        for suffix in suffixes:
            if suffix not in registry().offers["exporters"]:
                continue
            try:
                data[suffix] = _write_form(piece, suffix, Path(folder) / f"piece{suffix}")
            except ComposerError as error:
                missing[suffix] = printable(str(error).removeprefix(str(Path(folder) / f"piece{suffix}: ")), 200)
            except Exception as error:  # a fault of another plugin costs one form, and not the page
                missing[suffix] = printable(f"{type(error).__name__}: {error}", 200)
    return Forms(data, missing)


def write_narrow_score(piece: Piece) -> bytes:
    """Engrave the piece for a phone, with fewer bars on a line; b"" where the exporter has no such width, or fails."""
    if all(option.name != "width" for option in registry().get_offer("exporters", ENGRAVED).options):
        return b""
    with tempfile.TemporaryDirectory(prefix="composer-page-") as folder:
        try:
            return _write_form(piece, ENGRAVED, Path(folder) / f"piece{ENGRAVED}", width=NARROW)
        except Exception:  # the wide score is there
            return b""


def _write_form(piece: Piece, suffix: str, path: Path, **options: Any) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporting the form by itself shows them
        if suffix == ENGRAVED and "repeats" in registry().get_offer("exporters", suffix).known:
            options["repeats"] = False  # each bar is marked while it sounds, and so stands there
        registry().make("exporters", suffix, **options)([piece], path)
    return path.read_bytes()


# --- positions of bars ------------------------------------------------------------------------------------------------


_LINE = re.compile(r"M\s*(-?[\d.]+)[ ,](-?[\d.]+)\s*L\s*(-?[\d.]+)[ ,](-?[\d.]+)\s*$")
_MOVE = re.compile(r"translate\(\s*(-?[\d.]+)[ ,]+(-?[\d.]+)\s*\)")
_AIR = 0.004  # margin above and below the staves, relative to the page's width

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Frame:
    """Maps coordinates of an element to those of the page: times `scale`, plus x and y.

    `wide` is the width of the element in its own coordinates.
    """

    wide: float
    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0

    def transform(self, scale: float, x: float, y: float) -> _Frame:
        return replace(self, scale=self.scale * scale, x=self.x + self.scale * x, y=self.y + self.scale * y)


def find_bars(svg: bytes, count: int) -> list[list[float]]:
    """Find left, top, width and height of `count` bars, as fractions of the page. Return none if the count differs."""
    try:
        root = fromstring(svg)  # noqa: S314  (an installed plugin wrote it, a moment ago)
        wide, high = _read_box(root)[2:]
        found = [box for box in _find_measures(root, _Frame(wide)) if box]
    except (ParseError, ValueError, ZeroDivisionError, RecursionError):
        return []
    if len(found) != count or not (wide > 0 and high > 0):
        return []
    air = _AIR * wide
    return [
        [round(value, 5) for value in (x / wide, (y - air) / high, (right - x) / wide, (low - y + 2 * air) / high)]
        for x, y, right, low in found
    ]


def _find_measures(element: Element, frame: _Frame) -> Iterator[Box | None]:
    for child in element:
        if "measure" in child.get("class", "").split():
            yield _locate_measure(child, frame)
        elif _read_tag(child) in ("svg", "g"):
            yield from _find_measures(child, _enter_element(child, frame))


def _locate_measure(measure: Element, frame: _Frame) -> Box | None:
    """Locate a bar by the lines of its staves."""
    lines = [
        tuple(float(number) for number in line.groups())
        for staff in measure.iter()
        if "staff" in staff.get("class", "").split()
        for path in staff
        if _read_tag(path) == "path" and (line := _LINE.match(path.get("d", "")))
    ]
    if not lines:
        return None
    x, y = min(line[0] for line in lines), min(line[1] for line in lines)
    right, low = max(line[2] for line in lines), max(line[3] for line in lines)
    corners = frame.transform(1, x, y), frame.transform(1, right, low)
    return corners[0].x, corners[0].y, corners[1].x, corners[1].y


def _enter_element(element: Element, frame: _Frame) -> _Frame:
    if _read_tag(element) == "g":
        move = _MOVE.match(element.get("transform", ""))
        return frame.transform(1, float(move[1]), float(move[2])) if move else frame
    x, y = float(element.get("x", 0)), float(element.get("y", 0))
    left, top, wide, _ = _read_box(element)
    scale = float(element.get("width", frame.wide)) / wide
    return replace(frame.transform(1, x, y).transform(scale, -left, -top), wide=wide)


def _read_box(element: Element) -> tuple[float, float, float, float]:
    numbers = [float(number) for number in element.get("viewBox", "0 0 0 0").replace(",", " ").split()]
    left, top, wide, high = numbers
    return left, top, wide, high


def _read_tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]
