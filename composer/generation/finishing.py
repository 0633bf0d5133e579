"""Finished pieces: changed by the transforms of their request, and judged by its rules.

A transform draws from a stream of its piece alone, keyed by its position among the transforms. Where notes are fixed,
they stay, and only the others change, within the bars and voices that are new. Whatever a transform does, no notes of
one pitch overlap in a part afterwards that did not before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from composer.errors import BadOption, CannotExpress, RequestWarning
from composer.music.merging import LATEST, Fixed, clip_notes, count_overlaps, merge_new_notes, separate_pitches
from composer.music.score import Notes, Score
from composer.plugins.offers import Offer
from composer.plugins.options import NONE
from composer.plugins.registry import registry
from composer.plugins.specs import convert_options, format_spec, parse_spec
from composer.request import Request, Spec, read_specs
from composer.sampling.random_streams import make_generator
from composer.types import HasFlag, Piece, Rule, Transform

Typed: TypeAlias = str | Spec | Iterable[str | Spec]
"""Things as typed, such as `"leaps:7"` or `["transpose:2", "humanize"]`."""

BROKEN = "broken"
"""Key of provenance for the broken rules of a piece that is kept: by rule, what is wrong."""

TRANSFORMED = "transformed"
"""Key of provenance for transforms after a piece was made, in order: each with its seed and transforms."""


def make_transforms(specs: Iterable[Spec]) -> list[Transform]:
    """Make transforms from names and options. Raises UnknownName, BadOption."""
    return [registry().make("transforms", spec.name, **spec.options) for spec in specs]


def make_rules(specs: Iterable[Spec]) -> list[Rule]:
    """Make rules from names and options. Raises UnknownName, BadOption."""
    return [registry().make("rules", spec.name, **spec.options) for spec in specs]


def read_transforms(texts: Typed) -> tuple[Spec, ...]:
    """Read transforms as typed, such as `quantize:grid=8`. Raises UnknownName, BadOption, also for values."""
    specs = _read_specs(texts, "transforms")
    make_transforms(specs)
    return specs


def read_rules(texts: Typed) -> tuple[Spec, ...]:
    """Read rules as typed, such as `leaps:7`. Raises UnknownName, BadOption, also for values."""
    specs = _read_specs(texts, "rules")
    make_rules(specs)
    return specs


def add_comp(transforms: Typed, *, comp: bool) -> Typed:
    """Add the accompaniment to transforms as typed, at the end, if it is asked for."""
    listed = [transforms] if isinstance(transforms, str | Spec) else list(transforms)
    return [*listed, "comp"] if comp else transforms


def read_finish(transforms: Typed, rules: Typed) -> dict[str, tuple[Spec, ...] | None]:
    """Read `transforms` and `rules` of a request as typed; None for none. Raises UnknownName, BadOption."""
    return {"transforms": read_transforms(transforms) or None, "rules": read_rules(rules) or None}


def _read_specs(texts: Typed, kind: str) -> tuple[Spec, ...]:
    listed = [texts] if isinstance(texts, str | Spec) else texts
    return tuple(parse_spec(format_spec(one) if isinstance(one, Spec) else str(one), kind) for one in listed)


# --- transforms with an option of their own ---------------------------------------------------------------------------


def list_flagged() -> dict[str, Offer]:
    """List the transforms that have an option of their own, such as `--instrument`, by name."""
    offers = registry().offers["transforms"]
    return {name: offer for name, offer in sorted(offers.items()) if isinstance(offer.make, HasFlag)}


def is_flag_switch(offer: Offer) -> bool:
    """Tell whether the option of a transform takes no value."""
    return not getattr(offer.make, "flag", "")


def add_flagged(specs: Sequence[Spec], given: Mapping[str, Any], *, usual: bool = True) -> tuple[Spec, ...]:
    """Put transforms that are asked for by options of their own before others, and with `usual` those that are usual.

    A value of None stands for an option that is not given, `none` or False for a transform that is not wanted. One that
    is among `specs` already is not usual. Raises BadOption for an invalid value.
    """
    named = {spec.name for spec in specs}
    found = []
    for name, offer in list_flagged().items():
        value = given.get(name)
        is_usual = usual and getattr(offer.make, "is_usual", False) and name not in named
        if value is True or (value is None and is_usual):
            found.append(Spec(name))
        elif value is not None and value is not False and value != NONE:
            title, first = f"option '{name}'", offer.options[0].name
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            found.append(Spec(name, convert_options(offer, title, {first: text})))
    make_transforms(found)
    return (*found, *specs)


def include_typed(request: Request) -> Request:
    """Tell the transforms that spare the notes that are given that these were typed, and have no expression to keep."""
    found = []
    for spec in request.transforms:
        option = getattr(registry().get_offer("transforms", spec.name).make, "typed_option", None)
        found.append(spec if option is None else Spec(spec.name, {**spec.options, option: True}))
    return replace(request, transforms=tuple(found))


def split_flagged(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split keyword arguments into options of transforms, by name, and others."""
    keywords = {name.replace("-", "_"): name for name in list_flagged()}
    own = {keywords[key]: value for key, value in given.items() if key in keywords}
    return own, {key: value for key, value in given.items() if key not in keywords}


