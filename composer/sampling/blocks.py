"""Blocks of steps: the whole loop on the device of a backend, which is read once a block.

One turn of the loop is grammar, network, masks, chain and draw in array functions, the same ones that the host's loop
uses with NumPy, so that the tokens are the same. A row whose piece has ended stays as it is, since its grammar does;
its tokens are left out.

What needs a look at each step goes by the host's loop, step by step, and `make_blocks` alone decides it:

- a backend that `SupportsBlocks` is needed;
- constraints have dead ends, which pieces leave by going back;
- grammars and samplers that look at numbers, or hand them to another library, cannot be repeated.

A block in which a model, a sampler or a grammar fails is not used. Its steps are taken by the host, which says why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace
from composer.sampling.batch_state import BatchState, Stepped, build_context
from composer.sampling.distribution import Chain
from composer.sampling.drawing import DrawnTokens, draw_unchecked
from composer.sampling.random_streams import Streams, compute_uniforms
from composer.tokens.vocabulary import EOS
from composer.types import Array, Context, RecentNotes, Repeat, State, Step, SupportsBlocks, Tokenizer

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """The tokens of N steps, with those of rows that have ended, and the rows after the last step."""

    tokens: NDArray[np.int64]  # (N, B)
    nats: NDArray[np.float64]  # (N, B, kinds) costs of the piece so far
    going: NDArray[np.bool_]  # (N, B) rows that had not ended before a step
    rows: BatchState

    def list_steps(self) -> Iterator[tuple[Ints, Ints, Ints, Floats]]:
        """Yield numbers, indices, tokens and costs so far of the pieces that had not ended before each step."""
        shown = number = self.rows.number
        index = self.rows.index - len(self.tokens)
        for step, (tokens, nats) in enumerate(zip(self.tokens, self.nats, strict=True)):
            going = np.flatnonzero(self.going[step])
            if len(going) < len(shown):  # one array as long as the batch is the same
                shown = number[going]
            if not len(going):
                return
            yield shown, index[going] + step, tokens[going], nats[going]


def record_step(
    chain: Chain, rows: BatchState, context: Context, state: State, drawn: DrawnTokens, given: Array
) -> Stepped:
    """Return what a step leaves in its rows: the model's new state, costs and memory; `given` (B,) is of primers."""
    memory = chain.update_memory(context, drawn.tokens, drawn.nats, given >= 0)
    return state, rows.nats + drawn.nats, memory


def make_blocks(step: Step, tokenizer: Tokenizer, chain: Chain) -> Blocks | None:
    """Make the blocks of a loop; None where only the host's loop can run it (see the module)."""
    if not isinstance(step, SupportsBlocks) or step.block < 2 or chain.constraints:
        return None
    return Blocks(step, tokenizer, chain)


