"""The fixed notes of a score, as tables over time, for the masks of infilling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption
from composer.music.score import Score
from composer.tokens.fixed_bars import NEVER, check_track, mark_fixed
from composer.types import Span
from composer_miditok.sounds import DRUMS
from composer_miditok.state import encode_note
from composer_miditok.tables import DRUM, PreparedScore, Tables

Ints = NDArray[np.int64]

PARTS = 129
"""Programs, then drums: MidiTok's order of simultaneous onsets."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Tables over MidiTok's ticks, up to the end of the last bar; the last entry stands for all later ticks."""

    tables: Tables
    music: PreparedScore
    cover: NDArray[np.bool_]  # (ticks, parts) whether each part is fixed

    @staticmethod
    def build(tables: Tables, score: Score, spans: Sequence[Span]) -> Plan:
        """Build the plan. Raises BadOption for an unknown track, or an end that the tokens cannot express."""
        music, scheme = tables.prepare(score), tables.scheme
        parts = PARTS if scheme.programs else 1
        of_spans = [(span, _find_parts(score, span, parts)) for span in spans]
        plan = Plan(tables, music, np.ascontiguousarray(mark_fixed(scheme.grid, of_spans, parts, music.end).T))
        plan._check_end()
        return plan

    @cached_property
    def parts(self) -> Ints:
        """(N,) the part of each note of the score."""
        return self.music.sounds.programs % PARTS

    @cached_property
    def fixed(self) -> Ints:
        """(G,) indices of the fixed notes, in the order of their tokens."""
        sounds = self.music.sounds
        order = np.lexsort((sounds.pitches, self.parts, sounds.starts))
        return order[self.cover[sounds.starts, self.parts][order]]

    @cached_property
    def codes(self) -> Ints:
        """(N,) the code of each note of the score."""
        sounds = self.music.sounds
        return encode_note(sounds.programs, sounds.pitches + np.where(sounds.programs == DRUMS, DRUM, 0))

    @cached_property
    def lengths(self) -> Ints:
        """(N,) the duration of each note of the score, rounded to one with a token, if durations have tokens."""
        sounds, lengths = self.music.sounds, self.tables.length
        metres = self.music.time_signatures[self.music.lines.find_bar(sounds.starts)]
        found = sounds.ends - sounds.starts
        for metre in np.unique(metres) if not self.tables.scheme.has_note_offs else ():
            known, here = np.unique(lengths[metre][lengths[metre] >= 0]), metres == metre
            found[here] = known[np.abs(found[here, None] - known[None, :]).argmin(axis=1)]
        return found

    @cached_property
    def reserve(self) -> Ints:
        """(G + 1,) how many fixed notes, from each one on, sound at once at most; 0 after the last."""
        starts, ends = self.music.sounds.starts[self.fixed], self.music.sounds.ends[self.fixed]
        until = np.searchsorted(starts, ends, side="right")  # fixed notes that begin before each one is over
        found, sounding = np.zeros(len(starts) + 1, dtype=np.int64), np.zeros(len(starts), dtype=np.int64)
        for note in reversed(range(len(starts))):
            sounding[note : until[note]] += 1
            found[note] = max(found[note + 1], sounding[note : until[note]].max())
        return found

    @cached_property
    def has_onset(self) -> NDArray[np.bool_]:
        """(ticks,) whether a fixed note begins."""
        found = np.zeros(len(self.cover), dtype=bool)
        found[self.music.sounds.starts[self.fixed]] = True
        return found

    @cached_property
    def grid(self) -> NDArray[np.bool_]:
        """(ticks,) whether a tick is on the grid of its bar, or the end."""
        found, lines = np.zeros(len(self.cover), dtype=bool), self.music.lines
        for begin, end, step in zip(lines.starts, [*lines.starts[1:], self.music.end], lines.steps, strict=True):
            found[begin:end:step] = True
        found[-1] = True
        return found

    @cached_property
    def last_free_part(self) -> Ints:
        """(ticks,) the last free part, -1 for none."""
        last = self.cover.shape[1] - 1 - np.argmin(self.cover[:, ::-1], axis=1)
        return np.where(self.cover.all(axis=1) | ~self.grid, -1, last)

    @cached_property
    def last_free(self) -> int:
        """The last tick in the bars of the score with a free part, -1 for none."""
        return int(np.flatnonzero(self.last_free_part[:-1] >= 0).max(initial=-1))

    # --- bars ---------------------------------------------------------------------------------------------------------

    @cached_property
    def time_signatures(self) -> Ints:
        """(bars + 1,) time signatures up to the last fixed bar; the last entry, -1, allows any."""
        covered_ticks = np.flatnonzero(self.cover[:-1].any(axis=1))
        bars = int(self.music.lines.find_bar(covered_ticks[-1:])[0]) + 1 if len(covered_ticks) else 0
        return np.append(self.music.time_signatures[:bars], -1)

    @cached_property
    def stops(self) -> Ints:
        """(n + 1,) the ticks at which these time signatures change, and NEVER."""
        changes = np.flatnonzero(np.diff(self.time_signatures[:-1])) + 1
        return np.append(self.music.lines.starts[changes], NEVER)

    def _check_end(self) -> None:
        """Raise BadOption if no piece can end so: its last bar needs an onset (or a sustained note)."""
        sounds, begin = self.music.sounds, int(self.music.lines.starts[-1])
        last = (sounds.ends if self.tables.scheme.has_note_offs else sounds.starts + 1)[self.fixed].max(initial=0)
        reached = not self.tables.must_land or self.can_begin[: self._longest + 1].any()
        if max(last, self.last_free + 1) <= begin or not reached:
            raise BadOption(
                "no new note may begin in the last bar, and no fixed note does: MidiTok's tokens cannot end a piece "
                "so; rewrite the last bar, or leave it out."
            )

    # --- schemes in which a note must follow every move ---------------------------------------------------------------

    @property
    def _longest(self) -> int:
        return self.tables.scheme.longest * self.tables.scheme.division

    @cached_property
    def can_begin(self) -> NDArray[np.bool_]:
        """(ticks,) where a note may begin, with others to the end, each within the longest move."""
        may = self.has_onset | (self.last_free_part >= 0)
        if not self.tables.must_land:
            return may
        begin, last = int(self.music.lines.starts[-1]), int(np.flatnonzero(self.has_onset).max(initial=-1))
        good, following = np.zeros(len(may), dtype=bool), NEVER
        good[-1] = may[-1]
        for tick in np.flatnonzero(may[:-1])[::-1].tolist():
            # No tick before an unreachable fixed note is good, since fixed notes cannot be left out.
            ends = tick >= max(begin, last)
            good[tick] = ends or following - tick <= self._longest
            if good[tick]:
                following = tick
            elif self.has_onset[tick]:
                following = NEVER
        return good


def _find_parts(score: Score, span: Span, parts: int) -> Sequence[int]:
    """Return the parts that a span covers."""
    check_track(span, len(score.tracks))
    if span.track is None or parts == 1:
        return range(parts)
    track = score.tracks[span.track]
    return [(DRUMS if track.is_drum else track.program) % PARTS]
