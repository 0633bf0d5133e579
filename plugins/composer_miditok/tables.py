"""What MidiTok's tokens hold: the content of each as arrays, and scores prepared for them.

A vocabulary may have merged tokens. Notes are quantised, and music that has no tokens is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import Score, TimeSignature
from composer.tokens.bar_encoding import MOST_EMPTY_BARS, find_bars
from composer_miditok.scheme import Scheme
from composer_miditok.sounds import DRUMS, SOUNDS, BarLines, Sounds, check_held, check_onsets, gather_notes, quantise

# --- tables of tokens -------------------------------------------------------------------------------------------------


Ints = NDArray[np.int64]

TIME_SIGNATURE = "TimeSignature"
"""composer's name of MidiTok's `TimeSig`."""

ONSETS = ("Pitch", "PitchDrum", "NoteOn", "DrumOn")
RELEASES = ("NoteOff", "DrumOff")
OF_DRUMS = ("PitchDrum", "DrumOn", "DrumOff")
DRUM = 128
"""Added to drum sounds, which so differ from pitches."""

NO_PROGRAM = -2


def split_token(token: str) -> Iterator[tuple[str, str]]:
    """Split a token into (Type, Value) pairs: `Pitch+Duration_60+1.0.8` has two."""
    kinds, _, values = token.partition("_")
    return zip(kinds.split("+"), values.split("+"), strict=True)


def join_tokens(tokens: Sequence[str]) -> str:
    """Join tokens to one merged token."""
    pairs = [pair for token in tokens for pair in split_token(token)]
    return f"{'+'.join(kind for kind, _ in pairs)}_{'+'.join(value for _, value in pairs)}"


def build_vocabulary(scheme: Scheme) -> tuple[str, ...]:
    """Return BOS, EOS and MidiTok's tokens without its special ones."""
    found = [_translate_from_miditok(token) for token in scheme.library.vocab if not token.startswith("PAD_")]
    return ("BOS_None", "EOS_None", *found)


def _translate_from_miditok(name: str) -> str:
    return name.replace("TimeSig", TIME_SIGNATURE, 1)


def translate_to_miditok(token: str) -> str:
    """Return a token as MidiTok writes it."""
    return token.replace(TIME_SIGNATURE, "TimeSig", 1)


@dataclass(frozen=True)
class Tables:
    """Arrays are (V,), those of times (M, V) with a row for each time signature; times are in MidiTok's ticks."""

    scheme: Scheme
    tokens: tuple[str, ...]

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of all tokens and parts of tokens, BOS and EOS included."""
        return tuple(dict.fromkeys(kind for token in self.tokens for kind, _ in split_token(token)))

    @cached_property
    def follows(self) -> NDArray[np.bool_]:
        """(types, types) whether a type may follow another, by MidiTok's graph of types."""
        edges = self.scheme.library.tokens_types_graph
        graph = {
            _translate_from_miditok(kind): {_translate_from_miditok(after) for after in found}
            for kind, found in edges.items()
        }
        first = "Bar" if "Bar" in graph else TIME_SIGNATURE if TIME_SIGNATURE in graph else "TimeShift"
        graph |= {"BOS": {first}, "EOS": {"EOS"}}
        for last in ("Duration",) if not self.scheme.has_note_offs else RELEASES:
            graph[last] = {*graph.get(last, ()), "EOS"}
        return np.array([[after in graph.get(kind, ()) for after in self.types] for kind in self.types])

    def _collect(self, say: Callable[[str, str], int | None], none: int = -1) -> Ints:
        """Return (V,) the first answer of `say` to a part of each token, or `none`."""
        found = ([say(*pair) for pair in split_token(token)] for token in self.tokens)
        return np.array([next((n for n in answers if n is not None), none) for answers in found], dtype=np.int64)

    @cached_property
    def first_type(self) -> Ints:
        """The type of the first part."""
        return np.array([self.types.index(next(split_token(token))[0]) for token in self.tokens])

    @cached_property
    def last_type(self) -> Ints:
        """The type of the last part."""
        return np.array([self.types.index(list(split_token(token))[-1][0]) for token in self.tokens])

    @cached_property
    def program(self) -> Ints:
        """The program stated, NO_PROGRAM for none."""
        return self._collect(lambda kind, value: int(value) if kind == "Program" else None, NO_PROGRAM)

    @cached_property
    def onset(self) -> Ints:
        """The sound that begins, -1 for none."""
        return self._collect(lambda kind, value: _parse_sound(kind, value) if kind in ONSETS else None)

    @cached_property
    def release(self) -> Ints:
        """The sound that is released, -1 for none."""
        return self._collect(lambda kind, value: _parse_sound(kind, value) if kind in RELEASES else None)

    @cached_property
    def release_tokens(self) -> Ints:
        """(n,) the tokens that release a sound."""
        return np.flatnonzero(self.release >= 0)

    @cached_property
    def program_tokens(self) -> Ints:
        """(n,) the tokens that state only a program."""
        return np.flatnonzero((self.program > NO_PROGRAM) & (self.release < 0) & (self.onset < 0))

    @cached_property
    def sound_token(self) -> Ints:
        """The unmerged token of the same onset; 0 for none."""
        index = {int(sound): i for i, sound in reversed(list(enumerate(self.onset))) if "+" not in self.tokens[i]}
        return np.array([index.get(int(sound), 0) if sound >= 0 else 0 for sound in self.onset])

    @cached_property
    def velocity(self) -> Ints:
        """The velocity stated, -1 for none."""
        return self._collect(lambda kind, value: int(value) if kind == "Velocity" else None)

    @cached_property
    def time_signature(self) -> Ints:
        """The index of the time signature stated, -1 for none."""
        index = {text: i for i, text in enumerate(self.scheme.time_signatures)}
        return self._collect(lambda kind, value: index[value] if kind == TIME_SIGNATURE else None)

    @cached_property
    def bar(self) -> NDArray[np.bool_]:
        """Whether a bar begins."""
        return np.array([kind == "Bar_None" for kind in self.tokens])

    @cached_property
    def position(self) -> Ints:
        """(M, V) the position in the bar to which a token moves, -1 for none."""
        steps = self._collect(lambda kind, value: int(value) if kind == "Position" else None)
        return np.where(steps >= 0, steps * self.scheme.step[:, None], -1)

    @cached_property
    def shift(self) -> Ints:
        """(M, V) the ticks by which a token moves, -1 for none."""
        return self._collect_times("TimeShift")

    @cached_property
    def length(self) -> Ints:
        """(M, V) the duration stated, -1 for none."""
        return self._collect_times("Duration")

    def _collect_times(self, wanted: str) -> Ints:
        steps = self._collect(lambda kind, value: _parse_steps(value) if kind == wanted else None)
        return np.where(steps >= 0, steps * self.scheme.step[:, None], -1)

    @cached_property
    def must_land(self) -> bool:
        """Whether a note must follow each move, so that moves cannot be added up."""
        index = self.types.index("TimeShift") if "TimeShift" in self.types else -1
        return index >= 0 and not self.follows[index, index]

    @cached_property
    def by_position(self) -> bool:
        """Whether time is stated by bars and positions, and not by moves."""
        return "Position" in self.types

    def prepare(self, score: Score) -> PreparedScore:
        """Prepare a score. Raises CannotExpress."""
        return prepare(self.scheme, score, lands=self.must_land)

    @cached_property
    def bars(self) -> Ints:
        """(M,) length of a bar of each time signature."""
        return self.scheme.grid.bar_steps

    @cached_property
    def beats(self) -> Ints:
        """(M,) length of a beat of each time signature."""
        return self.scheme.grid.beat_steps


