"""Hits: drums of a score at positions of a bar, and back.

Of hits of one class in one cell the loudest stays, of equals the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from composer.errors import CannotExpress
from composer.music.score import NOTE, TICKS_PER_QUARTER, Notes, Score, Track, concatenate_notes
from composer.tokens.bar_encoding import Measures, find_bars, mark_changes
from composer.types import Tokens
from composer_drums.events import STEPS, Events, Ints
from composer_drums.kit import CLASS_OF_SOUND, SOUNDS

VELOCITY = 80
"""Of all hits if loudness is not kept."""

TEMPO = 120.0
"""Of a score without tempos, as in MIDI."""


@dataclass(frozen=True)
class Hits:
    """Hits sorted by step, then class, each pair once. All arrays are (N,)."""

    steps: Ints  # from the beginning of the piece, on positions alone
    classes: Ints
    velocities: Ints
    offsets: Ints  # in fine steps


def find_hits(events: Events, score: Score) -> tuple[Measures, Hits]:
    """Find the bars of a score and its hits. Raises CannotExpress without hits, or for bars that there are not."""
    notes = concatenate_notes([track.notes for track in score.tracks if track.is_drum])
    notes = notes[CLASS_OF_SOUND[notes["pitch"]] >= 0]
    if not len(notes):
        raise CannotExpress("contains no drums.")
    grid = events.grid
    bars = find_bars(grid, score, int(notes["start"].max()) + TICKS_PER_QUARTER)
    hits = _place(events, notes, bars)
    return find_bars(grid, score, int(hits.steps[-1] + 1) * grid.step_ticks), hits


def _place(events: Events, notes: Notes, bars: Measures) -> Hits:
    """Place notes at the positions that they are nearest to."""
    ticks = events.fine_ticks if events.fine_steps else 1
    fine, step = (notes["start"].astype(np.int64) + ticks // 2) // ticks, events.grid.step_ticks // ticks
    positions, low, high = _list_positions(events, bars)
    borders = positions[1:] * step - np.diff(positions) * step // 2
    place = np.searchsorted(borders, fine, side="right")
    offsets = np.clip(fine - positions[place] * step, low[place], high[place])
    classes, loudness = CLASS_OF_SOUND[notes["pitch"]], notes["velocity"].astype(np.int64)
    order = np.lexsort((fine, -loudness, classes, place))
    order = order[mark_changes(place[order] * len(SOUNDS) + classes[order])]
    return Hits(positions[place][order], classes[order], loudness[order], offsets[order])


def _list_positions(events: Events, bars: Measures) -> tuple[Ints, Ints, Ints]:
    """List (P,) the positions of all bars as steps of the piece, with the first and the last offset of each."""
    which = bars.time_signatures - events.grid.first["TimeSignature"]
    lengths, steps = events.grid.bar_steps[which], np.arange(events.grid.longest_bar)
    here = bars.origins[:, None] + steps
    is_inside = events.is_position[which, :-1] & (steps < lengths[:, None]) & (here >= bars.starts[:-1, None])
    return here[is_inside], events.reach[0, which][is_inside], events.reach[1, which][is_inside]


def encode_hits(events: Events, hits: Hits) -> Ints:
    """Encode hits as (N, 3) class, velocity and offset; -1 for no token."""
    rows = np.full((len(hits.steps), 3), -1)
    rows[:, 0] = events.first["Drum"] + hits.classes
    if events.velocities:
        rows[:, 1] = events.first["Velocity"] + hits.velocities * events.velocities // 128
    if events.fine_steps:
        rows[:, 2] = events.first["Timing"] + hits.offsets - events.offsets[0]
    return rows


def find_tempo(events: Events, score: Score) -> int:
    """Find the token of a score's first tempo."""
    return events.encode_tempo(score.tempos[0].bpm if score.tempos else TEMPO)


# --- back to notes ----------------------------------------------------------------------------------------------------


def decode_track(events: Events, steps: Ints, tokens: Tokens) -> tuple[Track, ...]:
    """Decode a track from the tokens (N,) at these steps; an incomplete hit at the end is dropped."""
    places = tokens - events.first["Drum"]
    length = 1 + (events.velocities > 0) + (events.fine_steps > 0)
    at = np.flatnonzero((places >= 0) & (places < len(SOUNDS)))
    at = at[at + length <= len(tokens)]
    if not len(at):
        return ()
    notes = np.empty(len(at), dtype=NOTE)
    offsets = events.offsets[tokens[at + length - 1] - events.first["Timing"]] if events.fine_steps else 0
    notes["start"] = (steps[at] * events.fine + offsets) * events.fine_ticks
    notes["pitch"] = SOUNDS[places[at]]
    notes["velocity"] = events.degrees[tokens[at + 1] - events.first["Velocity"]] if events.velocities else VELOCITY
    notes = np.sort(notes, order=["start", "pitch"])
    notes["duration"] = _find_durations(notes, TICKS_PER_QUARTER // STEPS)
    return (Track(notes, "Drums", is_drum=True),)


def _find_durations(notes: Notes, step: int) -> Ints:
    """Find lengths (N,) in ticks: up to a line of the grid, half a step away at least, or to the next equal sound."""
    starts = notes["start"].astype(np.int64)
    ends = -(-(starts + step // 2) // step) * step
    order = np.lexsort((starts, notes["pitch"]))
    again = np.flatnonzero(np.diff(notes["pitch"][order].astype(np.int64)) == 0)
    ends[order[again]] = np.minimum(ends[order[again]], starts[order[again + 1]])
    return ends - starts
