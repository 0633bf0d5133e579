"""Receiving: MIDI messages become notes and commands.

The sustain pedal holds notes; keys, controllers and the pedal may be commands instead. Whatever else comes, such as
system exclusive messages, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from composer.errors import BadOption, printable, suggest
from composer_live.sending import CONTROL, NOTE_OFF, NOTE_ON, PEDAL, PROGRAM, Bytes
from composer_live.values import COMMANDS, Action, Command, Played

OWN_COMMANDS = (*COMMANDS, "tap")
"""All commands of keys and controllers: those of a session, and taps of a tempo."""

HALF = 64
"""The value from which a controller counts as pressed."""

HOTTEST, COLDEST = 2.0, 0.2
"""The temperatures of a controller's ends."""

SYSTEM = {0xF2: "songpos", 0xF8: "clock", 0xFA: "start", 0xFB: "continue", 0xFC: "stop"}
"""Messages of a MIDI clock, by their first byte."""

_ASSIGNMENT = re.compile(r"(key|cc|program|pedal)\s*(\d*)\s*=\s*([a-z]+)(?::(.+))?")


@dataclass(frozen=True)
class Assignment:
    """What a key, a controller or a program does: a command, with a word or a number where it takes one."""

    command: str
    value: str | None = None


def parse_assignments(texts: Iterable[str]) -> dict[tuple[str, int], Assignment]:
    """Parse texts such as `key108=vary`, `cc20=temperature`, `pedal=again`, `program1=mode:loop`. Raises BadOption."""
    found: dict[tuple[str, int], Assignment] = {}
    for text in texts:
        match = _ASSIGNMENT.fullmatch(text.strip().lower())
        if not match or (match[1] != "pedal") != bool(match[2]) or int(match[2] or 0) > 127:
            raise BadOption(f"invalid assignment '{printable(text)}': expected one such as key108=vary or cc20=again.")
        if match[3] not in OWN_COMMANDS:
            raise BadOption(f"unknown command '{printable(match[3])}': {suggest(match[3], OWN_COMMANDS)}")
        kind, number = ("cc", PEDAL) if match[1] == "pedal" else (match[1], int(match[2]))
        found[kind, number] = Assignment(match[3], match[4])
    return found


@dataclass
class Receiver:
    """The state of what comes in: the pedal, the notes that it holds, and controllers that are pressed."""

    assignments: Mapping[tuple[str, int], Assignment] = field(default_factory=dict)
    pedal: bool = False
    held: set[int] = field(default_factory=set)  # by a finger
    waiting: set[int] = field(default_factory=set)  # by the pedal alone
    pressed: set[tuple[str, int]] = field(default_factory=set)

    def take(self, message: Bytes, tick: int) -> list[Action]:
        """Return the actions of a message. Anything malformed or foreign has none."""
        if len(message) < 2 or not 0x80 <= message[0] < 0xF0 or any(not 0 <= byte <= 127 for byte in message[1:]):
            return []
        kind, number = message[0] & 0xF0, message[1]
        value = message[2] if len(message) > 2 else 0
        if kind in (NOTE_ON, NOTE_OFF) and len(message) > 2:
            return self._take_note(number, value if kind == NOTE_ON else 0, tick)
        if kind == CONTROL and len(message) > 2:
            return self._take_control(number, value, tick)
        if kind == PROGRAM:
            return self._command(("program", number), tick, 127)
        return []

    def release(self, tick: int) -> list[Action]:
        """Return the note-offs of all notes, as if all fingers and the pedal were lifted."""
        pitches = sorted(self.held | self.waiting)
        self.held, self.waiting, self.pedal = set(), set(), False
        return [Played(tick, pitch, 0) for pitch in pitches]

    def _take_note(self, pitch: int, velocity: int, tick: int) -> list[Action]:
        if ("key", pitch) in self.assignments:
            return self._command(("key", pitch), tick, velocity) if velocity else []
        if velocity:
            self.held.add(pitch)
            self.waiting.discard(pitch)
            return [Played(tick, pitch, velocity)]
        if pitch not in self.held:
            return []
        self.held.discard(pitch)
        if self.pedal:
            self.waiting.add(pitch)
            return []
        return [Played(tick, pitch, 0)]

    def _take_control(self, number: int, value: int, tick: int) -> list[Action]:
        place = "cc", number
        if place in self.assignments:
            if self.assignments[place].command == "temperature":
                return self._command(place, tick, value)
            before = place in self.pressed
            (self.pressed.add if value >= HALF else self.pressed.discard)(place)
            return self._command(place, tick, value) if value >= HALF and not before else []
        if number in (120, 123):  # all notes off
            return self.release(tick)
        if number != PEDAL:
            return []
        self.pedal = value >= HALF
        if self.pedal:
            return []
        pitches, self.waiting = sorted(self.waiting), set()
        return [Played(tick, pitch, 0) for pitch in pitches]

    def _command(self, place: tuple[str, int], tick: int, value: int) -> list[Action]:
        if place not in self.assignments:
            return []
        assigned = self.assignments[place]
        return [Command(tick, assigned.command, _read_value(assigned, value))]


def _read_value(assigned: Assignment, value: int) -> float | str | None:
    """Read the value of a command: as it is assigned, or as a controller stands."""
    if assigned.value is not None:
        try:
            return float(assigned.value)
        except ValueError:
            return assigned.value
    if assigned.command == "temperature":
        return round(COLDEST + (HOTTEST - COLDEST) * value / 127, 2)
    return None