# --- a piece ----------------------------------------------------------------------------------------------------------


def finish_piece(piece: Piece, fixed: Fixed | None = None) -> Piece:
    """Change a piece by the transforms of its request, and note the rules that it breaks then.

    Fixed notes of a fill stay; those of a primer do so for transforms that spare them.
    Raises CannotExpress for a piece that cannot be changed so, BadOption for a transform of whole pieces where notes
    are fixed.
    """
    if not piece.provenance["request"].keys() & {"transforms", "rules"}:
        return piece
    request, made_by = Request.from_json(piece.provenance["request"]), dict(piece.provenance)
    stream = (request.seed, request.index, request.attempt)
    primer = Fixed((), [[(request.primer_ticks, LATEST)]]) if request.primer_ticks and fixed is None else None
    score = transform_score(piece.score, request.transforms, stream, fixed, primer)
    if request.transforms:
        made_by.setdefault("written_notes", count_new_notes(piece.score, request.primer_ticks))
    if broken := describe_broken(score, request.rules):
        made_by[BROKEN] = {**made_by.get(BROKEN, {}), **broken}
    return Piece(score, made_by)


def transform_score(
    score: Score,
    specs: Sequence[Spec],
    stream: tuple[int, int, int],
    fixed: Fixed | None = None,
    primer: Fixed | None = None,
) -> Score:
    """Change a score by transforms, in order; `stream` is (seed, index, attempt). Raises CannotExpress, BadOption.

    What is in `fixed` stays, and the transforms see the other notes alone; so it is with `primer`, for those that spare
    it. Warns with RequestWarning where one writes notes outside of what is new, which are left out.
    """
    for place, (spec, transform) in enumerate(zip(specs, make_transforms(specs), strict=True)):
        rng, before = make_generator(*stream, f"transform {place}"), score
        try:
            kept = _choose_kept(transform, fixed, primer)
            score = transform(score, rng) if kept is None else _transform_new_notes(spec, transform, score, kept, rng)
        except CannotExpress as error:
            raise CannotExpress(f"transform '{spec.name}': {error}") from error
        _check_made(f"transform '{spec.name}'", score, Score)
        if count_overlaps(score) > count_overlaps(before):
            score = _change_notes(score, [separate_pitches(track.notes) for track in score.tracks])
    return score


def _choose_kept(transform: Transform, fixed: Fixed | None, primer: Fixed | None) -> Fixed | None:
    """Choose the notes that a transform does not see; None for none."""
    if getattr(transform, "keeps_notes", False):
        return None
    return primer if fixed is None and getattr(transform, "spares_primer", False) else fixed


def _transform_new_notes(
    spec: Spec, transform: Transform, score: Score, fixed: Fixed, rng: np.random.Generator
) -> Score:
    """Transform the new notes of a score, within the spans that are new; cut and leave out what lies outside then."""
    _check_of_notes(spec, transform)
    masks = [fixed.mask_new(number, track.notes) for number, track in enumerate(score.tracks)]
    before = [track.notes[mask] for track, mask in zip(score.tracks, masks, strict=True)]
    changed = transform(_change_notes(score, before), rng)
    _check_made(f"transform '{spec.name}'", changed, Score)
    if len(changed.tracks) != len(score.tracks):
        raise BadOption(f"transform '{spec.name}' keeps fixed notes, but not their parts; tell its authors.")
    merged, missing = [], 0
    for number, (track, mask) in enumerate(zip(score.tracks, masks, strict=True)):
        inside, outside = clip_notes(changed.tracks[number].notes, fixed.find_new(number), before[number])
        merged.append(merge_new_notes(track.notes[~mask], inside))
        missing += outside
    if missing:
        are = "1 note is" if missing == 1 else f"{missing} notes are"
        text = f"transform '{spec.name}': {are} left out, which would lie outside the new bars and voices."
        warnings.warn(text, RequestWarning, stacklevel=2)
    return _change_notes(score, merged)


