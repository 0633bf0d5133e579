"""Warnings: notes of a primer or of a piece that break a constraint without memory, and stay."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.errors import RequestWarning
from composer.music.keys import name_pitch
from composer.music.score import Score
from composer.request import Request
from composer.sampling.batch_state import find_history, find_lookback
from composer.sampling.feasibility import get_bar_number, name_sampler
from composer.sampling.memory import list_memoryless
from composer.tokens.vocabulary import make_recent_notes, update_recent_notes
from composer.tokens.yielding import list_firm
from composer.types import Constraint, Context, RecentNotes, Sampler, Span, Tokenizer, Tokens

Mask = NDArray[np.bool_]


def warn_of_primer(tokenizer: Tokenizer, samplers: Sequence[Sampler], request: Request) -> None:
    """Warn with RequestWarning of each constraint that the primer breaks, naming the first such note."""
    _warn(tokenizer, samplers, request, np.array(request.primer), "the primer", None)


def warn_of_fixed_notes(
    tokenizer: Tokenizer, samplers: Sequence[Sampler], request: Request, quantised: Score, spans: Sequence[Span]
) -> None:
    """Warn with RequestWarning of each constraint that the fixed notes of `quantised` break."""
    if any(isinstance(sampler, Constraint) for sampler in samplers):
        _warn(tokenizer, samplers, request, tokenizer.encode(quantised), "what is given", (quantised, spans))


def _warn(
    tokenizer: Tokenizer,
    samplers: Sequence[Sampler],
    request: Request,
    tokens: Tokens,
    what: str,
    given: tuple[Score, Sequence[Span]] | None,
) -> None:
    constraints = list_firm(list_memoryless([sampler for sampler in samplers if isinstance(sampler, Constraint)]))
    notes = np.flatnonzero(tokenizer.token_info.pitch[tokens] >= 0)
    if not constraints or not len(notes):
        return
    states, recent_notes = _walk(tokenizer, request, tokens, find_lookback(samplers))
    if given is not None:
        notes = notes[_mask_forced(tokenizer, states[notes], *given)]
    music, allowed = tokenizer.grammar.interpret(states[notes]), tokenizer.grammar.mask(states[notes])
    past = RecentNotes(recent_notes.tick[notes], recent_notes.pitch[notes], recent_notes.voice[notes])
    history = _list_history(tokens, notes, find_history(constraints))
    context = Context(notes, music, tokenizer.token_info, history, allowed, past)
    pitched = allowed & (tokenizer.token_info.pitch >= 0)
    for constraint in constraints:
        mask = constraint.mask(context)
        # A chord symbol that is due before a note does not speak against the note.
        is_asked = (mask & pitched).any(axis=1) | (not tokenizer.token_info.has_chords)
        broken = np.flatnonzero(is_asked & ~mask[np.arange(len(notes)), tokens[notes]])
        if len(broken):
            name, first = (
                name_sampler(constraint, request),
                _format_note(context, int(broken[0]), int(tokens[notes[broken[0]]])),
            )
            text = f"{name} holds for new notes alone; {what} breaks it and stays: first {first}."
            warnings.warn(text, RequestWarning, stacklevel=2)


def _list_history(tokens: Tokens, places: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """List (N, count) the tokens before each place, oldest first; -1 where there is none."""
    padded = np.concatenate([np.full(count, -1), tokens])
    return padded[places[:, None] + np.arange(count)]


def _walk(tokenizer: Tokenizer, request: Request, tokens: Tokens, back: int) -> tuple[NDArray[np.int64], RecentNotes]:
    """Compute (T, S) the grammar's state before each token, and the recent notes there."""
    grammar, recent_notes = tokenizer.grammar, make_recent_notes(1, back)
    state, states, past = grammar.start(request, 1), [], []
    for token in tokens:
        states.append(state)
        past.append(recent_notes)
        recent_notes = (
            update_recent_notes(recent_notes, grammar.interpret(state), tokenizer.token_info, np.array([token]))
            if back
            else recent_notes
        )
        state = grammar.advance(state, np.array([token]))
    columns = ([getattr(one, name) for one in past] for name in ("tick", "pitch", "voice"))
    return np.concatenate(states), RecentNotes(*map(np.concatenate, columns))


def _mask_forced(tokenizer: Tokenizer, states: NDArray[np.int64], quantised: Score, spans: Sequence[Span]) -> Mask:
    """Mask (N,) the states in which the fixed notes leave one note alone."""
    mask = tokenizer.grammar.fix_notes(quantised, spans)(states) & tokenizer.grammar.mask(states)
    forced: Mask = np.sum(mask & (tokenizer.token_info.pitch >= 0), axis=1) == 1
    return forced


def _format_note(context: Context, row: int, token: int) -> str:
    """Format a note, such as `C5 of Soprano on beat 2 of bar 3`."""
    music, token_info = context.music, context.token_info
    voice = f" of {token_info.voices[music.voice[row]]}" if token_info.has_voices and len(token_info.voices) > 1 else ""
    pitch = name_pitch(int(token_info.pitch[token] + music.shift[row]))
    return f"{pitch}{voice} on beat {int(music.beat[row]) + 1} of bar {get_bar_number(music, row)}"
