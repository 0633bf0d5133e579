"""A session: what is played comes in at ticks, and what the model plays goes out at ticks. No clock is read.

The same setup and actions lead to the same events, however often the session is asked in between. So a take can be made
again from what was played.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from composer.errors import BadOption, ComposerError, printable, suggest
from composer.generation.generator import Generator
from composer.generation.streaming import Event
from composer.request import Spec
from composer_live import players
from composer_live.values import COMMANDS, LOOK_AHEAD, MOST_BARS, Action, Command, Played, Setup
from composer_live.writing import PLAYED, WINDOW, PartNote, Writer

Sound = tuple[int, bool, str, int]
"""Program, whether it is drums, the track's name, and the pitch."""


@dataclass
class Memory:
    """The notes of the last bars, of whoever plays and of the model, for the model to read."""

    notes: list[PartNote] = field(default_factory=list)
    held: dict[int, Played] = field(default_factory=dict)  # by pitch

    def add_played(self, played: Played) -> None:
        """Take a note-on or a note-off; a note that is struck twice ends in between."""
        if begun := self.held.pop(played.pitch, None):
            end = max(played.tick, begun.tick + 1)
            self.notes.append(PartNote(begun.tick, end, begun.pitch, begun.velocity, PLAYED))
        if played.velocity:
            self.held[played.pitch] = played

    def list_notes(self, tick: int) -> list[PartNote]:
        """List all notes up to a tick; held ones as if they ended there."""
        held = [PartNote(p.tick, max(tick, p.tick + 1), p.pitch, p.velocity, PLAYED) for p in list(self.held.values())]
        return sorted([*self.notes, *held])

    def forget(self, before: int) -> None:
        """Forget the notes that begin before a tick."""
        if len(self.notes) > 256:
            self.notes = [note for note in self.notes if note.start >= before]


