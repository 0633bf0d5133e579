"""The specification of a comparison, in plain values, and its equal budgets.

A budget is the width of each network and its number of training steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from composer.errors import BadOption, printable, suggest
from composer.plugins.registry import registry
from composer.types import Tokenizer

# --- the specification ------------------------------------------------------------------------------------------------


SIZES, LENGTHS = ("parameters", "width"), ("tokens", "time")
"""The quantities that may be equal: of the networks, and of their training."""

WIDTH = "hidden_size"
"""The option that equalises an architecture; one without it is not adjusted."""

SMALL: Mapping[str, Any] = {WIDTH: 128, "embedding_size": 64}
"""Default options for networks small enough to train many on a laptop, where an architecture has them."""


@dataclass(frozen=True)
class Candidate:
    """An architecture with its options; `other` is its width if the other of `SIZES` were equal."""

    name: str
    options: Mapping[str, Any]
    other: int = 0


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


def make_candidates(
    names: Sequence[str], given: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, size: str
) -> tuple[Candidate, ...]:
    """Choose options that make the architectures equal in `size`. Raises UnknownName, BadOption.

    The first keeps its width; the others get the width whose number of parameters comes nearest to the first's. One
    without a width is measured as it is. One that cannot be built keeps its options: its runs tell why they fail.
    """
    for name in names:
        registry().get_offer("architectures", name)
    if len(set(names)) != len(names) or len(names) < 2:
        raise BadOption("name at least two architectures, each once.")
    options = [_fill_in_defaults(name, own) for name, own in zip(names, given, strict=True)]
    first = count_parameters(names[0], options[0], tokenizer)
    width = int(options[0].get(WIDTH, 0))
    found = []
    for name, own in zip(names, options, strict=True):
        widths = {
            "width": width,
            "parameters": find_nearest_width(name, own, tokenizer, first) if first and width else 0,
        }
        asked, other = widths[size], widths[SIZES[1 - SIZES.index(size)]]
        found.append(Candidate(name, {**own, WIDTH: asked} if asked and WIDTH in own else own, other))
    return tuple(found)


def _fill_in_defaults(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    known = {option.name for option in registry().get_offer("architectures", name).options}
    return {**{key: value for key, value in SMALL.items() if key in known}, **given}


def count_parameters(name: str, options: Mapping[str, Any], tokenizer: Tokenizer) -> int | None:
    """Count the parameters of the network; None if it cannot be built."""
    architecture = registry().make("architectures", name, **options)
    try:
        module = architecture.build_module(
            [column.size for column in tokenizer.grammar.columns], len(tokenizer.vocabulary)
        )
    except Exception:  # from a plugin; its run reports the reason
        return None
    return sum(parameter.numel() for parameter in module.parameters())


def find_nearest_width(name: str, options: Mapping[str, Any], tokenizer: Tokenizer, parameters: int) -> int:
    """Find the width whose number of parameters comes nearest to `parameters`; 0 if there is none."""
    if WIDTH not in options:
        return 0

    def count_at(width: int) -> int:
        return count_parameters(name, {**options, WIDTH: width}, tokenizer) or parameters

    return find_nearest(count_at, parameters)


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
