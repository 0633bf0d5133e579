"""Encoding of `remi`: notes and tempos to tokens."""

from __future__ import annotations

import numpy as np

from composer.errors import CannotExpress
from composer.music.score import Score, Track, concatenate_notes
from composer.tokens.bar_encoding import mark_changes
from composer_remi.events import Events
from composer_remi.sounds import Ints, Sounds, quantise

TEMPO = 120
"""Of a score without tempos, as in MIDI."""


def extract_sounds(events: Events, score: Score) -> Sounds:
    """Quantise the notes of a score to what tokens can express. Raises CannotExpress."""
    found = [(track, part) for track in score.tracks if (part := find_part(events, track)) is not None]
    notes = concatenate_notes([track.notes for track, _ in found])
    if not len(notes):
        raise CannotExpress("contains no notes.")
    parts = np.repeat([part for _, part in found], [len(track.notes) for track, _ in found])
    _check_range(events, notes["pitch"], parts)
    sounds = quantise(notes, parts, events.grid.step_ticks)
    lengths = events.steps[_find_durations(events, sounds.lengths)]
    if events.drum_part >= 0:
        lengths[sounds.parts == events.drum_part] = 1
    return Sounds(sounds.steps, sounds.parts, sounds.pitches, lengths, sounds.velocities)


def find_part(events: Events, track: Track) -> int | None:
    """Return the index of a track's part; None if the track is not written."""
    if track.is_drum:
        return events.drum_part if events.drum_part >= 0 else None
    return events.parts.index(track.program) if track.program in events.parts else 0


def _check_range(events: Events, pitches: Ints, parts: Ints) -> None:
    outside = (pitches < events.lowest) | (pitches > events.highest)
    if outside.any() and (outside := outside & (parts != events.drum_part)).any():
        reach = f"{events.lowest} to {events.highest}"
        raise CannotExpress(f"it has the pitch {pitches[outside][0]}; there are tokens for {reach}.")


def _find_durations(events: Events, lengths: Ints) -> Ints:
    """Return the index of the longest duration within each note's length, (notes,)."""
    return events.place_of_length[np.minimum(lengths, len(events.place_of_length) - 1)]


def encode_sounds(events: Events, score: Score, sounds: Sounds) -> Ints:
    """Encode notes as (notes, 5) tempo, program, sound, velocity and duration; -1 for no token."""
    begin, drums = events.first, events.drum_part
    rows = np.empty((len(sounds.steps), 5), dtype=np.int64)
    rows[:, :2] = -1
    if events.tempos:
        tempos = find_tempos(events, score, sounds.steps)
        rows[:, 0] = np.where(mark_changes(tempos), tempos, -1)
    if events.named:
        rows[:, 1] = np.where(
            mark_changes(sounds.steps) | mark_changes(sounds.parts), sounds.parts + begin["Program"], -1
        )
    rows[:, 2] = sounds.pitches + (begin["Pitch"] - events.lowest)
    rows[:, 3] = events.velocity_tokens[sounds.velocities]
    rows[:, 4] = begin["Duration"] + _find_durations(events, sounds.lengths)
    if drums >= 0 and (is_drum := sounds.parts == drums).any():
        rows[is_drum, 2], rows[is_drum, 4] = sounds.pitches[is_drum] + begin["Drum"], -1
    return rows


def find_tempos(events: Events, score: Score, steps: Ints) -> Ints:
    """Return the token of the tempo at each step."""
    tick = events.grid.step_ticks
    tokens = [encode_tempo(events, bpm) for bpm in (TEMPO, *(tempo.bpm for tempo in score.tempos))]
    begins = [(tempo.tick + tick // 2) // tick for tempo in score.tempos]
    return np.array(tokens)[np.searchsorted(begins, steps, side="right")] if begins else np.full(len(steps), tokens[0])


def encode_tempo(events: Events, bpm: float) -> int:
    """Return the token of the nearest tempo."""
    return events.first["Tempo"] + int(np.searchsorted(events.tempo_borders, bpm))
