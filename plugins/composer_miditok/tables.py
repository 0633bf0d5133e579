"""What each token says, in tables over a vocabulary, MidiTok's or learnt from it; it knows no state and no score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from composer.music.score import Score
from composer_miditok.preparing import Prepared, prepared
from composer_miditok.scheme import Scheme
from composer_miditok.sounds import DRUMS

Ints = NDArray[np.int64]

METRE = "TimeSignature"
"""How composer calls MidiTok's `TimeSig`."""

STRUCK = ("Pitch", "PitchDrum", "NoteOn", "DrumOn")
LET_GO = ("NoteOff", "DrumOff")
OF_DRUMS = ("PitchDrum", "DrumOn", "DrumOff")
DRUM = 128
"""Added to the sounds of drums, so that they are none of the pitches."""

NO_PROGRAM = -2


def parts(token: str) -> Iterator[tuple[str, str]]:
    """(Type, Value) of what a token says: `Pitch+Duration_60+1.0.8` says two things."""
    kinds, _, values = token.partition("_")
    return zip(kinds.split("+"), values.split("+"), strict=True)


def joined(tokens: Sequence[str]) -> str:
    """One token that says what these do."""
    pairs = [pair for token in tokens for pair in parts(token)]
    return f"{'+'.join(kind for kind, _ in pairs)}_{'+'.join(value for _, value in pairs)}"


def vocabulary(scheme: Scheme) -> tuple[str, ...]:
    """MidiTok's tokens, without those that it calls special, after ours."""
    found = [_ours(token) for token in scheme.library.vocab if not token.startswith("PAD_")]
    return ("BOS_None", "EOS_None", *found)


def _ours(name: str) -> str:
    return name.replace("TimeSig", METRE, 1)


def theirs(token: str) -> str:
    """A token as MidiTok writes it."""
    return token.replace(METRE, "TimeSig", 1)


