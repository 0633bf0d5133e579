"""A grammar of bars, beats and positions, shared by the grammars of written music.

Tokens state time signatures, keys, pickups, bars, and positions on a grid of steps. Notes are left to each grammar. A
piece reads

    TimeSignature_3/4 Key_Dm Upbeat_4 (Bar_None (Position_8 …)*)* … (Bar_1 …) EOS_None

Notes stand for the dots. `TimeSignature` comes again before a bar that changes it. `Bar_k` announces the end: k bars
are left, this one included. Earlier bars are `Bar_None`. So a model can prepare an ending, and a request can set the
length. A grid with sections has their tokens, too (`bar_sections`).

What plugins may rely on is listed in `plugins/README.md`, under the helpers that are stable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from composer.arrays import (
    carry_forward,
    convert_like,
    get_namespace,
    is_all_false,
    make_range,
    replace_column,
    stack_columns,
)
from composer.errors import BadOption
from composer.music.keys import ALL_KEYS, parse_key
from composer.music.score import TICKS_PER_QUARTER, TimeSignature, parse_time_signature
from composer.request import Request
from composer.tokens import bar_sections
from composer.tokens.vocabulary import BOS, EOS
from composer.types import Array, Column, MusicalState, Tokens

COUNTDOWN = 8
"""Number of bars, counted from the end, that announce the ending."""

TIME_SIGNATURES = (
    *("2/2", "3/2", "4/2", "1/4", "2/4", "3/4", "4/4", "5/4", "6/4", "7/4"),
    *("3/8", "4/8", "5/8", "6/8", "7/8", "9/8", "12/8"),
)
"""The default time signatures of a grid."""

BAR_CYCLE = 16
"""Bars are counted modulo this in a model's input: phrases of 2, 4, 8 and 16 bars all fit."""

KEY_COLUMN = 6
"""Index of the key among the columns of a model's input."""


class Slot:
    """The kind of token that comes next. Grammars add their own slots from `OWN` on."""

    TIME_SIGNATURE = 0
    KEY = 1
    UPBEAT = 2
    BAR = 3
    MOVE = 4  # a later position, or the bar line
    END = 5
    OWN = 6


class Field:
    """Columns of the shared part of a grammar's state. Steps count from the beginning of the piece."""

    TOKEN = 0
    SLOT = 1
    POSITION = 2  # last position in the bar, -1 before the first
    ORIGIN = 3  # first step of the bar, if it were whole
    NEXT = 4  # first step of the next bar
    LENGTH = 5  # of a bar in the current time signature
    UPBEAT = 6  # length of the pickup in steps
    BAR = 7  # 0 for the first, -1 before it
    COUNTDOWN = 8  # bars left, this one included; 0: not announced
    LEFT = 9  # whole bars that may still begin
    EXACT = 10  # whether LEFT is requested, and not only a limit
    FLOOR = 11  # step before which nothing may be added (the end of a primer), -1 for none
    TIME_SIGNATURE = 12  # token of the current time signature
    KEY = 13  # token of the key
    REQUESTED_SIGNATURE = 14  # token of the requested time signature, 0 for none
    REQUESTED_KEY = 15  # token of the requested key, 0 for none
    SECTION = 16  # bars left in the section, as `bar_sections` counts them; 0 on a grid without sections
    OWN = 17


