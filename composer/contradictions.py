"""Wishes that cannot be met together, found before anything is drawn; it knows constraints by their masks alone.

Every constraint is asked which notes it admits on each beat of some bars and of the last one, where nothing was
written before. Where each admits some and all together none, they contradict each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, printable
from composer.keys import ALL_KEYS, parse_key
from composer.notes import none_struck
from composer.request import Request
from composer.score import TimeSignature, parse_time_signature
from composer.types import Constraint, Context, Facts, Tokenizer

Mask = NDArray[np.bool_]

BARS = 16
"""Bars from the beginning that are looked at."""


def check_wishes(tokenizer: Tokenizer, constraints: Sequence[Constraint], requests: Sequence[Request]) -> Mask:
    """(R, V) the tokens that each request may have: all but those of keys in which the constraints leave no ending.

    Raises BadOption, naming the constraints, if they leave no note at some place.
    """
    found: dict[tuple[object, ...], Mask] = {}
    masks = []
    for request in requests:
        asked = (request.bars, request.time_signature, request.key, bool(request.primer))
        if asked not in found:
            found[asked] = _check(tokenizer, constraints, request)
        masks.append(found[asked])
    return np.array(masks)


def _check(tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request) -> Mask:
    meaning = tokenizer.meaning
    written = np.unique(meaning.key[meaning.key >= 0])
    keys = np.array([parse_key(request.key).place]) if request.key is not None else written
    if not len(keys):
        keys = np.array([-1])
    homes = [ALL_KEYS[key].home for key in keys]
    extremes = keys[np.unique([0, int(np.argmin(homes)), int(np.argmax(homes))])]  # what is in reach lies between
    _left(tokenizer, constraints, request, extremes, np.arange(min(request.bars or BARS, BARS)), 0)
    last = np.array([request.bars - 1]) if request.bars and not request.primer else np.arange(BARS)
    for metre in _metres(tokenizer, request):
        keys = _left(tokenizer, constraints, replace(request, time_signature=metre), keys, last, 1)
    return (meaning.key < 0) | np.isin(meaning.key, keys)


def _metres(tokenizer: Tokenizer, request: Request) -> tuple[str, ...]:
    """The time signature that is asked for, or two: the last strong beat of a bar is its first or its middle."""
    if request.time_signature is not None:
        return (request.time_signature,)
    kinds = (token.partition("_") for token in tokenizer.vocabulary)
    known = [value for kind, _, value in kinds if kind == "TimeSignature"]
    return tuple([metre for metre in ("4/4", "3/4") if metre in known] or known[:2] or ["4/4"])


def _left(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: NDArray[np.int64],
    bars: NDArray[np.int64],
    bars_left: int,
) -> NDArray[np.int64]:
    """Those of the keys in which a note is left on every beat of these bars. Raises BadOption if there is none."""
    lookback = max((getattr(constraint, "lookback", 0) for constraint in constraints), default=0)
    context = _places(tokenizer, request, keys, bars, bars_left)
    context = replace(context, struck=none_struck(len(context.step), lookback))
    masks = [constraint.mask(context) & context.allowed for constraint in constraints]
    alone = np.all([mask.any(axis=1) for mask in masks], axis=0)
    empty = alone & ~np.all(masks, axis=0).any(axis=1)
    by_key = empty.reshape(len(keys), -1).any(axis=1)
    if by_key.all():
        row = int(np.flatnonzero(empty)[0])
        raise BadOption(_sentence(constraints, [mask[row] for mask in masks], context, row, request))
    return keys[~by_key]


def _places(
    tokenizer: Tokenizer, request: Request, keys: NDArray[np.int64], bars: NDArray[np.int64], bars_left: int
) -> Context:
    """The context of every key, bar, beat and voice, in this order, with notes alone allowed."""
    meaning, begun = tokenizer.meaning, tokenizer.grammar.facts(tokenizer.grammar.start(request, 1))
    metre = TimeSignature(0, 4, 4) if request.time_signature is None else parse_time_signature(request.time_signature)
    beats = np.arange(max(metre.bar_ticks // metre.beat_ticks, 1))
    voices = np.arange(len(meaning.voices)) if meaning.voices else np.array([-1])
    key, bar, beat, voice = (part.ravel() for part in np.meshgrid(keys, bars, beats, voices, indexing="ij"))
    rows, zeros = len(key), np.zeros(len(key), dtype=np.int64)
    homes = np.array([known.home for known in ALL_KEYS])
    in_key = "Tone" in meaning.kind
    facts = Facts(
        tick=bar * metre.bar_ticks + beat * metre.beat_ticks,
        bar=bar,
        beat=beat,
        voice=voice,
        sounding=np.full((rows, begun.sounding.shape[1]), -1),
        shift=homes[np.maximum(key, 0)] if in_key else zeros,
        place=beat * metre.beat_ticks,
        upbeat=zeros,
        bar_ticks=zeros + metre.bar_ticks,
        beat_ticks=zeros + metre.beat_ticks,
        bars_left=zeros + bars_left,
        key=key,
        written=np.full((rows, begun.written.shape[1]), -1),
        others=zeros,
    )
    pitched = np.broadcast_to(meaning.pitch >= 0, (rows, len(meaning.pitch)))
    return Context(zeros, facts, meaning, np.full((rows, 1), -1), pitched, none_struck(rows, 0))


def _sentence(
    constraints: Sequence[Constraint], masks: Sequence[Mask], context: Context, row: int, request: Request
) -> str:
    """Which constraints leave nothing, and where: two of them where two are enough."""
    pairs = ((a, b) for b in range(len(masks)) for a in range(b) if not np.any(masks[a] & masks[b]))
    chosen = next(pairs, tuple(range(len(masks))))
    names = [_named(constraints[number]) for number in chosen]
    facts, meaning = context.facts, context.meaning
    voice = f" for {meaning.voices[facts.voice[row]]}" if len(meaning.voices) > 1 else ""
    last = "the last bar" if facts.bars_left[row] else f"bar {facts.bar[row] + 1}"
    if facts.bars_left[row] and (request.bars is None or request.primer):
        last = f"bar {facts.bar[row] + 1}, if that is the last; ask for --bars, or loosen one of them"
    place = f"on beat {facts.beat[row] + 1} of {last}"
    return f"{', '.join(names[:-1])} and {names[-1]} together leave no note{voice} {place}."


def _named(constraint: Constraint) -> str:
    """`scale 'D dorian'`: the constraint and its first option."""
    value = getattr(constraint, fields(constraint)[0].name)  # type: ignore[arg-type]
    name = type(constraint).__name__.lower()
    return name if isinstance(value, bool) else f"{name} '{printable(str(value))}'"