@dataclass(frozen=True)
class Tables:
    """Arrays are (V,), those of times (M, V) with a row for each time signature; times are in MidiTok's ticks."""

    scheme: Scheme
    tokens: tuple[str, ...]

    @cached_property
    def types(self) -> tuple[str, ...]:
        """The types of what can be said, the vocabulary's BOS and EOS among them."""
        return tuple(dict.fromkeys(kind for token in self.tokens for kind, _ in parts(token)))

    @cached_property
    def follows(self) -> NDArray[np.bool_]:
        """(types, types) which type may come after which, as MidiTok's graph of types says it."""
        said = self.scheme.library.tokens_types_graph
        graph = {_ours(kind): {_ours(after) for after in found} for kind, found in said.items()}
        first = "Bar" if "Bar" in graph else METRE if METRE in graph else "TimeShift"
        graph |= {"BOS": {first}, "EOS": {"EOS"}}
        for last in ("Duration",) if not self.scheme.held else LET_GO:
            graph[last] = {*graph.get(last, ()), "EOS"}
        return np.array([[after in graph.get(kind, ()) for after in self.types] for kind in self.types])

    def _number(self, say: Callable[[str, str], int | None], none: int = -1) -> Ints:
        """(V,) what `say` makes of the one part of each token that it has an answer to."""
        found = ([say(*pair) for pair in parts(token)] for token in self.tokens)
        return np.array([next((n for n in said if n is not None), none) for said in found], dtype=np.int64)

    @cached_property
    def first_type(self) -> Ints:
        """The type that a token begins with."""
        return np.array([self.types.index(next(parts(token))[0]) for token in self.tokens])

    @cached_property
    def last_type(self) -> Ints:
        """The type that it ends with."""
        return np.array([self.types.index(list(parts(token))[-1][0]) for token in self.tokens])

    @cached_property
    def program(self) -> Ints:
        """The program that it names, NO_PROGRAM for none."""
        return self._number(lambda kind, value: int(value) if kind == "Program" else None, NO_PROGRAM)

    @cached_property
    def struck(self) -> Ints:
        """The sound that it strikes, -1 for none."""
        return self._number(lambda kind, value: _sound(kind, value) if kind in STRUCK else None)

    @cached_property
    def let_go(self) -> Ints:
        """The sound that it ends, -1 for none."""
        return self._number(lambda kind, value: _sound(kind, value) if kind in LET_GO else None)

    @cached_property
    def of_ends(self) -> Ints:
        """(n,) the tokens that end a sound."""
        return np.flatnonzero(self.let_go >= 0)

    @cached_property
    def of_programs(self) -> Ints:
        """(n,) the tokens that name a program alone."""
        return np.flatnonzero((self.program > NO_PROGRAM) & (self.let_go < 0) & (self.struck < 0))

    @cached_property
    def sound_token(self) -> Ints:
        """The token that strikes the same sound and says nothing else; 0 for none."""
        place = {int(sound): i for i, sound in reversed(list(enumerate(self.struck))) if "+" not in self.tokens[i]}
        return np.array([place.get(int(sound), 0) if sound >= 0 else 0 for sound in self.struck])

    @cached_property
    def velocity(self) -> Ints:
        """The velocity that it states, -1 for none."""
        return self._number(lambda kind, value: int(value) if kind == "Velocity" else None)

    @cached_property
    def metre(self) -> Ints:
        """The place of the time signature that it states, -1 for none."""
        place = {text: i for i, text in enumerate(self.scheme.time_signatures)}
        return self._number(lambda kind, value: place[value] if kind == METRE else None)

    @cached_property
    def bar(self) -> NDArray[np.bool_]:
        """Whether it begins a bar."""
        return np.array([kind == "Bar_None" for kind in self.tokens])

    @cached_property
    def position(self) -> Ints:
        """(M, V) the place in the bar to which it moves, -1 for none."""
        steps = self._number(lambda kind, value: int(value) if kind == "Position" else None)
        return np.where(steps >= 0, steps * self.scheme.step[:, None], -1)

    @cached_property
    def shift(self) -> Ints:
        """(M, V) how far it moves, -1 for none."""
        return self._times("TimeShift")

    @cached_property
    def length(self) -> Ints:
        """(M, V) the length of a note that it states, -1 for none."""
        return self._times("Duration")

    def _times(self, wanted: str) -> Ints:
        steps = self._number(lambda kind, value: _steps(value) if kind == wanted else None)
        return np.where(steps >= 0, steps * self.scheme.step[:, None], -1)

    @cached_property
    def lands(self) -> bool:
        """Whether a note must come right after a move, so that no move can be made of two."""
        place = self.types.index("TimeShift") if "TimeShift" in self.types else -1
        return place >= 0 and not self.follows[place, place]

    @cached_property
    def by_position(self) -> bool:
        """Whether places are said by bar and position, and not by moves."""
        return "Position" in self.types

    def prepared(self, score: Score) -> Prepared:
        """A score made ready to be written. Raises CannotExpress."""
        return prepared(self.scheme, score, lands=self.lands)

    @cached_property
    def bars(self) -> Ints:
        """(M,) length of a bar of each time signature."""
        return self.scheme.grid.bar_steps

    @cached_property
    def beats(self) -> Ints:
        """(M,) length of a beat of each time signature."""
        return self.scheme.grid.beat_steps


@lru_cache(maxsize=16)
def tables(scheme: Scheme, tokens: tuple[str, ...]) -> Tables:
    """The tables of a vocabulary, made once."""
    return Tables(scheme, tokens)


def _sound(kind: str, value: str) -> int:
    return int(value) + (DRUM if kind in OF_DRUMS else 0)


def _steps(value: str) -> int:
    """Steps of `beats.steps.steps per beat`; MidiTok writes no step as 0.0.1."""
    beats, steps, per_beat = map(int, value.split("."))
    return beats * per_beat + steps


def voice_of(program: int) -> str:
    """The name of the voice of a program."""
    return "drums" if program == DRUMS else str(program)
