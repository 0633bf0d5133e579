"""The specification of a comparison, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from composer.errors import BadOption, printable, suggest

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
