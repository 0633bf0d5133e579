"""The piano roll of one piece: grid, keyboard, notes, velocities, markers, title."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from composer.errors import printable
from composer.music.score import END, Notes, Score, Text, Track, concatenate_notes
from composer.types import Piece
from composer_picture import shapes
from composer_picture.grid import Grid, Lanes, Row, is_black, lay_out, make_lanes
from composer_picture.shapes import Boxes, Drawing, Rectangles, Shape, Theme, Words

MARGIN, LEFT, KEYS = 28.0, 62.0, 16.0  # LEFT is for pitch names and keys
_VELOCITY, _GAP, _BETWEEN = 34.0, 5.0, 26.0
_MOST_NAMED = 12  # tracks in the legend
_TALLEST = 3_600.0  # height of all rows


Heights: TypeAlias = Callable[[Any], Any]
"""From lanes to units below the upper edge of the roll."""


@dataclass(frozen=True)
class _Frame:
    """Layout common to all rows: scale of ticks and lanes, and heights of the parts."""

    score: Score
    theme: Theme
    grid: Grid
    lanes: Lanes
    lane: float  # height of a pitch lane
    drum: float  # height of a drum lane
    left: float
    right: float
    words: float  # height of the texts above the roll: numbers, chords, markers
    parts: tuple[tuple[int, Track], ...]  # by colour

    @property
    def roll(self) -> float:
        return float(self.place_lane(self.lanes.count))

    @property
    def row(self) -> float:
        return self.words + self.roll + _GAP + _VELOCITY + _BETWEEN

    def place_tick(self, ticks: np.ndarray | int, row: Row) -> np.ndarray:
        return self.left + (np.asarray(ticks, dtype=np.float64) - row.start) * self.grid.scale

    def place_lane(self, lane: np.ndarray | int) -> np.ndarray:
        """Compute the top of a lane, in units below the upper edge of the roll."""
        pitches = np.minimum(lane, self.lanes.pitches)
        return pitches * self.lane + (lane - pitches) * self.drum

    def end(self, row: Row) -> float:
        return float(self.place_tick(row.end, row))


def draw_piece(piece: Piece, theme: Theme, *, width: float, in_row: int = 0) -> Drawing:
    """Draw a piece, `width` units wide, with `in_row` bars in a row. Raises ValueError for too many bars."""
    score, tall = piece.score, make_lanes(piece.score.tracks)
    lane = float(np.clip(300 / tall.count, 3, 9))
    drum = max(lane, 11.0) if len(tall.drums) <= 16 else lane
    words = 18.0 + 16 * bool(score.chords) + 20 * bool(_list_markers(score))
    least = words + tall.pitches * lane + len(tall.drums) * drum + _GAP + _VELOCITY + _BETWEEN
    left, right = MARGIN + LEFT, width - MARGIN
    its_grid = lay_out(score, right - left, in_row=in_row, most_rows=max(int(_TALLEST / least), 1))
    parts = group_by_colour(score.tracks, len(theme.tracks))
    frame = _Frame(score, theme, its_grid, tall, lane, drum, left, right, words, parts)
    title, head = shapes.make_title(piece), list(_draw_head(piece, frame))
    top = max((word.y for word in head if isinstance(word, Words)), default=MARGIN) + 22
    drawn: list[Shape] = head
    for number, row in enumerate(its_grid.rows):
        drawn += _draw_row(frame, row, top + number * frame.row)
    height = top + len(its_grid.rows) * frame.row - _BETWEEN + MARGIN
    return Drawing(width, float(np.ceil(height)), theme.background, title or "Piano roll", tuple(drawn))


# --- above the rows ---------------------------------------------------------------------------------------------------


def _draw_head(piece: Piece, frame: _Frame) -> Iterator[Shape]:
    theme, score, room = frame.theme, frame.score, frame.right - MARGIN
    y = MARGIN + 16.0
    if title := shapes.make_title(piece):
        yield Words(MARGIN, y, shapes.cut_text(title, 20, room, is_bold=True), 20, theme.text, is_bold=True)
        y += 22
    whole = len(frame.grid.bars.signature_index) - frame.grid.upbeat if score.note_count else 0
    about = shapes.make_subtitle(piece, whole, frame.grid.bars.time_signatures[0])
    yield Words(MARGIN, y, shapes.cut_text(about, 12, room), 12, theme.muted)
    if any(len(track.notes) for track in score.tracks):
        yield from _draw_legend(frame, y + 24)


def _draw_legend(frame: _Frame, y: float) -> Iterator[Shape]:
    x, theme = MARGIN, frame.theme
    sounding = [number for number, track in enumerate(frame.score.tracks) if len(track.notes)]
    for index, number in enumerate(sounding):
        track = frame.score.tracks[number]
        name = shapes.cut_text(shapes.name_track(track.name, number, is_drum=track.is_drum), 12, 200)
        after = x + 16 + shapes.measure_text(name, 12) + 20
        if index == _MOST_NAMED or after > frame.right - 90:
            yield Words(x, y, f"and {len(sounding) - index:,} more", 12, theme.muted)
            return
        yield Boxes(np.array([[x, y - 10, x + 10, y]]), choose_colour(number, theme), 2.5)
        yield Words(x + 16, y, name, 12, theme.text)
        x = after


def choose_colour(track: int, theme: Theme) -> str:
    """Choose the colour of a track, by its index in the piece."""
    return theme.tracks[track % len(theme.tracks)]


def group_by_colour(tracks: Sequence[Track], colours: int) -> tuple[tuple[int, Track], ...]:
    """Group tracks by colour and join each group, so that many tracks are drawn in a few strokes."""
    groups: dict[tuple[int, bool], list[Notes]] = {}
    for number, track in enumerate(tracks):
        if len(track.notes):
            groups.setdefault((number % colours, track.is_drum), []).append(track.notes)
    return tuple(
        (number, Track(concatenate_notes(parts), is_drum=is_drum)) for (number, is_drum), parts in groups.items()
    )


# --- one row ----------------------------------------------------------------------------------------------------------


def _draw_row(frame: _Frame, row: Row, top: float) -> Iterator[Shape]:
    roll = top + frame.words
    below = roll + frame.roll + _GAP
    yield from draw_lanes(frame.lanes, frame.theme, frame.left, frame.end(row), roll, frame.place_lane)
    yield from _draw_lines(frame, row, roll, below)
    yield from _draw_keyboard(frame, roll)
    yield from _draw_numbers(frame, row, roll - 6)
    yield from _draw_notes(frame, row, roll)
    yield from _draw_velocities(frame, row, below)
    yield from _draw_texts(frame, row, roll)
    if not frame.score.note_count:
        middle = (frame.left + frame.end(row)) / 2, roll + frame.roll / 2 + 5
        yield Words(*middle, "no notes", 14, frame.theme.muted, "middle")


def draw_lanes(its: Lanes, theme: Theme, left: float, right: float, roll: float, top: Heights) -> Iterator[Shape]:
    """Draw the lanes, darker for black keys, a line under each C, and one above the drums."""

    def make_boxes(first: Sequence[int], last: Sequence[int], half: float = 0.0) -> Rectangles:
        high, low = roll + top(np.array(first)) - half, roll + top(np.array(last)) + half
        return np.stack([np.full_like(high, left), high, np.full_like(high, right), low], axis=1)

    yield Boxes(make_boxes([0], [its.count]), theme.lane)
    keys = [(index, its.highest - index) for index in range(its.pitches)]
    dark = [index for index, pitch in keys if is_black(pitch)]
    dark += [index for index, _ in its.list_drums() if (index - its.pitches) % 2]
    if dark:
        yield Boxes(make_boxes(dark, [index + 1 for index in dark]), theme.dark_lane)
    edges = [index + 1 for index, pitch in keys if pitch % 12 == 0]
    edges += [its.pitches] if its.drums and its.pitches else []
    if edges:
        yield Boxes(make_boxes(edges, edges, 0.5), theme.octave)


def _draw_lines(frame: _Frame, row: Row, roll: float, below: float) -> Iterator[Shape]:
    bottom = below + _VELOCITY
    yield Boxes(np.array([[frame.left, below, frame.end(row), bottom]]), frame.theme.lane)
    beats = frame.place_tick(frame.grid.find_beats(row, 7), row)
    for parts, colour, half in (
        (beats, frame.theme.beat, 0.5),
        (frame.place_tick(frame.grid.find_bar_lines(row, 5), row), frame.theme.bar, 0.5),
        (np.array([frame.end(row)]), frame.theme.bar, 0.5),
    ):
        if len(parts):
            yield Boxes(_make_lines(parts, half, roll, below - _GAP), colour)
            yield Boxes(_make_lines(parts, half, below, bottom), colour)


def _make_lines(x: np.ndarray, half: float, top: float, bottom: float) -> Rectangles:
    return np.stack([x - half, np.full_like(x, top), x + half, np.full_like(x, bottom)], axis=1)


def _draw_keyboard(frame: _Frame, roll: float) -> Iterator[Shape]:
    its, theme, lane = frame.lanes, frame.theme, frame.lane
    right, left = frame.left - 4, frame.left - 4 - KEYS
    for index, sound in its.list_drums():
        if frame.drum >= 9:
            name = shapes.cut_text(shapes.name_drum(sound), 9, LEFT + MARGIN - 16)
            yield Words(
                right - 2, roll + float(frame.place_lane(index)) + frame.drum / 2 + 3.2, name, 9, theme.muted, "end"
            )
    if not its.pitches:
        return
    keys = [its.highest - index for index in range(its.pitches)]
    yield Boxes(np.array([[left - 1, roll - 1, right, roll + its.pitches * lane + 1]]), theme.bar)
    yield Boxes(np.array([[left, roll, right, roll + its.pitches * lane]]), theme.ivory)
    seams = [n + 1 for n, pitch in enumerate(keys[:-1]) if pitch % 12 in (0, 5)]
    if seams:
        yield Boxes(np.array([[left, roll + n * lane - 0.5, right, roll + n * lane + 0.5] for n in seams]), theme.bar)
    if black := [n for n, pitch in enumerate(keys) if is_black(pitch)]:
        rectangles = [[left + KEYS * 0.4, roll + n * lane + 0.5, right, roll + (n + 1) * lane - 0.5] for n in black]
        yield Boxes(np.array(rectangles), theme.ebony)
    shown = [n for n, pitch in enumerate(keys) if pitch % 12 == 0 or (lane >= 7 and pitch % 12 == 7)]
    for n in shown or [len(keys) - 1]:
        colour = theme.text if keys[n] % 12 == 0 else theme.muted
        yield Words(left - 6, roll + (n + 0.5) * lane + 3.6, shapes.name_pitch(keys[n]), 10, colour, "end")


def _draw_numbers(frame: _Frame, row: Row, y: float) -> Iterator[Shape]:
    theme, metres = frame.theme, frame.grid.bars
    before = metres.signature_index[row.first - 1] if row.first else -1
    changes = {}
    for bar in range(row.first, row.last) if len(metres.time_signatures) > 1 else ():
        if metres.signature_index[bar] != before and bar:
            changes[int(metres.starts[bar])] = str(metres.time_signatures[metres.signature_index[bar]])
        before = metres.signature_index[bar]
    for number, tick in frame.grid.number_bars(row, 34):
        x = float(frame.place_tick(tick, row))
        yield Words(x + 2, y, str(number), 10, theme.muted)
        if tick in changes:
            after = x + 8 + shapes.measure_text(str(number), 10)
            yield Words(after, y, changes[tick], 10, theme.text, is_bold=True)


def _select_notes(frame: _Frame, notes: Notes, row: Row) -> Notes:
    ends = notes["start"] + notes["duration"]
    last = row.last == len(frame.grid.bars.signature_index)
    return notes[(notes["start"] < row.end) & ((ends > row.start) | (last & (notes["start"] >= row.start)))]


def _draw_notes(frame: _Frame, row: Row, roll: float) -> Iterator[Shape]:
    for number, track in frame.parts:
        notes = _select_notes(frame, track.notes, row)
        if len(notes):
            rectangles = place_notes(frame.lanes.assign(track, notes), notes, row, frame.grid.scale, frame.place_lane)
            if track.is_drum:  # its onset matters, not its duration
                rectangles[:, 2] = np.maximum(rectangles[:, 2], rectangles[:, 0] + min(5.0, frame.drum / 2))
            rectangles += [frame.left, roll, frame.left, roll]
            yield Boxes(rectangles, choose_colour(number, frame.theme), min(2.0, frame.lane / 3))


def place_notes(lane: np.ndarray, notes: Notes, row: Row, scale: float, top: Heights) -> Rectangles:
    """Place notes relative to the upper left corner of the roll, without duplicates, each at least one unit long."""
    left = np.maximum(notes["start"] - row.start, 0) * scale
    right = (np.minimum(notes["start"] + notes["duration"], row.end) - row.start) * scale
    right = np.maximum(right - np.minimum(1.0, (right - left) / 4), left + 1)
    high, low = top(lane), top(lane + 1)
    gap = np.where(low - high >= 8, 1.0, np.where(low - high >= 4, 0.5, 0.0))
    return np.unique(np.round(np.stack([left, high + gap, right, low - gap], axis=1) * 2) / 2, axis=0)


def _draw_velocities(frame: _Frame, row: Row, top: float) -> Iterator[Shape]:
    base = top + _VELOCITY
    for number, track in frame.parts:
        notes = _select_notes(frame, track.notes, row)
        notes = notes[notes["start"] >= row.start]
        if len(notes):
            x = np.round((frame.place_tick(notes["start"], row) + number * 2.5 + 1) * 2) / 2
            high = base - np.clip(notes["velocity"], 1, 127) / 127 * (_VELOCITY - 2)
            rectangles = np.stack([x, np.round(high * 2) / 2, x + 2, np.full_like(x, base)], axis=1)
            yield Boxes(np.unique(rectangles, axis=0), choose_colour(number, frame.theme))
    yield Words(frame.left - 10, top + 11, "velocity", 9, frame.theme.muted, "end")


def _list_markers(score: Score) -> Sequence[Text]:
    return [marker for marker in score.markers if marker.text != END and marker.text.strip()]


def _draw_texts(frame: _Frame, row: Row, roll: float) -> Iterator[Shape]:
    theme = frame.theme
    y = roll - 22
    if frame.score.chords:
        for x, text, room in _place_texts(frame, frame.score.chords, row):
            yield Words(x + 2, y, shapes.cut_text(text, 11, room - 8), 11, theme.text, is_bold=True)
        y -= 16
    for x, text, room in _place_texts(frame, _list_markers(frame.score), row):
        shown = shapes.cut_text(text, 11, room - 20, is_bold=True)
        wide = shapes.measure_text(shown, 11, is_bold=True) + 14
        yield Boxes(np.array([[x - 1, y - 12, x + 1, roll + frame.roll]]), theme.marker)
        yield Boxes(np.array([[x - 1, y - 12, x - 1 + wide, y + 5]]), theme.marker, 3)
        yield Words(x + 6, y, shown, 11, theme.on_marker, is_bold=True)


def _place_texts(frame: _Frame, texts: Sequence[Text], row: Row) -> Iterator[tuple[float, str, float]]:
    """Yield the texts of a row with x and the room up to the next; drop those without room."""
    inside = [text for text in texts if row.start <= text.tick < row.end]
    xs = frame.place_tick(np.array([text.tick for text in inside]), row).tolist()
    placed: list[tuple[float, str]] = []
    for x, text in zip(xs, inside, strict=True):
        if not placed or x - placed[-1][0] >= 30:
            placed.append((x, printable(text.text.strip(), 40)))
    for index, (x, shown) in enumerate(placed):
        yield x, shown, (placed[index + 1][0] if index + 1 < len(placed) else frame.right) - x
