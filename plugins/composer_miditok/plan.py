"""What is given of a score, in tables over time for the masks of `given`; it knows no state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption
from composer.music.score import Score
from composer.tokens.fixed_bars import NEVER, check_track, covered
from composer.types import Span
from composer_miditok.preparing import Prepared
from composer_miditok.sounds import DRUMS
from composer_miditok.state import code
from composer_miditok.tables import DRUM, Tables

Ints = NDArray[np.int64]

PARTS = 129
"""Programs, and the drums after them: the order in which MidiTok writes what is struck at once."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Tables are over ticks of MidiTok, up to the end of the last bar, which stands for all later ones, too."""

    tables: Tables
    music: Prepared
    cover: NDArray[np.bool_]  # (ticks, parts) where each part is given

    @staticmethod
    def of(tables: Tables, score: Score, spans: Sequence[Span]) -> Plan:
        """Raises BadOption for a track that is not there, and for an end that the tokens could not come to."""
        music, scheme = tables.prepared(score), tables.scheme
        parts = PARTS if scheme.programs else 1
        of_spans = [(span, _parts(score, span, parts)) for span in spans]
        plan = Plan(tables, music, np.ascontiguousarray(covered(scheme.grid, of_spans, parts, music.end).T))
        plan._check_end()
        return plan

    @cached_property
    def parts(self) -> Ints:
        """(N,) the part of each note of the score."""
        return self.music.sounds.programs % PARTS

    @cached_property
    def given(self) -> Ints:
        """(G,) the notes that are given, in the order in which they are written."""
        sounds = self.music.sounds
        order = np.lexsort((sounds.pitches, self.parts, sounds.starts))
        return order[self.cover[sounds.starts, self.parts][order]]

    @cached_property
    def codes(self) -> Ints:
        """(N,) what tells the notes of the score apart, whenever they sound."""
        sounds = self.music.sounds
        return code(sounds.programs, sounds.pitches + np.where(sounds.programs == DRUMS, DRUM, 0))

    @cached_property
    def lengths(self) -> Ints:
        """(N,) of the notes of the score, the nearest that there is a token for, if there are such tokens."""
        sounds, lengths = self.music.sounds, self.tables.length
        metres = self.music.metres[self.music.lines.bar(sounds.starts)]
        found = sounds.ends - sounds.starts
        for metre in np.unique(metres) if not self.tables.scheme.held else ():
            known, here = np.unique(lengths[metre][lengths[metre] >= 0]), metres == metre
            found[here] = known[np.abs(found[here, None] - known[None, :]).argmin(axis=1)]
        return found

    @cached_property
    def crowded(self) -> NDArray[np.bool_]:
        """(ticks,) where something that is given is struck."""
        found = np.zeros(len(self.cover), dtype=bool)
        found[self.music.sounds.starts[self.given]] = True
        return found

    @cached_property
    def grid(self) -> NDArray[np.bool_]:
        """(ticks,) the places on the grids of the bars, and the end."""
        found, lines = np.zeros(len(self.cover), dtype=bool), self.music.lines
        for begin, end, step in zip(lines.starts, [*lines.starts[1:], self.music.end], lines.steps, strict=True):
            found[begin:end:step] = True
        found[-1] = True
        return found

    @cached_property
    def top(self) -> Ints:
        """(ticks,) the last part that is free, -1 for none."""
        last = self.cover.shape[1] - 1 - np.argmin(self.cover[:, ::-1], axis=1)
        return np.where(self.cover.all(axis=1) | ~self.grid, -1, last)

    @cached_property
    def last_free(self) -> int:
        """The last tick in the bars of the score at which something is free, -1 for none."""
        return int(np.flatnonzero(self.top[:-1] >= 0).max(initial=-1))

    # --- bars ---------------------------------------------------------------------------------------------------------

    @cached_property
    def metres(self) -> Ints:
        """(bars + 1,) time signatures up to the last bar in which something is given; the last one, -1, is for any."""
        covered_ticks = np.flatnonzero(self.cover[:-1].any(axis=1))
        bars = int(self.music.lines.bar(covered_ticks[-1:])[0]) + 1 if len(covered_ticks) else 0
        return np.append(self.music.metres[:bars], -1)

    @cached_property
    def stops(self) -> Ints:
        """(n + 1,) where among these the time signature changes, and NEVER."""
        changes = np.flatnonzero(np.diff(self.metres[:-1])) + 1
        return np.append(self.music.lines.starts[changes], NEVER)

    def _check_end(self) -> None:
        """Raise BadOption if no piece can end so: one ends with a note that begins (or is held) in its last bar."""
        sounds, begin = self.music.sounds, int(self.music.lines.starts[-1])
        last = (sounds.ends if self.tables.scheme.held else sounds.starts + 1)[self.given].max(initial=0)
        reached = not self.tables.lands or self.reach[: self._longest + 1].any()
        if max(last, self.last_free + 1) <= begin or not reached:
            raise BadOption(
                "no new note may begin in the last bar, and none that is given does: MidiTok's tokens cannot end a "
                "piece so; let the last bar be written anew, or leave it out."
            )

    # --- a scheme in which every move must come to a note -------------------------------------------------------------

    @property
    def _longest(self) -> int:
        return self.tables.scheme.longest * self.tables.scheme.division

    @cached_property
    def reach(self) -> NDArray[np.bool_]:
        """(ticks,) where a note may be struck, and from there others to the end, each within the longest move."""
        may = self.crowded | (self.top >= 0)
        if not self.tables.lands:
            return may
        begin, last = int(self.music.lines.starts[-1]), int(np.flatnonzero(self.crowded).max(initial=-1))
        good, following = np.zeros(len(may), dtype=bool), NEVER
        good[-1] = may[-1]
        for tick in np.flatnonzero(may[:-1])[::-1].tolist():
            # Where a given note cannot be reached, nothing before it is good: none can be left out.
            ends = tick >= max(begin, last)
            good[tick] = ends or following - tick <= self._longest
            if good[tick]:
                following = tick
            elif self.crowded[tick]:
                following = NEVER
        return good


def _parts(score: Score, span: Span, parts: int) -> Sequence[int]:
    """The parts that a span is for."""
    check_track(span, len(score.tracks))
    if span.track is None or parts == 1:
        return range(parts)
    track = score.tracks[span.track]
    return [(DRUMS if track.is_drum else track.program) % PARTS]
