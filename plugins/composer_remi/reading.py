"""Decoding of `remi`: tokens to tracks and tempos."""

from __future__ import annotations

import numpy as np

from composer.music.score import NOTE, Tempo, Track
from composer.types import Tokens
from composer_remi.events import DRUMS, Events
from composer_remi.sounds import Ints, Sounds, cut_overlaps, sort_sounds

VELOCITY = 80
"""Of all notes if velocities are not kept."""


def decode_tracks(events: Events, steps: Ints, tokens: Tokens, end: int | None) -> tuple[Track, ...]:
    """Decode a track for each program from tokens at these steps; notes are cut at the step `end`, if any."""
    sounds = cut_overlaps(sort_sounds(_decode_sounds(events, steps, tokens)))
    lengths = sounds.lengths if end is None else np.minimum(sounds.lengths, end - sounds.steps)
    tracks = []
    for part in np.unique(sounds.parts):
        of_part, program = sounds.parts == part, events.parts[part]
        notes = np.empty(of_part.sum(), dtype=NOTE)
        notes["start"] = sounds.steps[of_part] * events.grid.step_ticks
        notes["duration"] = lengths[of_part] * events.grid.step_ticks
        notes["pitch"], notes["velocity"] = sounds.pitches[of_part], sounds.velocities[of_part]
        tracks.append(Track(notes, program=max(program, 0), is_drum=program == DRUMS))
    return tuple(tracks)


def _decode_sounds(events: Events, steps: Ints, tokens: Tokens) -> Sounds:
    """Decode the complete notes; an incomplete note at the end is dropped."""
    index = {kind: _index_tokens(events, kind, tokens) for kind in events.count}
    loud = 1 if events.velocities else 0  # tokens between a sound and what follows its velocity
    drums = np.flatnonzero(index["Drum"] >= 0)
    drums = drums[drums + loud < len(tokens)]
    ends = np.flatnonzero(index["Duration"] >= 0)
    pitched = ends - 1 - loud
    at = np.concatenate([pitched, drums])
    program_at = (
        np.maximum.accumulate(np.where(index["Program"] >= 0, np.arange(len(tokens)), 0)) if events.named else None
    )
    values = np.array(events.velocities or (VELOCITY,))
    return Sounds(
        steps=steps[at],
        parts=np.zeros(len(at), dtype=np.int64) if program_at is None else index["Program"][program_at[at]],
        pitches=np.concatenate([index["Pitch"][pitched] + events.lowest, index["Drum"][drums]]),
        lengths=np.concatenate([events.steps[index["Duration"][ends]], np.ones_like(drums)]),
        velocities=values[index["Velocity"][at + 1]] if loud else np.full(len(at), VELOCITY),
    )


def _index_tokens(events: Events, kind: str, tokens: Tokens) -> Ints:
    """Return the index of each token within its type, (tokens,); -1 for other types."""
    place = tokens - events.first[kind]
    return np.where((place >= 0) & (place < events.count[kind]), place, -1)


def decode_tempos(events: Events, steps: Ints, tokens: Tokens) -> tuple[Tempo, ...]:
    """Decode the tempos. The first one applies from the beginning."""
    places = _index_tokens(events, "Tempo", tokens)
    found = np.flatnonzero(places >= 0)
    ticks = steps[found] * events.grid.step_ticks
    return tuple(
        Tempo(int(tick) if i else 0, float(events.tempos[place]))
        for i, (tick, place) in enumerate(zip(ticks, places[found], strict=True))
    )