@dataclass(frozen=True)
class Grid:
    """A grid of `steps_per_quarter` steps to a quarter note, and its time signatures; with `sections`, their tokens."""

    steps_per_quarter: int
    time_signatures: tuple[str, ...]
    sections: bool = False

    def __post_init__(self) -> None:
        """Refuse a grid on which a bar is not a whole number of steps."""
        if self.steps_per_quarter < 1 or TICKS_PER_QUARTER % self.steps_per_quarter:
            raise ValueError(
                f"steps_per_quarter must divide {TICKS_PER_QUARTER}, and {self.steps_per_quarter} does not"
            )
        if not self.time_signatures or len(set(self.time_signatures)) < len(self.time_signatures):
            raise ValueError("time_signatures must name at least one, and none twice")
        for text in self.time_signatures:
            if parse_time_signature(text).bar_ticks % self.step_ticks:
                raise ValueError(f"a bar of {text} has no whole number of steps at {self.steps_per_quarter} a quarter")

    @property
    def step_ticks(self) -> int:
        """Ticks in a step."""
        return TICKS_PER_QUARTER // self.steps_per_quarter

    def round_to_steps(self, ticks: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the step nearest to each of `ticks`, the later one of two."""
        return (ticks.astype(np.int64) + self.step_ticks // 2) // self.step_ticks

    @cached_property
    def signatures(self) -> tuple[TimeSignature, ...]:
        """The time signatures, parsed."""
        return tuple(parse_time_signature(text) for text in self.time_signatures)

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Index of each time signature."""
        return {name: index for index, name in enumerate(self.time_signatures)}

    @cached_property
    def bar_steps(self) -> NDArray[np.int64]:
        """Steps in a bar of each time signature."""
        return np.array([s.bar_ticks // self.step_ticks for s in self.signatures])

    @cached_property
    def beat_steps(self) -> NDArray[np.int64]:
        """Steps in a beat of each time signature, 1 at least."""
        return np.array([s.beat_ticks // self.step_ticks or 1 for s in self.signatures])

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The grid's tokens; a vocabulary begins with them."""
        steps = range(int(self.bar_steps.max()))
        return (
            "BOS_None",
            "EOS_None",
            *(f"TimeSignature_{text}" for text in self.time_signatures),
            *(f"Key_{key}" for key in ALL_KEYS),
            *(f"Upbeat_{step}" for step in steps),
            *("Bar_None" if left == 0 else f"Bar_{left}" for left in range(COUNTDOWN + 1)),
            *(f"Position_{step}" for step in steps),
            *(bar_sections.TOKENS if self.sections else ()),
        )

    @cached_property
    def first(self) -> dict[str, int]:
        """Id of the first token of each type."""
        types = [token.split("_")[0] for token in self.tokens]
        return {name: types.index(name) for name in dict.fromkeys(types)}

    @cached_property
    def last(self) -> dict[str, int]:
        """Id after the last token of each type."""
        types = [token.split("_")[0] for token in self.tokens]
        return {name: len(types) - types[::-1].index(name) for name in dict.fromkeys(types)}

    @cached_property
    def longest_bar(self) -> int:
        """Steps in the longest bar."""
        return int(self.bar_steps.max())

    def make_columns(self, vocabulary_size: int, slots: int) -> tuple[Column, ...]:
        """Return the input columns that `make_grid_inputs` fills."""
        return (
            Column("token", vocabulary_size, tokens=True),
            Column("slot", slots),
            Column("position", self.longest_bar + 1),
            Column("bar", BAR_CYCLE + 1),
            Column("countdown", COUNTDOWN + 1),
            Column("metre", vocabulary_size, tokens=True),
            Column("key", vocabulary_size, tokens=True),
            Column("upbeat", self.longest_bar + 1),
            Column("left", self.longest_bar + 1),
            *((Column("section", bar_sections.VALUES),) if self.sections else ()),
        )


# --- the grammar ------------------------------------------------------------------------------------------------------


def start(grid: Grid, request: Request, rows: int) -> NDArray[np.int64]:
    """Return the shared part of a state before the first token, (rows, Field.OWN)."""
    row = np.zeros(Field.OWN, dtype=np.int64)
    row[Field.TOKEN] = BOS
    row[Field.SLOT] = Slot.TIME_SIGNATURE
    row[Field.POSITION] = row[Field.BAR] = -1
    row[Field.LEFT] = request.most_bars if request.bars is None else request.bars
    row[Field.EXACT] = request.bars is not None
    row[Field.SECTION] = bar_sections.DUE if grid.sections else 0
    row[Field.FLOOR] = request.primer_ticks // grid.step_ticks if request.primer else -1
    if request.time_signature is not None:
        row[Field.REQUESTED_SIGNATURE] = _find_signature_token(grid, str(parse_time_signature(request.time_signature)))
    if request.key is not None:
        row[Field.REQUESTED_KEY] = grid.first["Key"] + parse_key(request.key).index
    return np.tile(row, (rows, 1))


def _find_signature_token(grid: Grid, text: str) -> int:
    if text not in grid.time_signatures:
        raise BadOption(f"this model has no bars of {text}; it has {', '.join(grid.time_signatures)}.")
    return grid.first["TimeSignature"] + grid.time_signatures.index(text)


def find_last_step(state: Array) -> Array:
    """Compute (B,) the step of the last position or bar line, -1 before the first."""
    xp = get_namespace(state)
    here = state[:, Field.ORIGIN] + state[:, Field.POSITION]
    return xp.maximum(here, xp.full_like(here, -1))


def is_before_primer_end(state: Array) -> Array:
    """Tell (B,) which rows have yet to reach the end of a primer in this bar; they may go nowhere else."""
    return (find_last_step(state) < state[:, Field.FLOOR]) & (state[:, Field.FLOOR] < state[:, Field.NEXT])


def can_add_notes(state: Array) -> Array:
    """Tell (B,) which rows are at a position that may have notes: not one before the end of a primer."""
    return (state[:, Field.SLOT] >= Slot.OWN) & (find_last_step(state) >= state[:, Field.FLOOR])


def mask_tokens(grid: Grid, state: Array, may_move: Array) -> Array:
    """Mask (B, G) the grid's G tokens that may come next; `may_move` (B,) are rows that may leave a position."""
    xp = get_namespace(state)
    slot, last_bar = state[:, Field.SLOT], state[:, Field.COUNTDOWN] == 1
    if is_all_false(may_move | (slot < Slot.OWN)):  # within a position: the most frequent case
        return np.zeros((len(state), len(grid.tokens)), dtype=bool)
    late = is_before_primer_end(state)
    leave = may_move & ~late
    end = (leave & last_bar) | (slot == Slot.END)
    bar = (leave & ~last_bar) | (slot == Slot.BAR)
    blocks = [
        xp.zeros_like(end)[:, None],  # BOS
        end[:, None],
        _mask_signatures(grid, state, leave & ~last_bar),
        _match_condition(state, Field.REQUESTED_KEY, grid.first["Key"], len(ALL_KEYS)) & (slot == Slot.KEY)[:, None],
        (slot == Slot.UPBEAT)[:, None] & (make_range(grid.longest_bar, state) < state[:, Field.LENGTH][:, None]),
        bar[:, None] & _mask_bars(grid, state),
        may_move[:, None] & _mask_positions(grid, state, late),
    ]
    if grid.sections:
        whole = count_whole_bars(state)
        is_first = state[:, Field.BAR] == -1
        blocks.append(bar[:, None] & bar_sections.mask_sections(state[:, Field.SECTION], whole, is_first))
    return xp.concat(blocks, axis=1)


def _match_condition(state: Array, field: int, first: int, count: int) -> Array:
    """Mask (B, count) the requested token, or all if none is requested."""
    requested = state[:, field][:, None]
    return (requested == 0) | (make_range(count, state) + first == requested)


def _mask_signatures(grid: Grid, state: Array, at_line: Array) -> Array:
    count, first = len(grid.signatures), grid.first["TimeSignature"]
    opening = (state[:, Field.SLOT] == Slot.TIME_SIGNATURE)[:, None] & _match_condition(
        state, Field.REQUESTED_SIGNATURE, first, count
    )
    # Later the time signature may change, unless one is requested, and not before a primer ends.
    change = (at_line & (state[:, Field.REQUESTED_SIGNATURE] == 0) & (state[:, Field.NEXT] >= state[:, Field.FLOOR]))[
        :, None
    ]
    return opening | (change & (make_range(count, state) + first != state[:, Field.TIME_SIGNATURE][:, None]))


def _mask_bars(grid: Grid, state: Array) -> Array:
    """Mask (B, COUNTDOWN + 1) the `Bar_k` that may begin the next bar."""
    xp = get_namespace(state)
    announced = make_range(COUNTDOWN + 1, state)
    countdown = state[:, Field.COUNTDOWN][:, None]
    left, section = _count_left(state)[:, None], state[:, Field.SECTION]
    far = left > COUNTDOWN
    exactly = xp.where(far, announced == 0, announced == left)
    at_most = xp.where(announced == 0, far, announced <= left)
    free = xp.where(state[:, Field.EXACT][:, None] == 1, exactly, at_most)
    if grid.sections:
        free = free & bar_sections.mask_endings(section, left[:, 0], _is_pickup_next(state), announced)
    allowed = xp.where(countdown > 0, announced == countdown - 1, free)
    return allowed & ~bar_sections.is_due(section)[:, None] if grid.sections else allowed


def _is_pickup_next(state: Array) -> Array:
    """Tell (B,) which rows begin with a pickup, which is the next bar."""
    return (state[:, Field.BAR] == -1) & (state[:, Field.UPBEAT] > 0)


def _count_left(state: Array) -> Array:
    """Count (B,) the bars that may still begin before the end is announced, the next one included.

    A pickup, and bars that begin before a primer ends, do not count towards the requested bars.
    """
    xp = get_namespace(state)
    return state[:, Field.LEFT] + xp.where(_is_pickup_next(state), 1, _count_primed(state, state[:, Field.NEXT]))


def _count_primed(state: Array, begin: Array) -> Array:
    """Count (B,) the bars from the step `begin` (B,) on that begin before a primer ends."""
    xp = get_namespace(state)
    length = xp.maximum(state[:, Field.LENGTH], xp.ones_like(begin))
    return xp.maximum(-((begin - state[:, Field.FLOOR]) // length), xp.zeros_like(begin))


def count_whole_bars(state: Array) -> Array:
    """Count (B,) the bars that may still begin, without a pickup."""
    xp, countdown = get_namespace(state), state[:, Field.COUNTDOWN]
    begin = xp.where(_is_pickup_next(state), state[:, Field.UPBEAT], state[:, Field.NEXT])
    return xp.where(countdown > 0, countdown - 1, state[:, Field.LEFT] + _count_primed(state, begin))


def _mask_positions(grid: Grid, state: Array, late: Array) -> Array:
    steps = make_range(grid.longest_bar, state)
    onward = (steps > state[:, Field.POSITION][:, None]) & (steps < state[:, Field.LENGTH][:, None])
    after_start = steps >= -state[:, Field.ORIGIN][:, None]  # a pickup has no beginning of the bar
    floor = (state[:, Field.FLOOR] - state[:, Field.ORIGIN])[:, None]
    return onward & after_start & (steps >= floor) & (~late[:, None] | (steps == floor))


def advance(grid: Grid, state: Array, tokens: Array) -> Array:
    """Return the shared part (B, Field.OWN) after `tokens` (B,).

    Grammars then set the slot after their own tokens, where it is not to stay as it was.
    """
    xp = get_namespace(state)
    ended = state[:, Field.SLOT] == Slot.END
    if is_all_false(ended | (tokens < len(grid.tokens))):
        return replace_column(state[:, : Field.OWN], Field.TOKEN, tokens)
    columns = [state[:, i] for i in range(Field.OWN)]
    old = list(columns)
    is_metre, is_key, is_upbeat, is_bar, is_position = kinds = _mark_kinds(grid, tokens)
    bar_steps = convert_like(grid.bar_steps, state)
    metre = xp.where(is_metre, tokens - grid.first["TimeSignature"], xp.zeros_like(tokens))
    columns[Field.TOKEN] = tokens
    columns[Field.TIME_SIGNATURE] = xp.where(is_metre, tokens, old[Field.TIME_SIGNATURE])
    columns[Field.LENGTH] = xp.where(is_metre, xp.take(bar_steps, metre), old[Field.LENGTH])
    columns[Field.KEY] = xp.where(is_key, tokens, old[Field.KEY])
    columns[Field.UPBEAT] = xp.where(is_upbeat, tokens - grid.first["Upbeat"], old[Field.UPBEAT])
    first_bar = old[Field.BAR] == -1
    short = is_bar & first_bar & (old[Field.UPBEAT] > 0)
    origin = xp.where(short, old[Field.UPBEAT] - old[Field.LENGTH], old[Field.NEXT])
    columns[Field.ORIGIN] = xp.where(is_bar, origin, old[Field.ORIGIN])
    columns[Field.NEXT] = xp.where(is_bar, origin + old[Field.LENGTH], old[Field.NEXT])
    columns[Field.BAR] = xp.where(is_bar, old[Field.BAR] + 1, old[Field.BAR])
    columns[Field.COUNTDOWN] = xp.where(is_bar, tokens - grid.first["Bar"], old[Field.COUNTDOWN])
    counted = is_bar & ~short & (old[Field.NEXT] >= old[Field.FLOOR])
    columns[Field.LEFT] = xp.where(counted, old[Field.LEFT] - 1, old[Field.LEFT])
    moved = xp.where(is_position, tokens - grid.first["Position"], old[Field.POSITION])
    columns[Field.POSITION] = xp.where(is_bar, xp.full_like(moved, -1), moved)
    slot = _find_slot(kinds, first_bar, old[Field.SLOT])
    if grid.sections:
        is_section = _is_section(grid, tokens)
        value = tokens - grid.first["Section"]
        columns[Field.SECTION] = bar_sections.advance_sections(old[Field.SECTION], value, is_section, is_bar & ~short)
        slot = xp.where(is_section, Slot.BAR, slot)
    columns[Field.SLOT] = xp.where(tokens == EOS, Slot.END, slot)
    return xp.where(ended[:, None], state[:, : Field.OWN], stack_columns(columns))


def _mark_kinds(grid: Grid, tokens: Array) -> tuple[Array, ...]:
    """Return masks (B,) of the tokens that are a time signature, a key, a pickup, a bar, a position."""
    return tuple(
        (tokens >= grid.first[name]) & (tokens < grid.last[name])
        for name in ("TimeSignature", "Key", "Upbeat", "Bar", "Position")
    )


def _is_section(grid: Grid, tokens: Array) -> Array:
    """Tell (B,) which tokens begin a section, on a grid that has them."""
    return (tokens >= grid.first["Section"]) & (tokens < grid.last["Section"])


def _find_slot(kinds: tuple[Array, ...], first_bar: Array, slot: Array) -> Array:
    """Return (B,) the slot after these tokens; `slot` after a token that is not the grid's."""
    is_metre, is_key, is_upbeat, is_bar, is_position = kinds
    xp = get_namespace(slot)
    slot = xp.where(is_metre, xp.where(first_bar, Slot.KEY, Slot.BAR), slot)
    slot = xp.where(is_key, Slot.UPBEAT, slot)
    slot = xp.where(is_upbeat, Slot.BAR, slot)
    slot = xp.where(is_bar, Slot.MOVE, slot)
    return xp.where(is_position, Slot.OWN, slot)


def compute_states(grid: Grid, tokens: Tokens) -> NDArray[np.int64]:
    """Compute the shared part (T, Field.OWN) of the state before each token of a piece without conditions.

    The result equals that of `advance`, token by token. Grammars then set the slot after their own tokens, where it
    is not to stay as it was.
    """
    tokens = shift_tokens(tokens)
    columns = list(np.repeat(start(grid, Request(), 1).T, len(tokens), axis=1))
    is_metre, is_key, is_upbeat, is_bar, is_position = kinds = _mark_kinds(grid, tokens)
    metre = np.where(is_metre, tokens - grid.first["TimeSignature"], 0)
    columns[Field.TOKEN] = tokens
    columns[Field.TIME_SIGNATURE] = carry_forward(tokens, is_metre, 0)
    columns[Field.LENGTH] = carry_forward(grid.bar_steps[metre], is_metre, 0)
    columns[Field.KEY] = carry_forward(tokens, is_key, 0)
    columns[Field.UPBEAT] = carry_forward(tokens - grid.first["Upbeat"], is_upbeat, 0)
    columns[Field.BAR] = np.cumsum(is_bar) - 1
    short = is_bar & (columns[Field.BAR] == 0) & (columns[Field.UPBEAT] > 0)
    steps = np.where(short, columns[Field.UPBEAT], columns[Field.LENGTH])
    columns[Field.NEXT] = np.cumsum(np.where(is_bar, steps, 0))
    columns[Field.ORIGIN] = carry_forward(columns[Field.NEXT] - columns[Field.LENGTH], is_bar, 0)
    columns[Field.COUNTDOWN] = carry_forward(tokens - grid.first["Bar"], is_bar, 0)
    columns[Field.LEFT] = columns[Field.LEFT] - np.cumsum(is_bar & ~short)
    moved = np.where(is_bar, -1, tokens - grid.first["Position"])
    columns[Field.POSITION] = carry_forward(moved, is_bar | is_position, -1)
    slot = _find_slot(kinds, columns[Field.BAR] == -1, columns[Field.SLOT])
    is_known = np.any(kinds, axis=0)
    if grid.sections:
        is_section = _is_section(grid, tokens)
        value = tokens - grid.first["Section"]
        columns[Field.SECTION] = bar_sections.compute_sections(value, is_section, is_bar & ~short)
        slot, is_known = np.where(is_section, Slot.BAR, slot), is_known | is_section
    columns[Field.SLOT] = carry_forward(slot, is_known, Slot.TIME_SIGNATURE)
    return np.stack(columns).T  # columns are contiguous, since they are read one by one


def shift_tokens(tokens: Tokens) -> Tokens:
    """Return (T,) the token before each token."""
    return np.concatenate([[BOS], tokens])[:-1]


def make_inputs(state: Array) -> Array:
    """Return (B, 9) the shared columns of a model's input.

    The last column is the number of steps left in the last bar, which the pickup completes to a whole bar. It is 0
    before that bar is announced.
    """
    xp = get_namespace(state)
    left = state[:, Field.LENGTH] - state[:, Field.UPBEAT] - xp.maximum(state[:, Field.POSITION], 0)
    columns = [
        state[:, Field.TOKEN],
        state[:, Field.SLOT],
        state[:, Field.POSITION] + 1,
        xp.where(state[:, Field.BAR] < 0, BAR_CYCLE, state[:, Field.BAR] % BAR_CYCLE),
        state[:, Field.COUNTDOWN],
        state[:, Field.TIME_SIGNATURE],
        state[:, Field.KEY],
        state[:, Field.UPBEAT],
        xp.where((state[:, Field.COUNTDOWN] == 1) & (left > 0), left, xp.zeros_like(left)),
    ]
    return stack_columns(columns)


def make_grid_inputs(grid: Grid, state: Array) -> Array:
    """Return (B, 9) the columns of `make_inputs`; with sections (B, 10), the last one the bars left in the section.

    That is 0 for an unknown length. The current bar counts; before the bar line of a section, and in a pickup, it is
    one more.
    """
    if not grid.sections:
        return make_inputs(state)
    xp, left = get_namespace(state), state[:, Field.SECTION]
    return xp.concat([make_inputs(state), xp.maximum(left, xp.zeros_like(left))[:, None]], axis=1)


def find_onset_step(state: Array) -> Array:
    """Compute (B,) the step at which the next note begins: the last position, or the beginning of the bar."""
    xp = get_namespace(state)
    nothing = xp.zeros_like(state[:, Field.ORIGIN])
    return xp.maximum(state[:, Field.ORIGIN] + xp.maximum(state[:, Field.POSITION], nothing), nothing)


def interpret(grid: Grid, state: Array, **own: Array) -> MusicalState:
    """Interpret the shared part of a state as music. `own` holds the grammar's fields of MusicalState.

    Those left out say that no pitch sounds, and that the next token is of no voice: `voice`, `sounding`, `shift`,
    `written` and `others`.
    """
    xp = get_namespace(state)
    step = find_onset_step(state)
    position = step - state[:, Field.ORIGIN]
    known = state[:, Field.TIME_SIGNATURE] != BOS
    metre = xp.where(known, state[:, Field.TIME_SIGNATURE] - grid.first["TimeSignature"], 0)
    beat = xp.take(convert_like(grid.beat_steps, state), metre)
    key = state[:, Field.KEY]
    zero, none = xp.zeros_like(key), xp.full_like(key, -1)
    silence = none[:, None]
    unpitched = {"voice": none, "sounding": silence, "shift": zero, "written": silence, "others": zero}
    return MusicalState(
        tick=step * grid.step_ticks,
        bar=state[:, Field.BAR],
        beat=position // beat,
        position=position * grid.step_ticks,
        upbeat=state[:, Field.UPBEAT] * grid.step_ticks,
        bar_ticks=state[:, Field.LENGTH] * grid.step_ticks,
        beat_ticks=xp.where(known, beat * grid.step_ticks, 0),
        bars_left=state[:, Field.COUNTDOWN],
        key=xp.where(key == BOS, -1, key - grid.first["Key"]),
        **(unpitched | own),
    )
