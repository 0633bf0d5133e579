"""The specification of a comparison, in plain values, and its equal budgets.

A budget is the width of each network and its number of training steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from composer.building import build_module
from composer.errors import BadOption, printable, suggest
from composer.plugins.registry import registry
from composer.types import Tokenizer

# --- the specification ------------------------------------------------------------------------------------------------


SIZES, LENGTHS = ("parameters", "width"), ("tokens", "time")
"""The quantities that may be equal: of the networks, and of their training."""

WIDTH = "hidden_size"
"""The option that sets the width of a network, where an architecture has one of that name."""

SMALL: Mapping[str, Any] = {WIDTH: 128, "embedding_size": 64}
"""Default options for networks small enough to train many on a laptop, where an architecture has them."""


@dataclass(frozen=True)
class Candidate:
    """An architecture with its options; `other` is its width if the other of `SIZES` were equal."""

    name: str
    options: Mapping[str, Any]
    other: int = 0
    width: str = WIDTH  # the option that sets its width; "" for none


@dataclass(frozen=True)
class Experiment:
    """A comparison. `music` identifies the corpus by content, so that results are never reused for other music.

    Either `steps` is the training length of the first candidate, or `minutes` the time for all together.
    """

    recipe: Mapping[str, Any]  # the common dataset, tokenizer and training settings
    contenders: tuple[Candidate, ...]
    questions: tuple[str, ...]
    music: str
    size: str = "parameters"
    length: str = "tokens"
    seeds: int = 3
    trials: int = 6
    steps: int = 0
    minutes: float = 30.0
    workers: int = 1
    named: Mapping[str, str] = field(default_factory=dict)  # the music in the report: title, licence, pieces

    @property
    def other_size(self) -> str:
        """The one of `SIZES` that is equal only in the question `width`."""
        return SIZES[1 - SIZES.index(self.size)]


def parse_match(text: str) -> tuple[str, str]:
    """Parse the equal quantities, such as `parameters`, `time` or `width,time`: one of `SIZES`, one of `LENGTHS`."""
    found = {"size": SIZES[0], "length": LENGTHS[0]}
    said: set[str] = set()
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word not in SIZES + LENGTHS:
            raise BadOption(f"'{printable(word)}' cannot be equal: {suggest(word, SIZES + LENGTHS)}")
        kind = "size" if word in SIZES else "length"
        if kind in said:
            raise BadOption(
                f"--match {printable(text)} asks for two things that cannot both be equal; name one of them."
            )
        said.add(kind)
        found[kind] = word
    return found["size"], found["length"]


def parse_minutes(text: str) -> float:
    """Parse a duration such as `90s`, `20m`, `2h` or `45` (minutes) into minutes. Raises BadOption."""
    units = {"s": 1 / 60, "m": 1.0, "h": 60.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "m")
    try:
        found = float(number) * units[unit]
    except ValueError:
        found = 0.0
    if not 0 < found < 1e6:
        raise BadOption(f"invalid time '{printable(text)}': expected 90s, 20m or 2h.")
    return found


# --- equal budgets ----------------------------------------------------------------------------------------------------


WIDEST = 4096

TOLERANCE = 0.05
"""The largest relative difference between numbers of parameters that count as equal."""


def make_candidates(
    names: Sequence[str], given: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, size: str
) -> tuple[Candidate, ...]:
    """Choose options that make the architectures equal in `size`.

    The first keeps its width; the others get the width whose number of parameters comes nearest to the first's. One
    that cannot be built keeps its options: its runs tell why they fail. Raises UnknownName for an architecture that no
    plugin offers, and BadOption for those that cannot be made equal.
    """
    for name in names:
        registry().get_offer("architectures", name)
    if len(set(names)) != len(names) or len(names) < 2:
        raise BadOption("name at least two architectures, each once.")
    options = [_fill_in_defaults(name, own) for name, own in zip(names, given, strict=True)]
    first = count_parameters(names[0], options[0], tokenizer)
    width = _get_width(names[0], options[0], find_width_option(names[0], options[0], tokenizer))
    found = []
    for name, own in zip(names, options, strict=True):
        option = find_width_option(name, own, tokenizer)
        nearest = find_nearest_width(name, own, option, tokenizer, first) if first and option else 0
        widths = {"width": width if option else 0, "parameters": nearest}
        asked, other = widths[size], widths[SIZES[1 - SIZES.index(size)]]
        made = Candidate(name, {**own, option: asked} if asked else own, other, option)
        if first is not None:
            _check_size(made, size, first, names[0], tokenizer)
        found.append(made)
    return tuple(found)


def _fill_in_defaults(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    known = {option.name for option in registry().get_offer("architectures", name).options}
    return {**{key: value for key, value in SMALL.items() if key in known}, **given}


def _get_width(name: str, options: Mapping[str, Any], option: str) -> int:
    defaults = {one.name: one.default for one in registry().get_offer("architectures", name).options}
    return int(options.get(option, defaults[option])) if option else 0


def _check_size(made: Candidate, size: str, wanted: int, first: str, tokenizer: Tokenizer) -> None:
    """Check that a network is as large as the first. Raises BadOption."""
    count = count_parameters(made.name, made.options, tokenizer)
    if made.name == first or count is None:
        return
    names = f"'{printable(made.name)}' and '{printable(first)}'"
    if size == "width" and not made.width:
        raise BadOption(f"{names} cannot be made equally wide: no option of the former sets the width of its network.")
    if size == "parameters" and abs(count - wanted) > TOLERANCE * wanted:
        raise BadOption(
            f"{names} cannot be made equally large: they come to {count:,} and {wanted:,} parameters; choose options of"
            f" '{printable(made.name)}' that come nearer, or give --match width."
        )


def count_parameters(name: str, options: Mapping[str, Any], tokenizer: Tokenizer) -> int | None:
    """Count the parameters of the network; None if it cannot be built."""
    try:
        architecture = registry().make("architectures", name, **options)
        columns, words = tokenizer.grammar.columns, len(tokenizer.vocabulary)
        module = build_module(architecture, columns, words, tokenizer.token_info)
    except Exception:  # from a plugin; its run reports the reason
        return None
    return sum(parameter.numel() for parameter in module.parameters())


def find_width_option(name: str, options: Mapping[str, Any], tokenizer: Tokenizer) -> str:
    """Find the option that sets the width: `hidden_size`, or the whole number whose doubling adds most parameters.

    Returns "" if no option adds any, or if the network cannot be built.
    """
    offered = {one.name: one.default for one in registry().get_offer("architectures", name).options if one.type is int}
    if WIDTH in offered:
        return WIDTH
    before = count_parameters(name, options, tokenizer) or 0
    grown = {
        option: count_parameters(name, {**options, option: 2 * int(options.get(option, default))}, tokenizer) or 0
        for option, default in offered.items()
        if before
    }
    best = max(grown, key=lambda option: grown[option], default="")
    return best if grown.get(best, 0) > before else ""


def find_nearest_width(
    name: str, options: Mapping[str, Any], option: str, tokenizer: Tokenizer, parameters: int
) -> int:
    """Find the width whose number of parameters comes nearest to `parameters`.

    A network may be built at multiples of a number alone, such as that of its heads; 0 if it is never built.
    """

    @cache
    def count_at(width: int) -> int | None:
        return count_parameters(name, {**options, option: width}, tokenizer)

    for step in (1, 2, 4, 8, 16, 32, 64, 3, 5, 6, 12, 10):
        if all(count_at(step * factor) for factor in (2, 3, 5)):
            break
    else:
        return 0
    return step * find_nearest(lambda factor: count_at(step * factor) or 0, parameters)


def find_nearest(at: Callable[[int], int], wanted: int) -> int:
    """Find the whole number from 2 up for which the rising function `at` comes nearest to `wanted`."""
    low = high = 2
    while high < WIDEST and at(high) < wanted:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at(middle) < wanted else (low, middle)
    return low if wanted - at(low) <= at(high) - wanted else high


def distribute_steps(
    paces: Mapping[str, float], first: str, length: str, asked: int, seconds: float, work: float
) -> dict[str, int]:
    """Compute the training steps of each architecture in a full-length run, from its seconds a step.

    `work` is the number of such runs of each. With `asked`, the first trains so many steps; otherwise all runs
    together take about `seconds`.
    """
    if length == "tokens":
        count = asked or seconds / (work * sum(paces.values()))
        return {name: max(round(count), 1) for name in paces}
    each = asked * paces.get(first, min(paces.values())) if asked else seconds / (work * len(paces))
    return {name: max(round(each / pace), 1) for name, pace in paces.items()}