class Session:
    """The model's side of a session.

    Call `act` for each action in order, `advance` as time goes on, and `take` for the events up to `LOOK_AHEAD` ticks
    ahead. Errors of the model end a phrase, and stand in `trouble`.
    """

    def __init__(self, generator: Generator, setup: Setup) -> None:
        """Begin at tick 0. Raises BadOption for a mode that the model cannot play."""
        self.generator, self.setup = generator, setup
        self.request, self.bars, self.mode = setup.request, setup.bars, setup.mode
        self.memory, self.tick, self.is_stopped, self.trouble = Memory(), 0, False, ""
        self.kept: list[PartNote] = []
        self.writer = Writer(generator, self.request, setup.program)
        self.player = players.make_player(self, setup.mode)
        self.actions: list[Action] = []
        self.given: list[Event] = []  # events that were taken, as long as they are wanted
        self.records = True
        self._pending: list[Event] = []
        self._sounding: Counter[Sound] = Counter()

    @property
    def bar_ticks(self) -> int:
        """Length of a bar in ticks."""
        return self.setup.time_signature.bar_ticks

    @property
    def beat_ticks(self) -> int:
        """Length of a beat in ticks."""
        return self.setup.time_signature.beat_ticks

    def find_bar(self, tick: int) -> int:
        """Find the tick at which the bar begins that follows `tick`, or begins there."""
        return -(-tick // self.bar_ticks) * self.bar_ticks

    # --- actions ------------------------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        """Take an action. One that comes late counts from now."""
        action = replace(action, tick=max(action.tick, self.tick))
        self.advance(action.tick)
        if isinstance(action, Command):
            if self._obey(action) and self.records:
                self.actions.append(action)
            return
        if self.records:
            self.actions.append(action)
        self.memory.add_played(action)
        self.memory.forget(action.tick - 2 * WINDOW * self.bar_ticks)
        if not self.is_stopped:
            self._try(lambda: self.player.listen(action))

    def advance(self, tick: int) -> None:
        """Go on to a tick: the player does what is due until then."""
        while not self.is_stopped and (due := self.player.due) is not None and due <= tick:
            self.tick = max(self.tick, due)
            self.player.due = None
            self._try(self.player.play)
        self.tick = max(self.tick, tick)

    def prepare(self) -> None:
        """Let the player read ahead. It may be called at any time, or never: nothing depends on it."""
        with suppress(ComposerError):
            if not self.is_stopped:
                self.player.prepare()

    def _try(self, do: Any) -> None:
        """Do something that the model may fail at: then the phrase ends, and the session goes on."""
        try:
            do()
        except ComposerError as error:
            self.trouble = str(error)
            self.cut()
            self.player = players.make_player(self, self.mode)

    def _obey(self, command: Command) -> bool:
        """Do what a command says, and tell whether it could be followed; if not, `trouble` has the reason."""
        try:
            self._do(command)
        except ComposerError as error:
            self.trouble = str(error)
            return False
        return True

    def _do(self, command: Command) -> None:
        name, value = command.name, command.value
        if name not in COMMANDS:
            raise BadOption(f"unknown command '{printable(name)}': {suggest(name, COMMANDS)}")
        if name in ("stop", "start"):
            if self.is_stopped != (name == "stop"):
                self.is_stopped = name == "stop"
                self._begin_player()
        elif name == "reset":
            self.memory = Memory(held=self.memory.held)
            self._begin_player()
        elif name == "mode":
            player = players.make_player(self, str(value))
            self.cut()
            self.mode, self.player = str(value), player
        elif name in ("temperature", "seed", "bars"):
            self._set(name, value)
        elif not self.is_stopped:
            self._try(lambda: self.player.obey(name))

    def _begin_player(self) -> None:
        self.cut()
        self.player = players.make_player(self, self.mode)

    def _set(self, name: str, value: float | str | None) -> None:
        """Set a number. Raises BadOption for one out of range."""
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise BadOption(f"'{name}' takes a number, not '{printable(str(value))}'.")
        if name == "bars":
            if not 1 <= value <= MOST_BARS:
                raise BadOption(f"'bars' is {value:g}, and must be from 1 to {MOST_BARS}.")
            self.bars = int(value)
            return
        if name == "seed":
            request = replace(self.request, seed=int(value))
        else:
            others = [link for link in self.request.samplers if link.name != "temperature"]
            link = Spec("temperature", {"temperature": float(value)})
            request = replace(self.request, samplers=(link, *others))
        writer = Writer(self.generator, request, self.setup.program)
        self.request, self.writer = request, writer
        self._begin_player()

    # --- events -------------------------------------------------------------------------------------------------------

    def add(self, events: Iterable[Event]) -> None:
        """Add events of the model, none before now."""
        for event in events:
            heapq.heappush(self._pending, event)

    def take(self) -> list[Event]:
        """Take the events up to `LOOK_AHEAD` ticks from now, in order."""
        taken = []
        while self._pending and self._pending[0].tick <= self.tick + LOOK_AHEAD:
            taken.append(heapq.heappop(self._pending))
            _count(self._sounding, taken[-1])
        if self.records:
            self.given += taken
        return taken

    def list_coming(self) -> list[Event]:
        """List the events that are still to be taken, in order."""
        return sorted(self._pending)

    def cut(self) -> None:
        """Take back the events that can be taken back, and end the notes that would still sound."""
        last = self.tick + LOOK_AHEAD
        kept = sorted(event for event in self._pending if event.tick <= last)
        sounding = self._sounding.copy()
        for event in kept:
            _count(sounding, event)
        latest = {_name_sound(event): event.tick for event in kept if event.velocity}
        for (program, is_drum, track, pitch), count in sorted(sounding.items()):
            end = max(last, latest.get((program, is_drum, track, pitch), 0) + 1)
            kept += [Event(end, 0, pitch, program, is_drum, track)] * count
        self._pending = sorted(kept)
        self._shorten(last)

    def _shorten(self, tick: int) -> None:
        """Let the memory end where the model was cut off."""
        self.memory.notes = [
            note if note.part == PLAYED else replace(note, end=min(note.end, tick))
            for note in self.memory.notes
            if note.part == PLAYED or note.start < tick
        ]

    def close(self, tick: int) -> None:
        """End at a tick: every note ends there at the latest, and `given` has all events."""
        self.advance(tick)
        events = sorted([*self.given, *self._pending])
        self.given, self._pending = [e for e in events if e.tick < tick or (e.tick == tick and not e.velocity)], []
        sounding: Counter[Sound] = Counter()
        for event in self.given:
            _count(sounding, event)
        for (program, is_drum, track, pitch), count in sorted(sounding.items()):
            self.given += [Event(tick, 0, pitch, program, is_drum, track)] * count


def _name_sound(event: Event) -> Sound:
    return event.program, event.is_drum, event.track, event.pitch


def _count(sounding: Counter[Sound], event: Event) -> None:
    """Count a note-on or a note-off; a note-off without a note is left out."""
    sound = _name_sound(event)
    sounding[sound] += 1 if event.velocity else -1
    if sounding[sound] <= 0:
        del sounding[sound]
