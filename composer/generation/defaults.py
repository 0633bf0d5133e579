"""Defaults: the samplers that a new request has unasked, and whether a piece became what they are for.

Samplers decide it themselves (`composer.types.ChoosesOptions`). A request that is made again has what it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from composer.music.score import Score
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.types import ChoosesOptions, Judges, Occasion, TokenInfo


def choose_new_samplers(token_info: TokenInfo, request: Request) -> Request:
    """Let the samplers of a request for new music choose their options (see `choose_samplers`)."""
    return choose_samplers(Occasion(token_info, request, is_whole=True))


def choose_samplers(occasion: Occasion) -> Request:
    """Let the samplers of a new request choose their options, and those join it that do so unasked.

    Samplers that join come last, so that they see what all others leave.
    """
    request = occasion.request
    named = [_choose_options(spec, occasion) for spec in request.samplers]
    chosen = replace(request, samplers=tuple(spec for spec in named if spec is not None))
    names = {spec.name for spec in request.samplers}
    for name in sorted(registry().offers["samplers"].keys() - names):
        if spec := _choose_unasked(name, replace(occasion, request=chosen)):  # each sees those before it
            chosen = replace(chosen, samplers=(*chosen.samplers, spec))
    return chosen


def _choose_options(spec: SamplerSpec, occasion: Occasion) -> SamplerSpec | None:
    make = registry().get_offer("samplers", spec.name).make
    if not isinstance(make, ChoosesOptions):
        return spec
    options = make.choose_options(spec.options, occasion)
    return None if options is None else SamplerSpec(spec.name, dict(sorted(options.items())))


def _choose_unasked(name: str, occasion: Occasion) -> SamplerSpec | None:
    make = registry().offers["samplers"][name].make
    options = make.choose_options(None, occasion) if isinstance(make, ChoosesOptions) else None
    return None if options is None else SamplerSpec(name, dict(sorted(options.items())))


def describe_unmet(score: Score, specs: Sequence[SamplerSpec]) -> dict[str, str]:
    """Describe what a piece did not become, by the name of the sampler that asked for it; empty if it did."""
    judged: dict[str, str] = {}
    for spec in specs:
        offer = registry().get_offer("samplers", spec.name)
        if isinstance(offer.make, Judges):
            judged[spec.name] = offer.make(**spec.options).describe_broken(score)
    return {name: text for name, text in judged.items() if text}
