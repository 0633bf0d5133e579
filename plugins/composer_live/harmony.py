"""The mode `harmonize`: the other voices to each note, in the moment in which it is played.

The model is always at the place of the last note, so that a note costs a position and a token for each voice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from composer.errors import BadOption, printable
from composer.generation.streaming import Event
from composer_live.values import Played
from composer_live.writing import PLAYED, find_range, fold

if TYPE_CHECKING:
    from composer_live.session import Session


class Harmonizer:
    """Voices under the highest note that is held; they sound as long as something is held."""

    due: int | None = None

    def __init__(self, session: Session) -> None:
        """Begin in the bar that plays now. Raises BadOption for a model without several voices."""
        from composer_live.players import require_parts

        require_parts(session, "harmonize")
        self.session, self._writer = session, session.writer
        self._info = session.generator.tokenizer.token_info
        positions = np.unique(self._info.position[self._info.position >= 0])
        self._places = np.append(positions[positions < session.bar_ticks], session.bar_ticks)  # the last: the next bar
        if not (self._writer.has_voices and len(positions)):
            name = printable(session.generator.name or "this model")
            raise BadOption(
                f"'{name}' writes notes and no voices, and 'harmonize' needs voices; take a model such as chorales."
            )
        self._sounding: dict[int, int] = {}  # pitch by voice
        self._turns = 0
        self._estimate()
        self._open(session.tick // session.bar_ticks * session.bar_ticks)

    def _estimate(self) -> None:
        self._key = self._writer.estimate_key([n for n in self.session.memory.notes if n.part == PLAYED])

    def _open(self, bar: int) -> None:
        """Begin a piece with the bar at a tick."""
        self._turns += 1
        self._begin, self._last, self._before = bar, -1, 0
        self._writer.open(self._key, self._turns)
        self._move_to_bar(0)
        self.due = bar + self.session.bar_ticks

    def _move_to_bar(self, tick: int) -> None:
        """Go on bar by bar, up to the one in which a tick of the piece lies."""
        cursor = self._writer.cursor
        while int((music := cursor.music).bar[0]) < 0 or tick >= int(
            (music.tick - music.position + music.bar_ticks)[0]
        ):
            bars = np.flatnonzero(cursor.allowed & self._info.is_bar)
            if not len(bars):  # the piece is at its end
                self._open(self._begin + tick)
                return
            cursor.read(int(bars[0]))

    def play(self) -> None:
        """At a bar line, take the network there, and look at the key again."""
        session, before = self.session, self._key
        self._estimate()
        if self._key != before:
            self._open(session.tick // session.bar_ticks * session.bar_ticks)
            return
        if session.tick - self._begin > max(self._last, 0):
            self._move_to_bar(session.tick - self._begin)
        self.due = (session.tick // session.bar_ticks + 1) * session.bar_ticks

    def listen(self, played: Played) -> None:
        """Set the voices for a note on top; silence them when nothing is held."""
        held = self.session.memory.held
        if not held:
            self._release()
        elif played.velocity and played.pitch == max(held):
            self._harmonize(played)

    def _release(self) -> None:
        self.session.add(self._make_event(voice, pitch, 0) for voice, pitch in self._sounding.items())
        self._sounding = {}

    def _harmonize(self, played: Played) -> None:
        """Write the frame of a note, and let its voices sound."""
        self._go_to(played.tick - self._begin)
        cursor, info = self._writer.cursor, self._info
        pitch = fold(played.pitch, find_range(self.session.generator, self._key))
        held = set()
        while (voice := int((music := cursor.music).voice[0])) >= 0:
            sounds = np.where(info.pitch >= 0, info.pitch + int(music.shift[0]), -1)
            if voice == 0:
                cursor.read(int(np.flatnonzero(sounds == pitch)[0]))
                continue
            beneath = ~info.is_rest & (sounds <= pitch)
            token = cursor.draw(beneath if (beneath & cursor.allowed).any() else None)
            if info.is_hold[token]:
                held.add(voice)
        self._sound(cursor.music.sounding[0].tolist(), held, max(round(played.velocity * 0.8), 1))

    def _go_to(self, tick: int) -> None:
        """Move to the position next to a tick of the piece; a frame that is there already is written again."""
        cursor, length = self._writer.cursor, self.session.bar_ticks
        bar = max(tick, self._last, 0) // length * length
        place = bar + int(self._places[np.abs(self._places - (max(tick, 0) - bar)).argmin()])
        if place <= self._last:
            cursor.rewind(self._before)
            place = self._last
        self._move_to_bar(place)
        self._before, self._last = len(cursor), place
        cursor.read(int(np.flatnonzero(self._info.position == place % length)[0]))

    def _sound(self, pitches: list[int], held: set[int], velocity: int) -> None:
        """Let voices sound; those that are held, and sound already, go on."""
        events = []
        for voice, pitch in enumerate(pitches[1:], 1):
            before = self._sounding.pop(voice, None)
            goes_on = voice in held and before == pitch
            if before is not None and not goes_on:
                events.append(self._make_event(voice, before, 0))
            if pitch >= 0:
                self._sounding[voice] = pitch
                if not goes_on:
                    events.append(self._make_event(voice, pitch, velocity))
        self.session.add(events)

    def _make_event(self, voice: int, pitch: int, velocity: int) -> Event:
        program, is_drum, name = self._writer.voices[voice]
        return Event(self.session.tick, velocity, pitch, program, is_drum, name)

    def prepare(self) -> None:
        """Do nothing: it is always at the last note."""

    def obey(self, command: str) -> None:
        """With `vary`, write the voices of the held note in another way."""
        held = self.session.memory.held
        if command == "vary" and held and self._last >= 0:
            self._turns += 1
            self._writer.cursor.turn = self._turns
            top = held[max(held)]
            self._harmonize(Played(self.session.tick, top.pitch, top.velocity))
