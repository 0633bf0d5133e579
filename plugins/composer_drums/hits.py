"""Hits: drums of a score as tokens, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from composer.arrays import carry_forward
from composer.errors import CannotExpress
from composer.music.score import NOTE, TICKS_PER_QUARTER, Notes, Score, Track, concatenate_notes
from composer.tokens.bar_encoding import Measures, find_bars
from composer.tokens.vocabulary import EOS
from composer.types import Tokens
from composer_drums.events import SIXTEENTH, STEPS, Events, Ints
from composer_drums.kit import CLASS_OF_SOUND, SOUNDS
from composer_drums.placing import Hits, list_beats, place_hits

VELOCITY = 80
"""Of all hits if loudness is not kept."""

TEMPO = 120.0
"""Of a score without tempos, as in MIDI."""


def find_hits(events: Events, score: Score) -> tuple[Measures, Hits]:
    """Find the bars of a score and its hits. Drums have no key, so it is taken to be C.

    Raises CannotExpress without hits, or for bars that there are not.
    """
    notes = concatenate_notes([track.notes for track in score.tracks if track.is_drum])
    notes = notes[CLASS_OF_SOUND[notes["pitch"]] >= 0]
    if not len(notes):
        raise CannotExpress("contains no drums.")
    grid = events.grid
    score = replace(score, tracks=tuple(track for track in score.tracks if track.is_drum), key_signatures=())
    bars = find_bars(grid, score, int(notes["start"].max()) + TICKS_PER_QUARTER)
    classes, velocities = CLASS_OF_SOUND[notes["pitch"]], notes["velocity"].astype(np.int64)
    hits = place_hits(events, bars, notes["start"].astype(np.int64), classes, velocities)
    return find_bars(grid, score, int(hits.steps[-1] + 1) * grid.step_ticks), hits


def encode_hits(events: Events, hits: Hits) -> Ints:
    """Encode hits as (N, 3) class, velocity and offset; -1 for no token."""
    rows = np.full((len(hits.steps), 3), -1)
    rows[:, 0] = events.first["Drum"] + hits.classes
    if events.velocities:
        rows[:, 1] = events.first["Velocity"] + hits.velocities * events.velocities // 128
    if events.fine_steps:
        rows[:, 2] = events.first["Timing"] + hits.offsets - events.offsets[0]
    return rows


def add_rhythms(events: Events, bars: Measures, steps: Ints, music: Tokens) -> Tokens:
    """Add to the tokens of a piece the rhythm of each beat, before its first position.

    `steps` are those of the hits. A piece without an end stops at its last hit, and its beats at the one of that.
    """
    grid = events.grid
    is_bar = (music >= grid.first["Bar"]) & (music < grid.last["Bar"])
    is_position = (music >= grid.first["Position"]) & (music < grid.last["Position"])
    bar, total = np.cumsum(is_bar) - 1, int(is_bar.sum())
    ends = (music == EOS) | ((music < grid.last["TimeSignature"]) & (bar >= 0))
    if grid.sections:
        ends |= (music >= grid.first["Section"]) & (music < grid.last["Section"]) & (bar >= 0)
    place = np.where(is_bar, -1, np.where(ends, grid.longest_bar, music - grid.first["Position"]))
    place = carry_forward(place, is_bar | is_position | ends, -1)
    which, beats = list_beats(events, bars, total)
    if total and music[-1] != EOS:
        is_there = (which < total - 1) | (beats * STEPS <= place[-1])
        which, beats = which[is_there], beats[is_there]
    width = grid.longest_bar + 2
    at = np.searchsorted(bar * width + place, which * width + beats * STEPS)
    struck = np.zeros(int(bars.starts[-1]) + 2 * STEPS, dtype=np.int64)
    struck[steps + STEPS] = 1
    begins = bars.origins[which] + beats * STEPS
    ends_at = np.minimum(begins + STEPS, bars.starts[which + 1])
    here = begins[:, None] + np.arange(STEPS)
    taken = struck[np.minimum(here + STEPS, len(struck) - 1)] * (here < ends_at[:, None])
    return np.insert(music, at, events.rhythm_of[events.gather_bits(taken)])


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
    notes["duration"] = _find_durations(events, notes)
    return (Track(notes, "Drums", is_drum=True),)


def _find_durations(events: Events, notes: Notes) -> Ints:
    """Find lengths (N,) in ticks: up to a line of the grid, or to the next equal sound.

    A hit that belongs to the next bar lasts beyond its bar line. So a piece has as many bars as its tokens.
    """
    starts, step = notes["start"].astype(np.int64), events.grid.step_ticks
    early = SIXTEENTH * events.fine // 2 * events.fine_ticks
    ends = -(-(starts + early + 1) // step) * step
    order = np.lexsort((starts, notes["pitch"]))
    again = np.flatnonzero(np.diff(notes["pitch"][order].astype(np.int64)) == 0)
    ends[order[again]] = np.minimum(ends[order[again]], starts[order[again + 1]])
    return ends - starts
