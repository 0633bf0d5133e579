"""Names of samplers and bars, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from composer.errors import printable
from composer.plugins.registry import registry
from composer.request import Request, SamplerSpec
from composer.types import MusicalState, Sampler


def name_sampler(sampler: Sampler, request: Request) -> str:
    """Name a sampler by its place in the request's chain, such as `range 'C3:G5'`; else by its class."""
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
