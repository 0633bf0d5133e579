"""One of MidiTok's tokenizers, called with scores on its grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.music.score import TICKS_PER_QUARTER, Score, TimeSignature, Track, parse_time_signature
from composer.tokens.bar_grammar import Grid
from composer_miditok.sounds import DRUMS, Sounds, make_notes

VELOCITY = 80
"""Velocity of all notes where the tokens have none."""


@dataclass(frozen=True)
class Scheme:
    """One of MidiTok's tokenizers with its options. Time is counted in its ticks, `division` to a quarter note."""

    name: str  # MidiTok's class
    steps_per_beat: int
    lowest: int
    highest: int
    velocities: int
    programs: bool
    longest: int  # in beats
    time_signatures: tuple[str, ...]
    has_time_signatures: bool  # whether time signatures are written

    @property
    def has_note_offs(self) -> bool:
        """Whether notes end with a note-off token, and durations are not written."""
        return self.name == "MIDILike"

    @property
    def division(self) -> int:
        """MidiTok's ticks to a quarter note; the shortest step is one tick."""
        return self.steps_per_beat * max(signature.denominator for signature in self.parsed_time_signatures) // 4

    @property
    def tick(self) -> int:
        """Ticks of a Score in one of MidiTok's ticks."""
        return TICKS_PER_QUARTER // self.division

    @cached_property
    def parsed_time_signatures(self) -> tuple[TimeSignature, ...]:
        """The time signatures, parsed."""
        return tuple(parse_time_signature(text) for text in self.time_signatures)

    @cached_property
    def grid(self) -> Grid:
        """Bars in MidiTok's ticks."""
        return Grid(self.division, self.time_signatures)

    @cached_property
    def step(self) -> NDArray[np.int64]:
        """MidiTok's ticks in a step of each time signature; the beat is the note of its denominator."""
        return np.array(
            [4 * self.division // one.denominator // self.steps_per_beat for one in self.parsed_time_signatures]
        )

    @property
    def library(self) -> Any:
        """MidiTok's tokenizer."""
        return _build_library(self)

    def write(self, sounds: Sounds, signatures: Mapping[int, TimeSignature]) -> list[str]:
        """Write notes on the grid as MidiTok's tokens; `signatures` has time signatures by tick."""
        import symusic

        score: Any = symusic.Score(self.division)
        for tick, signature in signatures.items():
            score.time_signatures.append(symusic.TimeSignature(tick, signature.numerator, signature.denominator))
        for program in sorted(set(sounds.programs.tolist()), key=lambda program: (program == DRUMS, program)):
            score.tracks.append(_track(symusic, program, sounds[sounds.programs == program]))
        found = self.library.encode(score, encode_ids=False, no_preprocess_score=True)
        return (found[0] if isinstance(found, list) else found).tokens

    def read(self, tokens: Sequence[str]) -> Score:
        """Read MidiTok's tokens as a score with one track a program."""
        from miditok import TokSequence

        sequence = TokSequence(tokens=list(tokens))
        found = self.library.decode(sequence if self.programs else [sequence])
        signatures = ((m.time * self.tick, m.numerator, m.denominator) for m in found.time_signatures)
        parts = sorted((track.is_drum, track.program, track) for track in found.tracks if len(track.notes))
        return Score(
            tracks=tuple(
                Track(make_notes(track.notes.numpy(), self.tick), program=program, is_drum=drum)
                for drum, program, track in parts
            ),
            time_signatures=tuple(TimeSignature(*signature) for signature in signatures),
        )

    def round_velocities(self, wanted: NDArray[np.int64]) -> NDArray[np.int64]:
        """Round velocities to the nearest ones that have tokens."""
        if not self.velocities:
            return np.full_like(wanted, VELOCITY)
        values = np.asarray(self.library.velocities, dtype=np.int64)
        return values[np.abs(wanted[:, None] - values[None, :]).argmin(axis=1)]


def _track(symusic: Any, program: int, sounds: Sounds) -> Any:
    track = symusic.Track(program=max(program, 0), is_drum=program == DRUMS)
    track.notes = symusic.Note.from_numpy(
        time=sounds.starts.astype(np.int32),
        duration=(sounds.ends - sounds.starts).astype(np.int32),
        pitch=sounds.pitches.astype(np.int8),
        velocity=sounds.velocities.astype(np.int8),
    )
    return track


@lru_cache(maxsize=16)
def _build_library(scheme: Scheme) -> Any:
    import miditok

    numerators: dict[int, list[int]] = {}
    for signature in scheme.parsed_time_signatures:
        numerators.setdefault(signature.denominator, []).append(signature.numerator)
    config = miditok.TokenizerConfig(
        pitch_range=(scheme.lowest, scheme.highest),
        drums_pitch_range=(0, 127),
        beat_res={(0, scheme.longest): scheme.steps_per_beat},
        num_velocities=scheme.velocities or 1,
        use_velocities=scheme.velocities > 0,
        use_programs=scheme.programs,
        use_pitchdrum_tokens=scheme.programs,
        use_time_signatures=scheme.has_time_signatures,
        time_signature_range=numerators,
        special_tokens=["PAD"],
        encode_ids_split="no",
    )
    return getattr(miditok, scheme.name)(config)
