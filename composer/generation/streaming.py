"""Streaming: a piece while it is generated, by tokens or bars, for live use.

from composer.generation import streaming
from composer.generation.composer import open_model
from composer.request import Request

tunes = open_model("tunes")
for bar in streaming.bars(tunes, Request(seed=7, bars=1_000_000)):
    play(bar.events)

A stream equals the piece of `generator.generate` for the same request, but without retries: bars already played cannot
be taken back. A step takes as long at bar 10,000 as at bar 1, and music older than the sounding notes is dropped.

To write in turns with someone who plays, use a `Cursor`: it reads tokens, draws tokens, and goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, NothingAllowed
from composer.generation.generator import Generator, make_samplers
from composer.request import Request
from composer.sampling import batch_state
from composer.sampling.backtracking import MOST_TOKENS
from composer.sampling.batch_state import BatchState, build_context, run_step
from composer.sampling.distribution import Chain
from composer.sampling.drawing import make_draw
from composer.sampling.loop import make_source, run_steps
from composer.sampling.random_streams import Streams
from composer.sampling.turns import Turns
from composer.tokens.vocabulary import EOS
from composer.types import Array, Constraint, MusicalState, Tokenizer


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
    """One complete bar of a stream. A sustained note ends in a later one.

    Where tokens move notes off the grid (`TokenInfo.off_grid`), its notes may begin so many ticks before it.
    """

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
    if request.beams is not None:
        raise BadOption("beams know the first bar at the end of the search; leave them out to stream.")
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
        events, kept, early = [], set(), self.tokenizer.token_info.off_grid
        for begin, end in self._decode_notes(bar, after):
            if bar.start - early <= begin.tick < bar.end - early:
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
                if not moved or start >= first.end - self.tokenizer.token_info.off_grid:
                    yield Event(start + moved, velocity, pitch, *of), start + moved + duration

    def _drop_bars(self, number: int) -> None:
        """Drop all bars earlier than the one before the oldest sounding note's bar."""
        oldest = min((begin.tick for begin in self.sounding), default=None)
        while self.window and self.window[0].number < number:
            if oldest is not None and oldest < self.window[1].end:
                break
            self.window.popleft()


# --- in turns ---------------------------------------------------------------------------------------------------------


MOST_STATES = 8192
"""States that a cursor keeps, to go back to; of older ones nothing is left."""


class Cursor:
    """One piece that is read and written token by token, and can go back. States are kept, and never changed.

    A draw depends on the model, the request, the tokens so far, and `turn`: another turn draws other music from the
    same place. The request has no primer; its bars are a limit.
    """

    def __init__(self, generator: Generator, request: Request) -> None:
        """Begin before the first token. Raises BadOption for a condition that the model has no tokens for."""
        request = generator.resolve(request)
        self._request, self._tokenizer = request, generator.writing
        self._samplers, self._step = make_samplers(request.samplers), generator.get_step(request)
        self._chain = Chain.build(self._samplers, self._tokenizer.token_info)
        self._draw, self._turns = make_draw(self._chain.links), Turns(self._tokenizer, self._chain.constraints)
        self._streams = Streams()
        self.turn = request.attempt
        self._start_over()

    def _start_over(self) -> None:
        self._dropped = 0
        self._tokens: deque[int] = deque()
        first = batch_state.begin(self._tokenizer, self._samplers, [self._request])
        self._states, self._memory = deque([first]), first.memory

    def __len__(self) -> int:
        """Return the number of tokens so far."""
        return self._dropped + len(self._tokens)

    @property
    def tokens(self) -> list[int]:
        """The tokens since the oldest state that is kept."""
        return list(self._tokens)

    @property
    def music(self) -> MusicalState:
        """The musical state after the last token, of one row."""
        return self._tokenizer.grammar.interpret(self._states[-1].grammar)

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """The tokens that may come next by the grammar, (V,)."""
        return np.asarray(self._tokenizer.grammar.mask(self._states[-1].grammar)[0])

    def find_mask(self, masks: Callable[[Array], Array]) -> NDArray[np.bool_]:
        """Return the mask (V,) that a function from states to masks gives here, such as that of `Grammar.fix_notes`."""
        return np.asarray(masks(self._states[-1].grammar)[0])

    @property
    def turn(self) -> int:
        """The number that draws depend on, beside the request and the tokens."""
        return self._turn

    @turn.setter
    def turn(self, number: int) -> None:
        self._turn, self._streams = number, Streams()
        self._streams.add([(self._request.seed, self._request.index, number)])

    def rewind(self, length: int) -> None:
        """Go back to the first `length` tokens. Raises ValueError if their state is not kept any more."""
        if not self._dropped <= length <= len(self):
            raise ValueError(f"a cursor with the states {self._dropped} to {len(self)} cannot go to {length}")
        while len(self) > length:
            self._tokens.pop()
            self._states.pop()

    def move_to(self, tokens: Sequence[int]) -> None:
        """Go to the place after these tokens: back to where they part from those so far, then on."""
        same = 0
        if not self._dropped:
            for one, other in zip(self._tokens, tokens, strict=False):
                if one != other:
                    break
                same += 1
        else:
            self._start_over()
        self.rewind(same)
        for token in tokens[same:]:
            self.read(token)

    def read(self, token: int) -> None:
        """Go on with this token. The network takes a step; samplers with memory take no notice."""
        rows = self._states[-1]
        _, state = run_step(self._step, self._tokenizer, rows)
        self._advance(replace(rows, state=state), token)

    def draw(self, mask: NDArray[np.bool_] | None = None) -> int:
        """Draw a token among those of `mask` (V,) that grammar and constraints allow, and go on with it.

        Raises NothingAllowed if there is none; the cursor stays where it is. A logits processor that leaves nothing is
        ignored for this token.
        """
        rows = self._states[-1]
        plain = build_context(self._tokenizer, rows)
        context, _ = self._turns.constrain(rows, plain)
        if mask is not None:
            context = replace(context, allowed=context.allowed & mask)
        if not context.allowed.any():
            raise NothingAllowed("the samplers leave nothing that could be written; loosen them.")
        logits, state = run_step(self._step, self._tokenizer, rows)
        narrowed = bool(self._chain.constraints) or mask is not None
        drawn = self._draw(
            logits, context, plain.allowed if narrowed else None, self._streams.draw(rows.index), np.array([-1])
        )
        token = int(drawn.tokens[0])
        memory = self._chain.update_memory(context, drawn.tokens, drawn.nats, np.array([False]))
        self._advance(replace(rows, state=state, memory=memory), token)
        return token

    def forget(self) -> None:
        """Let samplers with memory begin here: then draws do not depend on how the cursor came to its place."""
        self._states[-1] = replace(self._states[-1], memory=self._memory)

    def _advance(self, rows: BatchState, token: int) -> None:
        self._states.append(rows.advance(self._tokenizer, np.array([token])))
        self._tokens.append(token)
        if len(self._states) > MOST_STATES:
            self._states.popleft()
            self._tokens.popleft()
            self._dropped += 1
