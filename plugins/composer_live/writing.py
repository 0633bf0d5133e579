"""Writing with a model: what was played becomes tokens, and the model goes on from any tick.

What is played is put on the model's grid for the model alone: notes outside its range move by octaves, and a model of
single lines reads the highest notes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress, RequestWarning
from composer.generation.generator import Generator
from composer.generation.streaming import Cursor
from composer.music.keys import Key, parse_key
from composer.music.score import KeySignature, Score, TimeSignature, Track, make_labels, make_notes
from composer.request import Request
from composer.tokens.bar_encoding import find_key
from composer.tokens.vocabulary import EOS
from composer.types import Array

WINDOW = 16
"""Bars: the model reads at least so many of the last bars, and less than twice as many."""

ENDLESS = 1_000_000
"""Bars that a request asks for, so that no end is announced."""

MOST_TOKENS = 4096
"""Tokens of one stretch of music at most: a model that never moves on is left."""


@dataclass(frozen=True, order=True)
class PartNote:
    """A note of a session. `part` is the index of a voice of the model, or `PLAYED`."""

    start: int
    end: int
    pitch: int
    velocity: int
    part: tuple[int, bool, str]  # program, whether it is drums, name


PLAYED = (-1, False, "played")
"""The part of whoever plays."""


def make_session_request(request: Request) -> Request:
    """Make the request of a session: without an end, in one time signature, in a key once it is known."""
    return replace(
        request,
        bars=ENDLESS,
        most_bars=ENDLESS,
        time_signature=request.time_signature or "4/4",
        primer=(),
        tempo=None,
        beams=None,
    )


def mask_moves(cursor: Cursor, generator: Generator, tick: int, *, exactly: bool = False) -> NDArray[np.bool_] | None:
    """Mask (V,) the tokens that move to `tick`, or beyond it; None where no token says so."""
    info, music = generator.tokenizer.token_info, cursor.music
    begin = int(music.tick[0] - music.position[0])
    places = np.where(info.position >= 0, begin + info.position, -1)
    moves = (places >= tick) & (info.position >= 0)
    if exactly:
        moves = (places == tick) & (info.position >= 0)
    if not exactly or begin + int(music.bar_ticks[0]) <= tick or int(music.bar[0]) < 0:
        moves = moves | info.is_bar
    if begin + int(music.bar_ticks[0]) <= tick and int(music.bar[0]) >= 0:
        moves = info.is_bar
    return moves if (moves & cursor.allowed).any() else None


def find_range(generator: Generator, key: Key) -> tuple[int, int]:
    """Find the lowest and the highest pitch that the model has in a key."""
    info = generator.tokenizer.token_info
    pitches = info.pitch[info.pitch >= 0]
    shift = key.tonic_offset if info.is_relative else 0
    return (int(pitches.min()) + shift, int(pitches.max()) + shift) if len(pitches) else (0, 127)


def fold(pitch: int, reach: tuple[int, int]) -> int:
    """Move a pitch by octaves into a range, or to its nearest end."""
    lowest, highest = reach
    while pitch < lowest:
        pitch += 12
    while pitch > highest:
        pitch -= 12
    return max(pitch, lowest)


def take_highest(notes: Iterable[PartNote], step: int = 40) -> list[PartNote]:
    """Take a single line from the top: of notes that begin together the highest, each up to the next."""
    line: list[PartNote] = []
    for note in sorted(notes, key=lambda one: (one.start, -one.pitch)):
        if line and note.start - line[-1].start < step:
            continue
        if line and note.pitch < line[-1].pitch and note.start < line[-1].end - step:
            continue  # below a note that is held
        if line:
            line[-1] = replace(line[-1], end=min(line[-1].end, note.start))
        line.append(note)
    return line


class Writer:
    """A model that reads the last bars of a session, and writes on."""

    def __init__(self, generator: Generator, request: Request, program: int) -> None:
        """Make its cursor. Raises BadOption for a request that the model cannot follow."""
        self.generator, self.program = generator, program
        self.key = None if request.key is None else parse_key(request.key)
        self.signature = TimeSignature(0, *map(int, (request.time_signature or "4/4").split("/")))
        self._request = replace(make_session_request(request), key=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RequestWarning)  # whoever set the session up was warned
            self.cursor = Cursor(generator, self._request)
        empty = generator.tokenizer.decode(np.zeros(0, dtype=np.int64)).tracks
        self.voices = tuple((t.program, t.is_drum, t.name) for t in empty) if self.has_voices else ()

    @property
    def has_voices(self) -> bool:
        """Whether the model writes voices that sustain and rest on their own."""
        return self.generator.tokenizer.token_info.has_voices

    @property
    def parts(self) -> int:
        """The number of parts that the model can write side by side."""
        if self.has_voices:
            return len(self.voices)
        kinds = self.generator.tokenizer.token_info.kind
        return max(int(np.count_nonzero(kinds == "Program")), 1)

    def warm_up(self) -> None:
        """Write a bar for nobody, so that all that is made at its first use is there."""
        self.begin((), 0, 0).extend(self.signature.bar_ticks)

    def find_window(self, tick: int, bars: int = WINDOW) -> int:
        """Find the tick of the bar with which the model begins to read `bars` or more, for music from `tick` on."""
        bar = tick // self.signature.bar_ticks
        return max(bar // bars - 1, 0) * bars * self.signature.bar_ticks

    def estimate_key(self, notes: Iterable[PartNote]) -> Key:
        """Return the requested key, or estimate it from what is played."""
        if self.key is not None:
            return self.key
        rows = [(n.start, max(n.end - n.start, 1), n.pitch, n.velocity) for n in notes if not n.part[1]]
        return find_key(Score((Track(make_notes(rows)),)), ends=False) if rows else Key(0)

    def begin(self, notes: Sequence[PartNote], floor: int, turn: int) -> Phrase:
        """Read the notes before `floor`, and return the phrase that goes on from there."""
        begin = self.find_window(floor)
        near = [replace(n, end=min(n.end, floor)) for n in notes if begin <= n.start < floor]
        key = self.estimate_key([n for n in near if n.part == PLAYED] or near)
        self._read(near, begin, floor, key, turn)
        return Phrase(self, begin, floor)

    def open(self, key: Key, turn: int) -> None:
        """Begin a piece in a key, before its first bar."""
        self._read((), 0, 0, key, turn)

    def _read(self, notes: Sequence[PartNote], begin: int, floor: int, key: Key, turn: int) -> None:
        """Take the cursor to the place before `floor`."""
        self.read_tokens(self._encode(notes, begin, floor, key), floor - begin, turn)

    def read_tokens(self, tokens: Sequence[int], tick: int, turn: int) -> None:
        """Take the cursor to the place before a tick of the piece that begins with these tokens."""
        self.cursor.turn = turn
        self.cursor.move_to(tokens)
        while len(self.cursor) and self.is_beyond(tick):
            self.cursor.rewind(len(self.cursor) - 1)
        self.cursor.forget()

    def is_beyond(self, tick: int) -> bool:
        """Tell whether the cursor is in a bar, and at or after a tick of its piece."""
        music = self.cursor.music
        return int(music.bar[0]) >= 0 and int(music.tick[0]) >= tick

    def _encode(self, notes: Sequence[PartNote], begin: int, floor: int, key: Key) -> list[int]:
        """Encode the notes before `floor`, and a note there, so that all that ends before it has ended."""
        reach = find_range(self.generator, key)
        mine = [replace(n, pitch=fold(n.pitch, reach)) for n in notes if n.part == PLAYED]
        others = [n for n in notes if n.part != PLAYED]
        first = self.voices[0] if self.voices else (self.program, False, "")
        if self.has_voices:
            others = [n for n in others if n.part != first or not _overlaps(n, mine)]
        line = [replace(n, part=first) for n in (take_highest(mine) if self.has_voices else mine)]
        pitch = line[-1].pitch if line else fold(60 + key.tonic_offset, reach)
        last = PartNote(floor, floor + self.signature.beat_ticks, pitch, 80, first)
        for tried in ([*line, *others, last], [*line, last], [last]):
            try:
                return [
                    int(t) for t in self.generator.tokenizer.encode(self._make_score(tried, begin, key), ends=False)
                ]
            except CannotExpress:
                continue
        return []

    def _make_score(self, notes: Sequence[PartNote], begin: int, key: Key) -> Score:
        parts = self.voices or tuple(dict.fromkeys(note.part for note in sorted(notes, key=lambda n: n.part)))
        rows = {
            part: [(n.start - begin, max(n.end - n.start, 1), n.pitch, n.velocity) for n in notes if n.part == part]
            for part in parts
        }
        if self.has_voices:
            rows = {part: _cut_line(lines) for part, lines in rows.items()}
        tracks = tuple(Track(make_notes(rows[part]), part[2], part[0], part[1]) for part in parts)
        keys, labels = (KeySignature(0, key),), make_labels((), self._request.conditions)
        return Score(tracks, time_signatures=(self.signature,), key_signatures=keys, labels=labels)


def _overlaps(note: PartNote, others: Sequence[PartNote]) -> bool:
    return any(other.start < note.end and note.start < other.end for other in others)


def _cut_line(rows: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Cut each note of a line at the next one."""
    rows = sorted(rows)
    following = [*(row[0] for row in rows), 2**40][1:]
    return [
        (start, min(duration, after - start), pitch, velocity)
        for (start, duration, pitch, velocity), after in zip(rows, following, strict=True)
        if after > start
    ]