class Blocks:
    """Runs blocks of steps."""

    def __init__(self, step: SupportsBlocks, tokenizer: Tokenizer, chain: Chain) -> None:
        """Begin; whether turns can be repeated shows itself with the first rows."""
        self._step, self._tokenizer, self._chain = step, tokenizer, chain
        self._limits = np.array([column.size for column in tokenizer.grammar.columns])
        self._repeat: Repeat | None = None
        self._tried = False
        self._waiting = 0  # steps that the host takes first

    def run(self, rows: BatchState, streams: Streams) -> Block | None:
        """Take a block of steps of these rows, which draw from `streams`; None if the host is to take the next step."""
        if self._waiting:
            self._waiting -= 1
            return None
        if self._tried and self._repeat is None:
            return None
        count, size = len(rows.number), self._step.pad(len(rows.number))
        order = np.concatenate([np.arange(count), np.zeros(size - count, dtype=np.int64)])  # the first row fills up
        carried = self._place_rows(rows, order)
        given = rows.get_primer_tokens(np.arange(self._step.block)[:, None])[:, order]
        uniforms = compute_uniforms(self._step.place(streams.list_keys()[order]), carried[0], self._step.block).T
        inputs = (uniforms, self._step.place(given))
        if not self._tried:
            self._repeat = self._step.make_repeat(self._take_turn, carried, [part[0] for part in inputs])
            self._tried = True
        if self._repeat is None:
            return None
        after, made = self._repeat(carried, inputs)
        tokens, nats, faulty = (self._step.read(part)[:, :count] for part in made)
        ended = np.cumsum(tokens == EOS, axis=0) > 0
        going = np.concatenate([np.ones((1, count), dtype=bool), ~ended[:-1]])
        if (faulty & going).any():
            self._waiting = self._step.block - 1
            return None
        return Block(tokens, nats, going, self._read_rows(rows, after, count))

    def _place_rows(self, rows: BatchState, order: NDArray[np.int64]) -> list[Array]:
        """Copy rows in this order to the device, as a list of arrays; those not stepped yet get a first state."""
        begun, count = int(np.count_nonzero(rows.index)), len(rows.index)
        state = self._step.begin(count - begun)
        if rows.state is not None and begun:
            state = tuple(
                get_namespace(part).concat([part[:begun], new]) for part, new in zip(rows.state, state, strict=True)
            )
        rest = [self._step.place(part[order]) for part in _list_parts(rows)]
        places = self._step.place(order)
        return [*rest, *(get_namespace(part).take(part, places, axis=0) for part in state)]

    def _read_rows(self, rows: BatchState, carried: Sequence[Array], count: int) -> BatchState:
        """Copy rows back to the host, all but their state; padding is left out."""
        parts = [self._step.read(part)[:count] for part in carried[:PARTS]]
        return _join_parts(rows.number, rows.primer, parts, tuple(part[:count] for part in carried[PARTS:]))

    def _take_turn(self, carried: Sequence[Array], given: Sequence[Array]) -> tuple[Sequence[Array], Sequence[Array]]:
        """Take one step on the device; also mark (B,) the rows in which something fails."""
        uniforms, primed = given
        rows = _join_parts(*_NOBODY, carried[:PARTS], tuple(carried[PARTS:]))
        context = build_context(self._tokenizer, rows)
        inputs, beyond = self._check_inputs(self._tokenizer.grammar.make_inputs(rows.grammar))
        logits, state = self._step.run(inputs, tuple(carried[PARTS:]))
        drawn = draw_unchecked(self._chain.links, logits, context, None, uniforms, primed)
        faulty = beyond if drawn.unsound is None else beyond | drawn.unsound
        if drawn.emptied is not None:
            faulty = faulty | ((drawn.emptied >= 0) & (primed < 0))
        stepped = record_step(self._chain, rows, context, state, drawn, primed)
        after = rows.advance(self._tokenizer, drawn.tokens, context.music, stepped)
        return [*_list_parts(after), *state], [drawn.tokens, after.nats, faulty]

    def _check_inputs(self, inputs: Array) -> tuple[Array, Array]:
        """Return inputs (B, C) within the sizes of their features, and (B,) the rows in which they were beyond."""
        xp = get_namespace(inputs)
        beyond = (inputs < 0) | (inputs >= convert_like(self._limits, inputs))
        return xp.where(beyond, 0, inputs), xp.any(beyond, axis=1)


PARTS = 8
"""Arrays of rows that are carried from step to step, beside the model's state."""


_NOBODY = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.int64)
"""Numbers and primers of rows on the device, which needs neither."""


def _list_parts(rows: BatchState) -> list[Array]:
    """List the arrays of rows that change with each step, without the model's state."""
    notes = rows.recent_notes
    return [rows.index, rows.grammar, rows.history, notes.tick, notes.pitch, notes.voice, rows.nats, rows.memory]


def _join_parts(
    number: NDArray[np.int64], primer: NDArray[np.int64], parts: Sequence[Array], state: State
) -> BatchState:
    """Make rows of such a list and a state, with the numbers and the primers of their pieces."""
    index, grammar, history, tick, pitch, voice, nats, memory = parts
    return BatchState(number, index, grammar, state, history, RecentNotes(tick, pitch, voice), primer, nats, memory)
