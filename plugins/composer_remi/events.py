"""The tokens of `remi`: their ids in the vocabulary, and notes and tempos encoded and decoded.

The notes of a score lie on a grid, in the order of their tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import NOTE, Notes, Score, Tempo, Track, concatenate_notes
from composer.tokens.bar_encoding import mark_changes
from composer.tokens.bar_grammar import Grid
from composer.types import Tokens

Ints = NDArray[np.int64]


# --- notes on a grid --------------------------------------------------------------------------------------------------


_LONGEST = 2**22 - 1
"""Steps; longer notes are equal in length when the longest is chosen."""


@dataclass(frozen=True)
class Sounds:
    """Notes sorted by step, then part, then pitch, without duplicates in these. All arrays are (notes,)."""

    steps: Ints
    parts: Ints  # indices of a list of programs
    pitches: Ints
    lengths: Ints  # in steps
    velocities: Ints

    def __getitem__(self, which: Any) -> Sounds:
        return Sounds(
            self.steps[which], self.parts[which], self.pitches[which], self.lengths[which], self.velocities[which]
        )


def quantise(notes: Notes, parts: Ints, step_ticks: int) -> Sounds:
    """Quantise notes to steps, each at least one step long. `parts` (notes,) gives the part of each.

    Of two notes at one step and pitch the longer one stays. A re-articulated note ends at the next onset.
    """
    steps = _round_to_steps(notes["start"], step_ticks)
    lengths = np.maximum(_round_to_steps(notes["start"] + notes["duration"], step_ticks) - steps, 1)
    return cut_overlaps(sort_sounds(Sounds(steps, parts, notes["pitch"].astype(np.int64), lengths, notes["velocity"])))


def _round_to_steps(ticks: Ints, step_ticks: int) -> Ints:
    return (ticks + step_ticks // 2) // step_ticks


def sort_sounds(sounds: Sounds) -> Sounds:
    """Sort notes, and keep the longest of duplicates."""
    key = (sounds.steps << 8 | sounds.parts) << 7 | sounds.pitches
    order = np.argsort(key << 22 | _LONGEST - np.minimum(sounds.lengths, _LONGEST))
    fresh = mark_changes(key[order])
    return sounds[order if fresh.all() else order[fresh]]


def cut_overlaps(sounds: Sounds) -> Sounds:
    """Cut notes at the next onset of the same pitch in the same part."""
    line = (sounds.parts * 128 + sounds.pitches).astype(np.int16)
    order = np.argsort(line, kind="stable")
    steps, lengths = sounds.steps[order], sounds.lengths.copy()
    until = np.where(line[order[1:]] == line[order[:-1]], steps[1:] - steps[:-1], lengths[order[:-1]])
    lengths[order[:-1]] = np.minimum(lengths[order[:-1]], until)
    return Sounds(sounds.steps, sounds.parts, sounds.pitches, lengths, sounds.velocities)


# --- tokens at a position ---------------------------------------------------------------------------------------------


DRUMS = -1
"""The program of the drums, as MidiTok numbers it."""

SLOWEST, FASTEST = 40, 240
"""Quarter notes per minute of the first and the last tempo."""


@dataclass(frozen=True)
class Events:
    """The types of tokens at a position, and their ids."""

    grid: Grid
    tempos: tuple[int, ...]  # quarters per minute, rising
    parts: tuple[int, ...]  # programs in the order in which they are written, drums last
    named: bool  # whether the program is written
    lowest: int
    highest: int
    velocities: tuple[int, ...]  # rising
    durations: tuple[int, ...]  # in steps, rising
    names: tuple[str, ...] = ()  # of the parts, where they are told apart by name; two may have one program

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The whole vocabulary: the grid's tokens, then these."""
        return (
            *self.grid.tokens,
            *(f"Tempo_{tempo}" for tempo in self.tempos),
            *self._list_part_tokens(),
            *(f"Pitch_{pitch}" for pitch in range(self.lowest, self.highest + 1)),
            *(f"Drum_{sound}" for sound in range(self.count["Drum"])),
            *(f"Velocity_{velocity}" for velocity in self.velocities),
            *(f"Duration_{steps}" for steps in self.durations),
        )

    def _list_part_tokens(self) -> list[str]:
        if not self.named:
            return []
        if self.names:
            return [f"Part_{number}" for number in range(len(self.parts))]
        return [f"Program_{program}" for program in self.parts]

    @cached_property
    def count(self) -> dict[str, int]:
        """The number of tokens of each type."""
        return {
            "Tempo": len(self.tempos),
            "Program": len(self.parts) if self.named else 0,
            "Pitch": self.highest - self.lowest + 1,
            "Drum": 128 if DRUMS in self.parts else 0,
            "Velocity": len(self.velocities),
            "Duration": len(self.durations),
        }

    @cached_property
    def first(self) -> dict[str, int]:
        """The first token of each type; a type without tokens begins where the next one does."""
        begins = np.cumsum([len(self.grid.tokens), *self.count.values()])
        return dict(zip(self.count, map(int, begins), strict=False))

    @cached_property
    def drum_part(self) -> int:
        """The index of the drums among the parts; -1 for none."""
        return len(self.parts) - 1 if DRUMS in self.parts else -1

    @cached_property
    def drum_program(self) -> int:
        """The token of the drums' program; -1 for none."""
        return self.first["Program"] + self.drum_part if DRUMS in self.parts else -1

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """The durations in steps, (durations,)."""
        return np.array(self.durations)

    @cached_property
    def place_of_length(self) -> NDArray[np.int64]:
        """(longest + 1,) the index of the longest duration within each number of steps; -1 for none."""
        return np.searchsorted(self.steps, np.arange(self.durations[-1] + 1), side="right") - 1

    @cached_property
    def velocity_tokens(self) -> NDArray[np.int64]:
        """(128,) the token of each velocity; -1 if velocities are not kept."""
        degrees = len(self.velocities)
        return np.arange(128) * degrees // 128 + self.first["Velocity"] if degrees else np.full(128, -1)

    @cached_property
    def tempo_borders(self) -> NDArray[np.float64]:
        """(tempos - 1,) the geometric means of neighbouring tempos."""
        tempos = np.array(self.tempos, dtype=np.float64)
        return np.sqrt(tempos[:-1] * tempos[1:])


