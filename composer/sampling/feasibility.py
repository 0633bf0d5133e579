"""Feasibility: constraints that contradict each other, found before the first draw.

Constraints are known by their masks alone. Each is asked for the notes that it admits on the beats of some bars and of
the last one, without any music before. If each admits some notes and all together none, they contradict each other.
Also, each is asked for the notes that it admits anywhere in a bar: a voice without any would be silent. Constraints
with memory are not asked, nor is any where only a state tells what a token sounds (`TokenInfo.names_pitches`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadOption, RequestWarning, printable
from composer.music.keys import ALL_KEYS, parse_key
from composer.music.merging import is_fixed
from composer.music.score import TimeSignature, parse_time_signature
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.sampling.batch_state import find_history, find_lookback
from composer.sampling.memory import list_memoryless, unbind
from composer.tokens.vocabulary import compute_pitches, make_recent_notes
from composer.tokens.yielding import list_firm
from composer.types import Constraint, Context, MusicalState, Sampler, Span, Tokenizer

# --- contradictions ---------------------------------------------------------------------------------------------------


Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]
Free = Callable[[MusicalState], Mask]

BARS = 64
"""Bars checked from the beginning."""

LAST_BARS, BLOCK = 16, 16
"""Bars that may be the last, if that is unknown; bars checked side by side."""

ConditionKey = tuple[object, ...]
"""The conditions of a request that may contradict constraints."""


def check_request(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    found: dict[ConditionKey, Mask] | None = None,
) -> Mask:
    """Mask (V,) the tokens allowed for a request: all but keys and time signatures with which the constraints conflict.

    Results are kept in `found`, for later requests. Raises BadOption, naming the constraints, if they admit no note
    somewhere. Warns with RequestWarning if they admit none of the requested key.
    """
    found = {} if found is None else found
    conditions = (request.bars, request.time_signature, request.key, bool(request.primer))
    if conditions not in found:
        asked, firm = _Asked(conditions, request), tuple(list_firm(list_memoryless(constraints)))
        is_known = _is_hashable((tokenizer, firm))
        found[conditions] = (_check_once if is_known else _check)(tokenizer, firm, asked)
        if request.key is not None and firm and tokenizer.token_info.names_pitches:
            _warn_of_key(tokenizer, firm, request)
    return found[conditions]


@dataclass(frozen=True)
class _Asked:
    """A request, equal to others with the same conditions."""

    conditions: ConditionKey
    request: Request = field(compare=False)


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def check_gaps(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request, given: Sequence[Span], upbeat: int
) -> None:
    """Check the free parts of a piece around fixed notes, with `upbeat` ticks before its first whole bar."""
    constraints = list_firm(list_memoryless(constraints))
    if not constraints or request.bars is None or not tokenizer.token_info.names_pitches:
        return
    spans = given if tokenizer.token_info.has_voices else [span for span in given if span.track is None]

    def is_free(music: MusicalState) -> Mask:
        places = zip(music.voice.tolist(), (music.tick + upbeat).tolist(), strict=True)
        return np.array([not is_fixed(spans, voice, tick) for voice, tick in places], dtype=bool)

    keys, bars = _list_keys(tokenizer, request), np.arange(min(request.bars, BARS))
    _filter_keys(tokenizer, constraints, request, keys, bars, 0, is_free)
    _filter_keys(tokenizer, constraints, request, keys, np.array([request.bars - 1]), 1, is_free)
    _filter_audible(tokenizer, constraints, request, keys, is_free)


def _list_keys(tokenizer: Tokenizer, request: Request) -> Ints:
    """Return the indices of possible keys, -1 for none."""
    if request.key is not None:
        return np.array([parse_key(request.key).index])
    written = np.unique(tokenizer.token_info.key[tokenizer.token_info.key >= 0])
    return written if len(written) else np.array([-1])


def _check(tokenizer: Tokenizer, constraints: Sequence[Constraint], asked: _Asked) -> Mask:
    request = asked.request
    token_info, keys = tokenizer.token_info, _list_keys(tokenizer, request)
    if not constraints or not token_info.names_pitches:
        return np.ones(len(token_info.kind), dtype=bool)
    _filter_keys(tokenizer, constraints, request, _select_extremes(keys), np.arange(min(request.bars or BARS, BARS)), 0)
    last = np.array([request.bars - 1]) if request.bars and not request.primer else np.arange(LAST_BARS)
    for metre in _list_time_signatures(tokenizer, request):
        keys = _filter_keys(tokenizer, constraints, replace(request, time_signature=metre), keys, last, 1)
    keys, metres = _filter_audible(tokenizer, constraints, request, keys)
    named = token_info.mark_time_signatures(metres)
    may = (token_info.key < 0) | np.isin(token_info.key, keys)
    return may & (~token_info.is_time_signature | named | (request.time_signature is not None))


_check_once: Callable[..., Mask] = lru_cache(maxsize=64)(_check)
"""The same, for requests that come again: an answer takes longer than fifty steps of a small network."""


def _select_extremes(keys: Ints) -> Ints:
    """Select the first key, and those with the lowest and the highest tonic: all other ranges lie between."""
    homes = [ALL_KEYS[key].tonic_offset for key in keys]
    return keys[np.unique([0, int(np.argmin(homes)), int(np.argmax(homes))])]


def _list_time_signatures(tokenizer: Tokenizer, request: Request) -> tuple[str, ...]:
    """Return the requested time signature, or two: the last strong beat of a bar is its first or its middle."""
    if request.time_signature is not None:
        return (request.time_signature,)
    known = tokenizer.token_info.time_signatures
    return tuple(metre for metre in ("4/4", "3/4") if metre in known) or known[:2] or ("4/4",)


def _get_time_signature(request: Request) -> TimeSignature:
    return TimeSignature(0, 4, 4) if request.time_signature is None else parse_time_signature(request.time_signature)


def _filter_keys(
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
        context = _build_contexts(tokenizer, constraints, request, keys, part, _list_beats(request), bars_left)
        masks = [constraint.mask(context) & context.allowed for constraint in constraints]
        alone = np.all([mask.any(axis=1) for mask in masks], axis=0)
        empty = alone & ~np.all(masks, axis=0).any(axis=1)
        if free is not None and empty.any():
            empty &= free(context.music)
        by_key = empty.reshape(len(keys), -1).any(axis=1)
        if by_key.all():
            row = int(np.flatnonzero(empty)[0])
            raise BadOption(_describe_conflict(constraints, [mask[row] for mask in masks], context, row, request))
        keys = keys[~by_key]
    return keys


def _list_beats(request: Request) -> Ints:
    """List the beats of a bar, in ticks."""
    metre = _get_time_signature(request)
    return np.arange(max(metre.bar_ticks // metre.beat_ticks, 1)) * metre.beat_ticks


def _build_contexts(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: Ints,
    bars: Ints,
    places: Ints,
    bars_left: int,
) -> Context:
    """Build the context of every key, bar, position (in ticks) and voice, in this order, with only notes allowed."""
    token_info, begun = tokenizer.token_info, tokenizer.grammar.interpret(tokenizer.grammar.start(request, 1))
    metre = _get_time_signature(request)
    voices = np.arange(len(token_info.voices)) if token_info.has_voices else np.array([-1])
    key, bar, place, voice = (part.ravel() for part in np.meshgrid(keys, bars, places, voices, indexing="ij"))
    rows, zeros = len(key), np.zeros(len(key), dtype=np.int64)
    homes = np.array([known.tonic_offset for known in ALL_KEYS])
    in_key = token_info.is_relative
    music = MusicalState(
        tick=bar * metre.bar_ticks + place,
        bar=bar,
        beat=place // metre.beat_ticks,
        voice=voice,
        sounding=np.full((rows, begun.sounding.shape[1]), -1),
        shift=homes[np.maximum(key, 0)] if in_key else zeros,
        position=place,
        upbeat=zeros,
        bar_ticks=zeros + metre.bar_ticks,
        beat_ticks=zeros + metre.beat_ticks,
        bars_left=zeros + bars_left,
        key=key,
        written=np.full((rows, begun.written.shape[1]), -1),
        others=zeros,
    )
    pitched = np.broadcast_to(token_info.pitch >= 0, (rows, len(token_info.pitch)))
    history, recent_notes = find_history(constraints), make_recent_notes(rows, find_lookback(constraints))
    return Context(zeros, music, token_info, np.full((rows, history), -1), pitched, recent_notes)


def _describe_conflict(
    constraints: Sequence[Constraint], masks: Sequence[Mask], context: Context, row: int, request: Request
) -> str:
    """Name the constraints that together allow nothing, and the beat; two of them if two suffice."""
    titles = [name_sampler(constraints[number], request) for number in find_conflict(masks)]
    music, token_info = context.music, context.token_info
    voice = (
        f" for {token_info.voices[music.voice[row]]}" if token_info.has_voices and len(token_info.voices) > 1 else ""
    )
    last = "the last bar" if music.bars_left[row] else f"bar {music.bar[row] + 1}"
    if music.bars_left[row] and (request.bars is None or request.primer):
        last = f"bar {music.bar[row] + 1}, if that is the last; ask for --bars, or loosen one of them"
    place = f"on beat {music.beat[row] + 1} of {last}"
    return f"{begin_sentence(titles)} no note{voice} {place}."


# --- silence ----------------------------------------------------------------------------------------------------------


def _filter_audible(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request, keys: Ints, free: Free | None = None
) -> tuple[Ints, list[str]]:
    """Keep the keys and time signatures in which every voice that is `free` somewhere can have a note.

    Raises BadOption if there is none. Only voices that hold and rest are checked.
    """
    metres = [request.time_signature] if request.time_signature else [*tokenizer.token_info.time_signatures] or ["4/4"]
    if not np.any(tokenizer.token_info.position >= 0) or not tokenizer.token_info.has_voices:
        return keys, metres
    heard = {
        metre: _mask_audible_keys(tokenizer, constraints, request, _select_extremes(keys), metre, free)
        for metre in metres
    }
    kept = [metre for metre in metres if heard[metre].any()]
    if not kept:
        raise BadOption(
            _describe_silence(tokenizer, constraints, replace(request, time_signature=metres[0]), keys, free)
        )
    return keys[_mask_audible_keys(tokenizer, constraints, request, keys, kept[0], free)], kept


def _mask_audible_keys(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: Ints,
    metre: str,
    free: Free | None,
) -> Mask:
    """Mask (K,) the keys in which every voice can have a note in a bar of this time signature."""
    request = replace(request, time_signature=metre)
    for places in (_list_beats(request), _list_positions(tokenizer, request)):
        found = _mask_bar(tokenizer, constraints, request, keys, places, free)
        heard = np.all(np.any(np.all(found, axis=0), axis=2), axis=1)
        if heard.all():
            break
    return heard


def _list_positions(tokenizer: Tokenizer, request: Request) -> Ints:
    """List the positions in a bar at which notes may begin, in ticks."""
    place = tokenizer.token_info.position
    return np.unique(place[(place >= 0) & (place < _get_time_signature(request).bar_ticks)])


def _mask_bar(
    tokenizer: Tokenizer,
    constraints: Sequence[Constraint],
    request: Request,
    keys: Ints,
    places: Ints,
    free: Free | None,
) -> Mask:
    """Mask (constraints, K, voices, positions times tokens) the notes admitted in a bar; all notes of a fixed voice."""
    context = _build_contexts(tokenizer, constraints, request, keys, np.array([0]), places, 0)
    masks = np.array([constraint.mask(context) & context.allowed for constraint in constraints])
    masks = masks.reshape(len(constraints), len(keys), len(places), -1, masks.shape[-1])
    masks = np.moveaxis(masks, 2, 3).reshape(len(constraints), len(keys), masks.shape[3], -1)
    if free is not None:
        everywhere = _build_contexts(
            tokenizer, (), request, keys[:1], np.arange(min(request.bars or 1, BARS)), places, 0
        )
        masks[:, :, ~free(everywhere.music).reshape(-1, masks.shape[2]).any(axis=0)] = True
    return masks


def _describe_silence(
    tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request, keys: Ints, free: Free | None
) -> str:
    """Name the constraints that silence a voice."""
    masks = _mask_bar(tokenizer, constraints, request, keys[:1], _list_positions(tokenizer, request), free)[:, 0]
    voice = int(np.flatnonzero(~np.any(np.all(masks, axis=0), axis=1))[0])
    titles = [name_sampler(constraints[number], request) for number in find_conflict(list(masks[:, voice]))]
    voices = tokenizer.token_info.voices
    place = f" in a bar of {request.time_signature}" if tokenizer.token_info.time_signatures else ""
    return f"{begin_sentence(titles)} not a note{f' for {voices[voice]}' if len(voices) > 1 else ''} anywhere{place}."


# --- the key ----------------------------------------------------------------------------------------------------------


def _warn_of_key(tokenizer: Tokenizer, constraints: Sequence[Constraint], request: Request) -> None:
    """Warn of the first beat on which the constraints allow notes, but none of the requested key."""
    keys, bars = _list_keys(tokenizer, request), np.arange(min(request.bars or BLOCK, BLOCK))
    context = _build_contexts(tokenizer, constraints, request, keys, bars, _list_beats(request), 0)
    key = ALL_KEYS[int(keys[0])]
    own = np.isin((compute_pitches(context.token_info, context.music) - key.tonic) % 12, key.scale)
    masks = [constraint.mask(context) & context.allowed for constraint in constraints]
    left = np.all(masks, axis=0)
    outside = np.flatnonzero(left.any(axis=1) & ~(left & own).any(axis=1))
    if len(outside):
        row = int(outside[0])
        titles = [
            name_sampler(constraints[number], request)
            for number in find_conflict([mask[row] & own[row] for mask in masks])
        ]
        place = f"on beat {context.music.beat[row] + 1} of bar {context.music.bar[row] + 1}"
        text = f"{begin_sentence(titles)} no note of the key {key} {place}: what is written there is outside the key."
        warnings.warn(text, RequestWarning, stacklevel=2)


# --- samplers, bars and masks in messages -----------------------------------------------------------------------------


def name_sampler(sampler: Sampler, request: Request) -> str:
    """Name a sampler by its place in the request's chain, such as `range 'C3:G5'`; else by its class."""
    sampler = unbind(sampler)
    made = [(link, registry().make("samplers", link.name, **link.options)) for link in request.samplers]
    alike = [(link, thing) for link, thing in made if type(thing) is type(sampler)]
    exact = [link for link, thing in alike if thing == sampler] or [link for link, _ in alike]
    return _format_link(exact[0]) if exact else type(sampler).__name__


def _format_link(link: SamplerSpec) -> str:
    first = next(iter(registry().get_offer("samplers", link.name).options), None)
    value = link.options.get(first.name) if first else None
    return link.name if value is None or isinstance(value, bool) else f"{link.name} '{printable(str(value))}'"


def begin_sentence(titles: Sequence[str]) -> str:
    """Begin a sentence: `a leaves`, or `a, b and c together leave`."""
    *others, last = titles
    return f"{', '.join(others)} and {last} together leave" if others else f"{last} leaves"


def get_bar_number(music: MusicalState, row: int) -> int:
    """Count a bar as musicians do: 1 is the first whole bar, 0 a pickup; 1 before the first."""
    bar = int(music.bar[row])
    return 1 if bar < 0 else bar + 1 - (int(music.upbeat[row]) > 0)


def find_conflict(masks: Sequence[NDArray[np.bool_]]) -> tuple[int, ...]:
    """Find one or two masks that together allow nothing, or else return all."""
    numbers = range(len(masks))
    few = (chosen for count in (1, 2) for chosen in combinations(numbers, count))
    return next((chosen for chosen in few if not np.all([masks[n] for n in chosen], axis=0).any()), tuple(numbers))
