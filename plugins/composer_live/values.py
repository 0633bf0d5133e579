"""The values of a session: what is played and commanded, at which tick, and how the session is set up.

Ticks are those of a Score, 480 to a quarter note, from the first downbeat after the count-in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from composer.errors import BadOption, printable
from composer.music.score import TimeSignature, parse_time_signature
from composer.request import Request

COMMANDS = ("start", "stop", "again", "vary", "keep", "undo", "reset", "temperature", "seed", "mode", "bars")
"""What a key, a controller or an OSC message may ask of a session."""

MOST_BARS = 64
"""Bars of a turn at most."""

LOOK_AHEAD = 24
"""Ticks that events are given out ahead of time; what is given out cannot be taken back. 31 ms at 96 quarters."""

LEAD = 120
"""Ticks before a bar at which it is written: what is played later is not in it."""


@dataclass(frozen=True)
class Played:
    """A note-on, or with velocity 0 a note-off, of whoever plays."""

    tick: int
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Command:
    """A command, with a number or a word where it takes one."""

    tick: int
    name: str
    value: float | str | None = None


Action: TypeAlias = Played | Command


@dataclass(frozen=True)
class Setup:
    """How a session begins. With the model and all actions, it determines what the model plays.

    Raises BadOption for a value that no session could follow.
    """

    mode: str = "answer"
    bars: int = 2  # of a turn, or a loop
    request: Request = field(default_factory=Request)
    program: int = 0  # of whoever plays, in the recording
    tempos: tuple[tuple[int, float], ...] = ((0, 120.0),)  # ticks, and quarter notes per minute from there on

    def __post_init__(self) -> None:
        """Check every value by itself."""
        if not (isinstance(self.bars, int) and 1 <= self.bars <= MOST_BARS):
            raise BadOption(f"'bars' is {printable(str(self.bars))}, and must be from 1 to {MOST_BARS}.")
        if not (isinstance(self.program, int) and 0 <= self.program <= 127):
            raise BadOption(f"'program' is {printable(str(self.program))}, and must be from 0 to 127.")

    @property
    def time_signature(self) -> TimeSignature:
        """The time signature of the whole session."""
        return parse_time_signature(self.request.time_signature or "4/4")


def actions_to_json(actions: tuple[Action, ...]) -> list[list[Any]]:
    """Return plain values: `[tick, pitch, velocity]` of a note, `[tick, name, value]` of a command."""
    return [[a.tick, a.pitch, a.velocity] if isinstance(a, Played) else [a.tick, a.name, a.value] for a in actions]


def actions_from_json(values: list[list[Any]]) -> tuple[Action, ...]:
    """Read the result of `actions_to_json`. Raises TypeError or ValueError for anything else."""
    return tuple(_read_action(*value) for value in values)


def _read_action(tick: int, what: int | str, value: float | str | None) -> Action:
    if not isinstance(tick, int) or not 0 <= tick < 2**40:
        raise ValueError(f"{tick} is no tick")
    if isinstance(what, str):
        if what not in COMMANDS:
            raise ValueError(f"{what} is no command")
        return Command(tick, what, value)
    if not (isinstance(what, int) and 0 <= what <= 127 and isinstance(value, int) and 0 <= value <= 127):
        raise ValueError(f"{what} with {value} is no note")
    return Played(tick, what, value)


def setup_to_json(setup: Setup) -> dict[str, Any]:
    """Return plain values, without the request."""
    tempos = [list(tempo) for tempo in setup.tempos]
    return {"mode": setup.mode, "bars": setup.bars, "program": setup.program, "tempos": tempos}


def setup_from_json(values: Mapping[str, Any], request: Request) -> Setup:
    """Read the result of `setup_to_json`. Raises TypeError, KeyError or BadOption for anything else."""
    tempos = tuple((int(tick), float(bpm)) for tick, bpm in values["tempos"])
    return Setup(str(values["mode"]), values["bars"], request, values["program"], tempos)
