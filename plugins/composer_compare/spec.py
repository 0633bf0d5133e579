"""The specification of a comparison, in plain values, and its equal budgets.

A budget is the width of each network and its number of training steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import combinations
from typing import Any

from composer.building import build_module
from composer.errors import BadOption, ComposerError, printable, suggest
from composer.plugins.registry import registry
from composer.plugins.specs import format_spec, parse_spec
from composer.request import Spec
from composer.types import Tokenizer

# --- the specification ------------------------------------------------------------------------------------------------


SIZES, LENGTHS = ("parameters", "width"), ("tokens", "time")
"""The quantities that may be equal: of the networks, and of their training."""

WIDTH = "hidden_size"
"""The option that sets the width of a network, where an architecture has one of that name."""

SMALL: Mapping[str, Any] = {WIDTH: 128, "embedding_size": 64}
"""Default options for networks small enough to train many on a laptop, where an architecture has them."""

DROPOUT = "dropout"
"""The option that is searched over, where an architecture has one of that name and its spec does not fix it."""


@dataclass(frozen=True)
class Candidate:
    """An architecture with its options, of which `given` are fixed, as the spec of a variant says.

    `other` is its width if the other of `SIZES` were equal.
    """

    name: str
    options: Mapping[str, Any]
    other: int = 0
    width: str = WIDTH  # the option that sets its width; "" for none
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its spec as typed, in one way of several: results are collected by it, and shown under it."""
        return format_spec(Spec(self.name, self.given))


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
    specs: Sequence[str], line: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, size: str
) -> tuple[Candidate, ...]:
    """Choose options that make the architectures equal in `size`.

    `specs` are typed, such as `lstm:layer-norm=true`; their own options come before those of the `line`, for each. The
    first keeps its width, and so does a spec that sets it. The others get the width whose number of parameters comes
    nearest to the first's. One that cannot be built keeps its options: its runs tell why they fail. Raises UnknownName
    for an architecture that no plugin offers, and BadOption for an invalid option and for those that cannot be made
    equal.
    """
    typed = [_read_candidate(text, own) for text, own in zip(specs, line, strict=True)]
    if len({one.label for one in typed}) != len(typed) or len(typed) < 2:
        raise BadOption("name at least two architectures, each once.")
    first = typed[0]
    wanted = count_parameters(first.name, first.options, tokenizer)
    width = _get_width(first, find_width_option(first.name, first.options, tokenizer))
    found = []
    for place, one in enumerate(typed):
        option = find_width_option(one.name, one.options, tokenizer)
        made = replace(one, width=option)
        if not place or option not in one.given:
            nearest = find_nearest_width(one.name, one.options, option, tokenizer, wanted) if wanted and option else 0
            widths = {"width": width if option else 0, "parameters": nearest}
            asked, other = widths[size], widths[SIZES[1 - SIZES.index(size)]]
            made = replace(made, options={**one.options, option: asked} if asked else one.options, other=other)
        if place and wanted is not None:
            _check_size(made, size, wanted, width, first.label, tokenizer)
        if one.given or line[place]:
            _check_options(made)
        found.append(made)
    _check_distinct(found)
    return tuple(found)


def _read_candidate(text: str, line: Mapping[str, Any]) -> Candidate:
    """Read the spec of an architecture, and fill in its options. Raises UnknownName and BadOption."""
    spec = parse_spec(text, "architectures")
    known = registry().get_offer("architectures", spec.name).known
    usual = {key: value for key, value in SMALL.items() if key in known}
    return Candidate(spec.name, {**usual, **line, **spec.options}, given=spec.options)


def _check_distinct(candidates: Sequence[Candidate]) -> None:
    """Check that no two are the same network. Raises BadOption."""
    for one, other in combinations(candidates, 2):
        if one.name == other.name and _list_settings(one) == _list_settings(other):
            names = f"'{printable(one.label, 200)}' and '{printable(other.label, 200)}'"
            raise BadOption(f"{names} are one network; name it once.")


def _list_settings(one: Candidate) -> dict[str, Any]:
    """List all options, with the defaults of those that are not given; a dropout that is searched over has no value."""
    defaults = {option.name: option.default for option in registry().get_offer("architectures", one.name).options}
    settings = {**defaults, **one.options}
    return settings if DROPOUT in one.given else {**settings, DROPOUT: None}


def _get_width(one: Candidate, option: str) -> int:
    defaults = {known.name: known.default for known in registry().get_offer("architectures", one.name).options}
    return int(one.options.get(option, defaults[option])) if option else 0


def _check_size(made: Candidate, size: str, wanted: int, width: int, first: str, tokenizer: Tokenizer) -> None:
    """Check that a network is as large as the first, of `wanted` parameters and this width. Raises BadOption."""
    count = count_parameters(made.name, made.options, tokenizer)
    if count is None:
        return
    label = printable(made.label, 200)
    names = f"'{label}' and '{printable(first, 200)}'"
    if size == "width" and not (made.width and width):
        which = "latter" if made.width else "former"
        raise BadOption(f"{names} cannot be made equally wide: no option of the {which} sets the width of its network.")
    if size == "width" and made.width in made.given and (own := made.given[made.width]) != width:
        raise BadOption(f"{names} cannot be made equally wide: the former's width is {own}, the latter's {width}.")
    if size == "parameters" and abs(count - wanted) > TOLERANCE * wanted:
        raise BadOption(
            f"{names} cannot be made equally large: they come to {count:,} and {wanted:,} parameters; choose options of"
            f" '{label}' that come nearer, or give --match width."
        )


def _check_options(one: Candidate) -> None:
    """Check that the architecture takes its options; other faults are told by its runs. Raises BadOption."""
    try:
        registry().make("architectures", one.name, **one.options)
    except ComposerError:
        raise
    except Exception:  # from a plugin
        return


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
