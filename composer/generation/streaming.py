"""Streaming: a piece while it is generated, by tokens or bars, for live use.

from composer.generation import streaming
from composer.generation.composer import open_model
from composer.request import Request

tunes = open_model("tunes")
for bar in streaming.bars(tunes, Request(seed=7, bars=1_000_000)):
    play(bar.events)

A stream equals the piece of `generator.generate` for the same request, but without retries: bars already played cannot
be taken back. A step takes as long at bar 10,000 as at bar 1, and music older than the sounding notes is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from composer.errors import BadOption
from composer.generation.generator import Generator, make_samplers
from composer.request import Request
from composer.sampling.backtracking import MOST_TOKENS
from composer.sampling.loop import make_source, run_steps
from composer.tokens.vocabulary import EOS
from composer.types import Constraint, Tokenizer


@dataclass(frozen=True, order=True)
class Event:
    """A note-on, or with velocity 0 a note-off, as in MIDI. At one tick, note-offs come first."""

    tick: int  # from the start of the piece, 480 to a quarter note
    velocity: int
    pitch: int
    program: int  # of its track
    is_drum: bool
    track: str  # its name


@dataclass(frozen=True)
class Bar:
    """One complete bar of a stream. A sustained note ends in a later one."""

    number: int  # 0 for the first, even if a pickup
    start: int  # in ticks from the start of the piece
    end: int
    events: tuple[Event, ...]


def stream_tokens(generator: Generator, request: Request) -> Iterator[int]:
    """Yield the tokens of one piece as they are drawn, with those of the primer.

    With constraints, the loop may go back up to 128 tokens; so each token comes 128 tokens later, when it is final.
    Raises NothingAllowed, BadOption.
    """
    if request.transforms or request.rules:
        raise BadOption("a stream is played as it is drawn; transforms and rules are for finished pieces.")
    request = generator.resolve(request)
    samplers = make_samplers(request.samplers)
    delay = MOST_TOKENS if any(isinstance(sampler, Constraint) for sampler in samplers) else 0
    waiting: deque[int] = deque()
    given_out = 0
    for drawn in run_steps(generator.get_step(request), generator.writing, samplers, make_source([request])):
        for error in drawn.lost.values():
            raise error
        while given_out + len(waiting) > drawn.index[0]:
            waiting.pop()
        waiting.append(int(drawn.token[0]))
        if len(waiting) > delay:
            yield waiting.popleft()
            given_out += 1
    yield from waiting


def stream_bars(generator: Generator, request: Request) -> Iterator[Bar]:
    """Yield each bar of one piece when it is complete. Raises as `tokens` does."""
    grammar, listening = generator.writing.grammar, _Window(generator.tokenizer)
    state = grammar.start(request, 1)
    for token in stream_tokens(generator, request):
        state = grammar.advance(state, np.array([token]))
        music = grammar.interpret(state)
        begin = int(music.tick[0] - music.position[0])  # of a pickup, the begin of its whole bar
        yield from listening.add_token(token, int(music.bar[0]), max(begin, 0), begin + int(music.bar_ticks[0]))


@dataclass
class _BarTokens:
    """One bar in tokens. `metre` is the last time signature token before it, unless that is in the head."""

    number: int
    start: int
    end: int
    time_signature: list[int]
    tokens: list[int] = field(default_factory=list)


@dataclass
class _Window:
    """The window of a stream: the head of the piece, and all bars since the oldest sounding note.

    A tokenizer decodes a piece from its beginning. So the window is decoded right after the first bar of the piece; one
    earlier bar provides the notes sustained into the window. Notes of these two bars are dropped. The token after a bar
    is decoded with it, since it decides which notes are sustained.
    """

    tokenizer: Tokenizer
    head: list[int] = field(default_factory=list)  # the tokens before the first bar
    first: _BarTokens | None = None
    window: deque[_BarTokens] = field(default_factory=deque)
    time_signature: list[int] = field(default_factory=list)
    sounding: set[Event] = field(default_factory=set)  # their note-ons

    def add_token(self, token: int, bar: int, start: int, end: int) -> Iterator[Bar]:
        """Take a token, after which the piece is in `bar`, between two ticks; yield a bar if one is complete."""
        token_info, current = self.tokenizer.token_info, self.window[-1] if self.window else self.first
        if token_info.is_time_signature[token] and current is not None:
            self.time_signature = [token]
        if current is None:
            if bar < 0:
                self.head.append(token)
            else:
                self.first = _BarTokens(bar, start, end, [], [token])
            return
        begins = (
            [token] if bar > current.number and not token_info.is_frame[token] else []
        )  # the end of a frame belongs to the bar before
        current.tokens += [] if begins else [token]
        if bar > current.number or token == EOS:
            yield self._complete(current, begins, ends=token == EOS)
        if bar > current.number:
            self._drop_bars(current.number)
            self.window.append(_BarTokens(bar, start, end, self.time_signature, begins))

    def _complete(self, bar: _BarTokens, after: list[int], *, ends: bool) -> Bar:
        events, kept = [], set()
        for begin, end in self._decode_notes(bar, after):
            if bar.start <= begin.tick < bar.end:
                events.append(begin)
                self.sounding.add(begin)
            if begin in self.sounding and (end < bar.end or ends):
                events.append(replace(begin, tick=end, velocity=0))
            elif begin in self.sounding:
                kept.add(begin)
        self.sounding = kept
        return Bar(bar.number, bar.start, bar.end, tuple(sorted(events)))

    def _decode_notes(self, bar: _BarTokens, after: list[int]) -> Iterator[tuple[Event, int]]:
        """Yield the notes since the begin of the window, each with its end as far as it is known."""
        first = self.first or bar
        metre = self.window[0].time_signature if self.window else []
        kept = [token for written in self.window for token in written.tokens]
        score = self.tokenizer.decode(np.array([*self.head, *first.tokens, *metre, *kept, *after]))
        moved = self.window[0].start - first.end if self.window else 0
        for track in score.tracks:
            of = track.program, track.is_drum, track.name
            for start, duration, pitch, velocity in track.notes.tolist():
                if not moved or start >= first.end:
                    yield Event(start + moved, velocity, pitch, *of), start + moved + duration

    def _drop_bars(self, number: int) -> None:
        """Drop all bars earlier than the one before the oldest sounding note's bar."""
        oldest = min((begin.tick for begin in self.sounding), default=None)
        while self.window and self.window[0].number < number:
            if oldest is not None and oldest < self.window[1].end:
                break
            self.window.popleft()