def _change_notes(score: Score, notes: Sequence[Notes]) -> Score:
    """Give the tracks of a score other notes."""
    pairs = zip(score.tracks, notes, strict=True)
    return replace(score, tracks=tuple(replace(track, notes=its) for track, its in pairs))


def check_fixed(request: Request) -> None:
    """Refuse the transforms of whole pieces, where notes are fixed. Raises BadOption."""
    for spec, transform in zip(request.transforms, make_transforms(request.transforms), strict=True):
        _check_of_notes(spec, transform)


def _check_of_notes(spec: Spec, transform: Transform) -> None:
    if not (getattr(transform, "of_notes", False) or getattr(transform, "keeps_notes", False)):
        raise BadOption(
            f"'{spec.name}' transforms a whole piece, and fixed notes stay as they are; write the piece without it, "
            "and then use `composer export --transform`."
        )


def leave_out_whole(request: Request) -> Request:
    """Leave out the transforms of whole pieces, which a piece has been through already."""
    made = zip(request.transforms, make_transforms(request.transforms), strict=True)
    return replace(request, transforms=tuple(spec for spec, one in made if getattr(one, "of_notes", False)))


def describe_broken(score: Score, specs: Sequence[Spec]) -> dict[str, str]:
    """Describe how a score breaks rules, by rule as it is typed; empty where it keeps them."""
    judged = {format_spec(spec): rule(score) or "" for spec, rule in zip(specs, make_rules(specs), strict=True)}
    for name, text in judged.items():
        _check_made(f"rule '{name}'", text, str)
    return {name: text for name, text in judged.items() if text}


def _check_made(name: str, made: object, kind: type) -> None:
    """Refuse what a plugin made that is of another kind. Raises BadOption."""
    if not isinstance(made, kind):
        raise BadOption(f"{name} makes a {type(made).__name__}, and not a {kind.__name__}; tell its authors.")


def count_new_notes(score: Score, start: int) -> int:
    """Count the notes from the tick `start` on, the end of a primer."""
    return sum(int(np.sum(track.notes["start"] >= start)) for track in score.tracks)


# --- a piece that is there already ------------------------------------------------------------------------------------


def transform_again(score: Score, specs: Sequence[Spec], seed: int) -> Score:
    """Change a score that was made before; its silent parts, which not every file keeps, are left out first."""
    if not specs:
        return score
    sounding = tuple(track for track in score.tracks if len(track.notes))
    return transform_score(replace(score, tracks=sounding), specs, (seed, 0, 0))


def record_transforms(provenance: Mapping[str, Any], specs: Sequence[Spec], seed: int) -> dict[str, Any]:
    """Add transforms to the provenance of a piece that was made before; that of other music stays empty.

    Raises BadOption for invalid ones that are there.
    """
    if not (provenance and specs):
        return dict(provenance)
    steps = [*_read_steps(provenance), (specs, seed)]
    return {**provenance, TRANSFORMED: [_serialise_step(*step) for step in steps]}


def repeat_transforms(piece: Piece, provenance: Mapping[str, Any]) -> Piece:
    """Change a piece again as `provenance` says that it was after it was made. Raises BadOption, CannotExpress."""
    for specs, seed in _read_steps(provenance):
        score = transform_again(piece.score, specs, seed)
        piece = Piece(score, record_transforms(piece.provenance, specs, seed))
    return piece


def _serialise_step(specs: Sequence[Spec], seed: int) -> dict[str, Any]:
    return {"seed": seed, "transforms": [{"name": spec.name, "options": dict(spec.options)} for spec in specs]}


def _read_steps(provenance: Mapping[str, Any]) -> list[tuple[Sequence[Spec], int]]:
    """Read the transforms after a piece was made, each with its seed. Raises BadOption for invalid ones."""
    try:
        steps = [(read_specs(one["transforms"]), one["seed"]) for one in provenance.get(TRANSFORMED, ())]
        asked = [Request(transforms=specs, seed=seed) for specs, seed in steps]
    except (TypeError, KeyError, ValueError) as error:
        raise BadOption("its provenance holds invalid transforms.") from error
    return [(one.transforms, one.seed) for one in asked]