def list_durations(steps_per_quarter: int, longest: int) -> tuple[int, ...]:
    """List durations in steps: every step up to 4 quarters, by half quarters up to 8, by quarters up to 16, and so on.

    `longest` is in quarters.
    """
    found, reach, width = [0], 4, 1
    while found[-1] < longest * steps_per_quarter:
        end = min(reach, longest) * steps_per_quarter
        found += range(found[-1] + width, end, width)
        found.append(end)
        width = max(1, reach * steps_per_quarter // 8)
        reach *= 2
    return tuple(found[1:])


def list_tempos(count: int) -> tuple[int, ...]:
    """List `count` tempos in quarters per minute, in equal ratios from `SLOWEST` to `FASTEST`."""
    return tuple(int(tempo) for tempo in np.rint(np.geomspace(SLOWEST, FASTEST, count)))


def list_velocities(count: int) -> tuple[int, ...]:
    """List the middles of `count` equal parts of 0..127."""
    return tuple((2 * part + 1) * 64 // count for part in range(count))


# --- decoding: tokens to tracks and tempos ----------------------------------------------------------------------------


VELOCITY = 80
"""Of all notes if velocities are not kept."""


def decode_tracks(events: Events, steps: Ints, tokens: Tokens, end: int | None) -> tuple[Track, ...]:
    """Decode a track for each program, or each named part, from tokens at these steps.

    Notes are cut at the step `end`, if any. A named part has its track without notes, too.
    """
    sounds = cut_overlaps(sort_sounds(_decode_sounds(events, steps, tokens)))
    lengths = sounds.lengths if end is None else np.minimum(sounds.lengths, end - sounds.steps)
    tracks = []
    for part in range(len(events.names)) if events.names else np.unique(sounds.parts):
        of_part, program = sounds.parts == part, events.parts[part]
        notes = np.empty(of_part.sum(), dtype=NOTE)
        notes["start"] = sounds.steps[of_part] * events.grid.step_ticks
        notes["duration"] = lengths[of_part] * events.grid.step_ticks
        notes["pitch"], notes["velocity"] = sounds.pitches[of_part], sounds.velocities[of_part]
        name = events.names[part] if events.names else ""
        tracks.append(Track(notes, name, max(program, 0), program == DRUMS))
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


# --- encoding: notes and tempos to tokens -----------------------------------------------------------------------------


TEMPO = 120
"""Of a score without tempos, as in MIDI."""


def extract_sounds(events: Events, score: Score) -> Sounds:
    """Quantise the notes of a score to what tokens can express. Raises CannotExpress."""
    pairs = zip(score.tracks, find_parts(events, score), strict=True)
    found = [(track, part) for track, part in pairs if part is not None]
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


def find_parts(events: Events, score: Score) -> list[int | None]:
    """Find the index of each track's part; None for a track that is not written.

    A track goes by its program, and one of no part's program is of the first part. Named parts go by name if each track
    has one of the names, else in their order if there are as many tracks, and else by program.
    """
    drums = events.drum_part if events.drum_part >= 0 else None
    pitched = iter(_find_pitched_parts(events, [track for track in score.tracks if not track.is_drum]))
    return [drums if track.is_drum else next(pitched) for track in score.tracks]


def _find_pitched_parts(events: Events, tracks: Sequence[Track]) -> list[int]:
    names = [name.casefold() for name in events.names[: len(events.parts) - (events.drum_part >= 0)]]
    wanted = [track.name.casefold() for track in tracks]
    if names and set(wanted) <= set(names) and len(set(wanted)) == len(wanted):
        return [names.index(name) for name in wanted]
    if names and len(tracks) == len(names):
        return list(range(len(names)))
    return _find_by_program(events.parts, tracks)


def _find_by_program(parts: Sequence[int], tracks: Sequence[Track]) -> list[int]:
    """Find the part of each track by its program: of several parts, one that no track has, or else the last."""
    found: list[int] = []
    for track in tracks:
        like = [part for part, program in enumerate(parts) if program == track.program] or [0]
        found.append(next((part for part in like if part not in found), like[-1]))
    return found


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