class Phrase:
    """Music that the model writes from a tick on, stretch by stretch. Only the latest phrase of a writer goes on."""

    def __init__(
        self,
        writer: Writer,
        begin: int,
        floor: int,
        *,
        early: int = 0,
        masks: Callable[[Array], Array] | None = None,
    ) -> None:
        """Begin at the writer's place, with nothing written.

        Notes up to `early` ticks before `floor` belong to it. `masks`, from states to masks (B, V), keep what is fixed.
        """
        self._writer, self._begin, self.floor, self.first = writer, begin, floor, floor - early
        self._length, self._masks = len(writer.cursor), masks

    def extend(self, until: int) -> list[PartNote]:
        """Write up to a tick, and return all notes of the phrase; those that go on end at `until` or later.

        Raises NothingAllowed at a dead end of the samplers.
        """
        writer, cursor = self._writer, self._writer.cursor
        cursor.rewind(self._length)
        end = until - self._begin
        for _ in range(MOST_TOKENS):
            self._length = len(cursor)
            cursor.draw(self._mask())
            if int(cursor.music.tick[0]) >= end:
                break
        else:
            self._length = len(cursor)
        score = writer.generator.tokenizer.decode(np.array(cursor.tokens))
        return [note for track in score.tracks for note in self._list_notes(track)]

    def _mask(self) -> NDArray[np.bool_]:
        cursor, floor = self._writer.cursor, self.floor - self._begin
        mask = None
        if not self._writer.is_beyond(floor):
            mask = mask_moves(cursor, self._writer.generator, floor)
        mask = cursor.allowed if mask is None else mask
        if self._masks is not None:
            mask = mask & cursor.find_mask(self._masks)
        return mask & (np.arange(len(mask)) != EOS)

    def _list_notes(self, track: Track) -> list[PartNote]:
        part = track.program, track.is_drum, track.name
        return [
            PartNote(start + self._begin, start + self._begin + duration, pitch, velocity, part)
            for start, duration, pitch, velocity in track.notes.tolist()
            if start + self._begin >= self.first
        ]
