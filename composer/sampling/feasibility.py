"""Feasibility: constraints that contradict each other, found before the first draw.

Constraints are known by their masks alone. Each is asked for the notes that it admits on the beats of some bars and of
the last one, without any music before. If each admits some notes and all together none, they contradict each other.
Also, each is asked for the notes that it admits anywhere in a bar: a voice without any would be silent.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, RequestWarning
from composer.music.keys import ALL_KEYS, parse_key
from composer.music.merging import is_given
from composer.music.notes import none_struck, pitches
from composer.music.score import TimeSignature, parse_time_signature
from composer.request import Request
from composer.sampling.naming import culprits, leave, title
from composer.types import Constraint, Context, Facts, Span, Tokenizer

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]
Free = Callable[[Facts], Mask]

BARS = 64
"""Bars checked from the beginning."""

LAST_BARS, BLOCK = 16, 16
"""Bars that may be the last, if that is unknown; bars checked side by side."""


Wish = tuple[object, ...]
"""The conditions of a request that may contradict constraints."""


def check_wishes(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request, found: dict[Wish, Mask] | None = None
) -> Mask:
    """Mask (V,) the tokens allowed for a request: all but keys and time signatures with which the constraints conflict.

    Results are kept in `found`, for later requests. Raises BadOption, naming the constraints, if they admit no note
    somewhere. Warns with RequestWarning if they admit none of the requested key.
    """
    found = {} if found is None else found
    wish = (request.bars, request.time_signature, request.key, bool(request.primer))
    if wish not in found:
        found[wish] = _check(tokenizer, constraints, request)
    return found[wish]


def check_gaps(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request, given: Sequence[Span], upbeat: int
) -> None:
    """Check the free parts of a piece around fixed notes, with `upbeat` ticks before its first whole bar."""
    if not constraints or request.bars is None:
        return

    spans = given if tokenizer.meaning.has_voices else [span for span in given if span.track is None]

    def free(facts: Facts) -> Mask:
        places = zip(facts.voice.tolist(), (facts.tick + upbeat).tolist(), strict=True)
        return np.array([not is_given(spans, voice, tick) for voice, tick in places], dtype=bool)

    keys, bars = _keys(tokenizer, request), np.arange(min(request.bars, BARS))
    _left(tokenizer, constraints, request, keys, bars, 0, free)
    _left(tokenizer, constraints, request, keys, np.array([request.bars - 1]), 1, free)
    _audible(tokenizer, constraints, request, keys, free)


def _keys(tokenizer: Tokenizer, request: Request) -> Ints:
    """Return the indices of possible keys, -1 for none."""
    if request.key is not None:
        return np.array([parse_key(request.key).place])
    written = np.unique(tokenizer.meaning.key[tokenizer.meaning.key >= 0])
    return written if len(written) else np.array([-1])


def _check(tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request) -> Mask:
    meaning, keys = tokenizer.meaning, _keys(tokenizer, request)
    _left(tokenizer, constraints, request, _extremes(keys), np.arange(min(request.bars or BARS, BARS)), 0)
    last = np.array([request.bars - 1]) if request.bars and not request.primer else np.arange(LAST_BARS)
    for metre in _metres(tokenizer, request):
        keys = _left(tokenizer, constraints, replace(request, time_signature=metre), keys, last, 1)
    keys, metres = _audible(tokenizer, constraints, request, keys)
    if request.key is not None:
        _warn_of_key(tokenizer, constraints, request)
    named = meaning.mark_time_signatures(metres)
    may = (meaning.key < 0) | np.isin(meaning.key, keys)
    return may & (~meaning.is_time_signature | named | (request.time_signature is not None))


def _extremes(keys: Ints) -> Ints:
    """Select the first key, and those with the lowest and the highest tonic: all other ranges lie between."""
    homes = [ALL_KEYS[key].home for key in keys]
    return keys[np.unique([0, int(np.argmin(homes)), int(np.argmax(homes))])]


def _metres(tokenizer: Tokenizer, request: Request) -> tuple[str, ...]:
    """Return the requested time signature, or two: the last strong beat of a bar is its first or its middle."""
    if request.time_signature is not None:
        return (request.time_signature,)
    known = tokenizer.meaning.time_signatures
    return tuple(metre for metre in ("4/4", "3/4") if metre in known) or known[:2] or ("4/4",)


def _metre(request: Request) -> TimeSignature:
    return TimeSignature(0, 4, 4) if request.time_signature is None else parse_time_signature(request.time_signature)


def _left(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: Ints,
    bars: Ints,
    bars_left: int,
    free: Free | None = None,
) -> Ints:
    """Keep the keys in which every `free` beat of these bars admits a note. Raises BadOption if no key is left.

    Beats at which one constraint alone admits nothing are skipped: it demands a rest.
    """
    for start in range(0, len(bars), BLOCK):
        part = bars[start : start + BLOCK]
        context = _places(tokenizer, constraints, request, keys, part, _beats(request), bars_left)
        masks = [constraint.mask(context) & context.allowed for constraint in constraints]
        alone = np.all([mask.any(axis=1) for mask in masks], axis=0)
        empty = alone & ~np.all(masks, axis=0).any(axis=1)
        if free is not None and empty.any():
            empty &= free(context.facts)
        by_key = empty.reshape(len(keys), -1).any(axis=1)
        if by_key.all():
            row = int(np.flatnonzero(empty)[0])
            raise BadOption(_sentence(constraints, [mask[row] for mask in masks], context, row, request))
        keys = keys[~by_key]
    return keys


def _beats(request: Request) -> Ints:
    """List the beats of a bar, in ticks."""
    metre = _metre(request)
    return np.arange(max(metre.bar_ticks // metre.beat_ticks, 1)) * metre.beat_ticks


def _places(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: Ints,
    bars: Ints,
    places: Ints,
    bars_left: int,
) -> Context:
    """Build the context of every key, bar, position (in ticks) and voice, in this order, with only notes allowed."""
    meaning, begun = tokenizer.meaning, tokenizer.grammar.facts(tokenizer.grammar.start(request, 1))
    metre = _metre(request)
    voices = np.arange(len(meaning.voices)) if meaning.has_voices else np.array([-1])
    key, bar, place, voice = (part.ravel() for part in np.meshgrid(keys, bars, places, voices, indexing="ij"))
    rows, zeros = len(key), np.zeros(len(key), dtype=np.int64)
    homes = np.array([known.home for known in ALL_KEYS])
    in_key = meaning.is_relative
    facts = Facts(
        tick=bar * metre.bar_ticks + place,
        bar=bar,
        beat=place // metre.beat_ticks,
        voice=voice,
        sounding=np.full((rows, begun.sounding.shape[1]), -1),
        shift=homes[np.maximum(key, 0)] if in_key else zeros,
        place=place,
        upbeat=zeros,
        bar_ticks=zeros + metre.bar_ticks,
        beat_ticks=zeros + metre.beat_ticks,
        bars_left=zeros + bars_left,
        key=key,
        written=np.full((rows, begun.written.shape[1]), -1),
        others=zeros,
    )
    pitched = np.broadcast_to(meaning.pitch >= 0, (rows, len(meaning.pitch)))
    lookback = max((getattr(constraint, "lookback", 0) for constraint in constraints), default=0)
    return Context(zeros, facts, meaning, np.full((rows, 1), -1), pitched, none_struck(rows, lookback))


def _sentence(
    constraints: Sequence[Constraint], masks: Sequence[Mask], context: Context, row: int, request: Request
) -> str:
    """Name the constraints that together allow nothing, and the beat; two of them if two suffice."""
    titles = [title(constraints[number], request) for number in culprits(masks)]
    facts, meaning = context.facts, context.meaning
    voice = f" for {meaning.voices[facts.voice[row]]}" if meaning.has_voices and len(meaning.voices) > 1 else ""
    last = "the last bar" if facts.bars_left[row] else f"bar {facts.bar[row] + 1}"
    if facts.bars_left[row] and (request.bars is None or request.primer):
        last = f"bar {facts.bar[row] + 1}, if that is the last; ask for --bars, or loosen one of them"
    place = f"on beat {facts.beat[row] + 1} of {last}"
    return f"{leave(titles)} no note{voice} {place}."


# --- silence ----------------------------------------------------------------------------------------------------------


def _audible(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request, keys: Ints, free: Free | None = None
) -> tuple[Ints, list[str]]:
    """Keep the keys and time signatures in which every voice that is `free` somewhere can have a note.

    Raises BadOption if there is none. Only voices that hold and rest are checked.
    """
    metres = [request.time_signature] if request.time_signature else [*tokenizer.meaning.time_signatures] or ["4/4"]
    if not np.any(tokenizer.meaning.place >= 0) or not tokenizer.meaning.has_voices:
        return keys, metres
    heard = {metre: _heard(tokenizer, constraints, request, _extremes(keys), metre, free) for metre in metres}
    kept = [metre for metre in metres if heard[metre].any()]
    if not kept:
        raise BadOption(_of_silence(tokenizer, constraints, replace(request, time_signature=metres[0]), keys, free))
    return keys[_heard(tokenizer, constraints, request, keys, kept[0], free)], kept


def _heard(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: Ints,
    metre: str,
    free: Free | None,
) -> Mask:
    """Mask (K,) the keys in which every voice can have a note in a bar of this time signature."""
    request = replace(request, time_signature=metre)
    for places in (_beats(request), _all_places(tokenizer, request)):
        found = _of_bar(tokenizer, constraints, request, keys, places, free)
        heard = np.all(np.any(np.all(found, axis=0), axis=2), axis=1)
        if heard.all():
            break
    return heard


def _all_places(tokenizer: Tokenizer, request: Request) -> Ints:
    """List the positions in a bar at which notes may begin, in ticks."""
    place = tokenizer.meaning.place
    return np.unique(place[(place >= 0) & (place < _metre(request).bar_ticks)])


def _of_bar(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: Ints,
    places: Ints,
    free: Free | None,
) -> Mask:
    """Mask (constraints, K, voices, positions times tokens) the notes admitted in a bar; all notes of a fixed voice."""
    context = _places(tokenizer, constraints, request, keys, np.array([0]), places, 0)
    masks = np.array([constraint.mask(context) & context.allowed for constraint in constraints])
    masks = masks.reshape(len(constraints), len(keys), len(places), -1, masks.shape[-1])
    masks = np.moveaxis(masks, 2, 3).reshape(len(constraints), len(keys), masks.shape[3], -1)
    if free is not None:
        everywhere = _places(tokenizer, (), request, keys[:1], np.arange(min(request.bars or 1, BARS)), places, 0)
        masks[:, :, ~free(everywhere.facts).reshape(-1, masks.shape[2]).any(axis=0)] = True
    return masks


def _of_silence(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request, keys: Ints, free: Free | None
) -> str:
    """Name the constraints that silence a voice."""
    masks = _of_bar(tokenizer, constraints, request, keys[:1], _all_places(tokenizer, request), free)[:, 0]
    voice = int(np.flatnonzero(~np.any(np.all(masks, axis=0), axis=1))[0])
    titles = [title(constraints[number], request) for number in culprits(list(masks[:, voice]))]
    voices = tokenizer.meaning.voices
    place = f" in a bar of {request.time_signature}" if tokenizer.meaning.time_signatures else ""
    return f"{leave(titles)} not a note{f' for {voices[voice]}' if len(voices) > 1 else ''} anywhere{place}."


# --- the key ----------------------------------------------------------------------------------------------------------


def _warn_of_key(tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request) -> None:
    """Warn of the first beat on which the constraints allow notes, but none of the requested key."""
    keys, bars = _keys(tokenizer, request), np.arange(min(request.bars or BLOCK, BLOCK))
    context = _places(tokenizer, constraints, request, keys, bars, _beats(request), 0)
    key = ALL_KEYS[int(keys[0])]
    own = np.isin((pitches(context.meaning, context.facts) - key.tonic) % 12, key.scale)
    masks = [constraint.mask(context) & context.allowed for constraint in constraints]
    left = np.all(masks, axis=0)
    outside = np.flatnonzero(left.any(axis=1) & ~(left & own).any(axis=1))
    if len(outside):
        row = int(outside[0])
        titles = [title(constraints[number], request) for number in culprits([mask[row] & own[row] for mask in masks])]
        place = f"on beat {context.facts.beat[row] + 1} of bar {context.facts.bar[row] + 1}"
        text = f"{leave(titles)} no note of the key {key} {place}: what is written there is outside the key."
        warnings.warn(text, RequestWarning, stacklevel=2)