@lru_cache(maxsize=16)
def make_tables(scheme: Scheme, tokens: tuple[str, ...]) -> Tables:
    """Return the tables of a vocabulary, made once."""
    return Tables(scheme, tokens)


def _parse_sound(kind: str, value: str) -> int:
    return int(value) + (DRUM if kind in OF_DRUMS else 0)


def _parse_steps(value: str) -> int:
    """Return the steps of a value `beats.steps.steps per beat`; MidiTok writes no step as 0.0.1."""
    beats, steps, per_beat = map(int, value.split("."))
    return beats * per_beat + steps


def name_voice(program: int) -> str:
    """Return the name of the voice of a program."""
    return "drums" if program == DRUMS else str(program)


# --- prepared scores --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PreparedScore:
    """The notes and bars of a score. All times are in MidiTok's ticks, and the first bar is whole."""

    sounds: Sounds
    lines: BarLines
    time_signatures: NDArray[np.int64]  # (bars,) index of each bar's time signature
    end: int  # of the last bar

    def find_changes(self, scheme: Scheme) -> dict[int, TimeSignature]:
        """Return the time signatures by tick, up to the last note."""
        until = int(self.sounds.ends.max()) if scheme.has_note_offs else 0
        until = max(int(self.sounds.starts[-1]) + 1, until)
        return {
            int(start): scheme.parsed_time_signatures[metre]
            for bar, (start, metre) in enumerate(zip(self.lines.starts, self.time_signatures, strict=True))
            if start < until and (bar == 0 or metre != self.time_signatures[bar - 1])
        }


def prepare(scheme: Scheme, score: Score, *, lands: bool) -> PreparedScore:
    """Prepare a score for a scheme; with `lands`, moves cannot be added up.

    Raises CannotExpress for music that MidiTok has no tokens for, and would drop or change.
    """
    sounds = gather_notes(score, programs=scheme.programs, tick=scheme.tick)
    _check_range(scheme, sounds)
    found = find_bars(scheme.grid, score, score.end)
    first = scheme.grid.first["TimeSignature"]
    lines, moved = BarLines.build(found, scheme.step, first), -int(found.origins[0])
    sounds = replace(sounds, starts=sounds.starts + moved, ends=sounds.ends + moved)
    sounds = quantise(sounds, lines, None if scheme.has_note_offs else scheme.longest * scheme.steps_per_beat)
    sounds = replace(sounds, velocities=scheme.round_velocities(sounds.velocities))
    _check_silences(sounds, lines)
    (check_held if scheme.has_note_offs else check_onsets)(sounds, SOUNDS)
    if lands and np.diff(np.append(0, sounds.starts)).max() > scheme.longest * scheme.division:
        raise CannotExpress(f"nothing begins for more than {scheme.longest} beats, the longest move.")
    return PreparedScore(sounds, lines, found.time_signatures - first, int(found.starts[-1]) + moved)


def _check_range(scheme: Scheme, sounds: Sounds) -> None:
    """Raise CannotExpress for a pitch out of range."""
    pitches = sounds.pitches[sounds.programs != DRUMS]
    outside = pitches[(pitches < scheme.lowest) | (pitches > scheme.highest)]
    if len(outside):
        reach = f"{scheme.lowest} to {scheme.highest}"
        raise CannotExpress(f"it has the pitch {outside[0]}; there are tokens for {reach}.")


def _check_silences(sounds: Sounds, lines: BarLines) -> None:
    """Raise CannotExpress if no note begins for too many bars."""
    bars = np.append(lines.find_bar(np.append(0, sounds.starts)), lines.find_bar(sounds.ends.max() - 1))
    longest = int(np.diff(bars).max())
    if longest > MOST_EMPTY_BARS:
        raise CannotExpress(f"nothing begins for {longest} bars; at most {MOST_EMPTY_BARS} such can be written.")
