"""Options by the names that the command line and Python share."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from composer.errors import BadOption, RunWarning, printable, suggest
from composer.music.score import Labels
from composer.plugins.offers import Offer
from composer.plugins.options import Option, make_plain
from composer.plugins.registry import registry
from composer.plugins.specs import convert_options
from composer.request import Request, SamplerSpec
from composer.types import HasStatedOptions

ALL = "all"
"""As a look-ahead: to the end of the piece."""


def choose_seed(asked: int | None) -> int:
    """Return the given seed, or a random one, short enough to type."""
    return secrets.randbelow(1_000_000) if asked is None else asked


# --- samplers ---------------------------------------------------------------------------------------------------------


def name_flags(offer: Offer) -> dict[str, str]:
    """Name each option of a sampler, as if no command had an option of that name."""
    return {
        option.name: f"--{offer.name}" if place == 0 else f"--{offer.name}-{option.name.replace('_', '-')}"
        for place, option in enumerate(offer.options)
    }


def list_sampler_options(taken: Iterable[str]) -> dict[str, tuple[Offer, Option]]:
    """List the options of all samplers by flag; a flag that is `taken` already gets `sampler-` before it."""
    found: dict[str, tuple[Offer, Option]] = {}
    seen = set(taken)
    for _, offer in sorted(registry().offers["samplers"].items()):
        flags = name_flags(offer)
        for option in offer.options:
            flag = flags[option.name]
            flag = f"--sampler-{flag[2:]}" if flag in seen else flag
            seen.add(flag)
            found[flag] = offer, option
    return found


def name_condition_flags(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Name the flag of each condition of a model; one that is `taken`, or a sampler's, gets `condition-` before it."""
    own = list(taken)
    seen = {*own, *list_sampler_options(own)}
    flags = {name: f"--{name.replace('_', '-')}" for name in names}
    return {name: f"--condition-{flag[2:]}" if flag in seen else flag for name, flag in flags.items()}


def name_condition_keywords(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Map the keyword of each condition of a model to its name; `taken` are other arguments of the function."""
    flags = name_condition_flags(names, map(make_flag, taken))
    return {_make_keyword(flag): name for name, flag in flags.items()}


def take_conditions(given: Mapping[str, Any], keywords: Mapping[str, str]) -> tuple[Labels, dict[str, Any]]:
    """Split keyword arguments into conditions, by `keywords`, and others; None stands for a condition not given.

    Raises BadOption for a value that is no text.
    """
    stated = {keywords[key]: value for key, value in given.items() if key in keywords and value is not None}
    if wrong := next((name for name, value in stated.items() if not isinstance(value, str)), None):
        raise BadOption(f"'{wrong}' is {printable(repr(stated[wrong]))}, and must be a text.")
    return tuple(stated.items()), {key: value for key, value in given.items() if key not in keywords}


def warn_of_taken_names(names: Iterable[str], taken: Iterable[str]) -> None:
    """Warn with RunWarning of conditions whose flags have a prefix, since other options have their names."""
    for name, flag in name_condition_flags(names, taken).items():
        if flag.startswith("--condition-"):
            text = f"--{flag.removeprefix('--condition-')} is another option already: ask for the {name} by {flag}."
            warnings.warn(text, RunWarning, stacklevel=2)


def merge_conditions(request: Request, stated: Iterable[tuple[str, str]]) -> Request:
    """Return a request with the conditions `stated`, which count before its own."""
    return replace(request, conditions=tuple(sorted({**dict(request.conditions), **dict(stated)}.items())))


def build_chain(given: Mapping[str, Any], taken: Collection[str], what: str) -> tuple[SamplerSpec, ...]:
    """Make the chain of samplers from keyword arguments, in their order; None stands for an option not given.

    `taken` are the other arguments of the function named `what`. The request is the one that the command line makes.
    Raises BadOption for an unknown name, and for an invalid value.
    """
    options = {_make_keyword(flag): found for flag, found in list_sampler_options(map(make_flag, taken)).items()}
    chain: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        if name not in options:
            raise BadOption(f"{what} has no option '{printable(name)}': {suggest(name, {*options, *taken})}")
        offer, option = options[name]
        if value is not None:
            chain.setdefault(offer.name, {})[option.name] = _format_value(value)
    return convert_chain(chain)


def convert_chain(chain: Mapping[str, Mapping[str, Any]]) -> tuple[SamplerSpec, ...]:
    """Convert the samplers of a chain, by name, with options as typed, to plain values, as jobs of a batch have them.

    Raises BadOption for an invalid value.
    """
    offers = registry().offers["samplers"]
    return tuple(
        state_options(SamplerSpec(name, convert_options(offers[name], f"sampler '{name}'", options)))
        for name, options in chain.items()
    )


def state_options(link: SamplerSpec) -> SamplerSpec:
    """State the options by which a new request means what its sampler means today."""
    made = registry().make("samplers", link.name, **link.options)
    if not isinstance(made, HasStatedOptions):
        return link
    return SamplerSpec(link.name, dict(sorted({**made.stated, **link.options}.items())))


def _make_keyword(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def make_flag(keyword: str) -> str:
    """Make the flag of the command line for a keyword."""
    return f"--{keyword.replace('_', '-')}"


def _format_value(value: Any) -> Any:
    if isinstance(value := make_plain(value), bool):
        return value
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


# --- fixed notes ------------------------------------------------------------------------------------------------------


def parse_look_ahead(text: str) -> int | None:
    """Read `2` or `all`. Raises BadOption."""
    if text == ALL:
        return None
    if not text.isdecimal():
        raise BadOption(f"invalid look-ahead '{printable(text)}': expected a number of bars, or `all`.")
    return int(text)


def parse_voices(text: str | None) -> list[str]:
    """Read `tenor,bass` as names. Raises BadOption."""
    names = [name for name in (text or "").split(",") if name.strip()]
    if text is not None and not names:
        raise BadOption(f"'{printable(text)}' names no voice; give names or numbers such as tenor,bass or 3,4.")
    return names


def parse_bars(text: str) -> tuple[int, int]:
    """Read `5-8` or `5` as the first and the last bar. Raises BadOption."""
    first, dash, last = text.partition("-")
    if not (first.isdecimal() and (last.isdecimal() or not dash)):
        raise BadOption(f"invalid bars '{printable(text)}': expected a bar or a range, such as 5 or 5-8.")
    return int(first), int(last or first)


def read_time_signature(text: str) -> str:
    """Take `3/4`, or a time signature in words: `common time`, `cut time`, `C|`, `6/8 time`."""
    plain = text.lower().strip().removesuffix("time").strip() if isinstance(text, str) else text
    return _TIME_SIGNATURES.get(plain, plain if plain and plain[0].isdecimal() else text)


_TIME_SIGNATURES = {
    **dict.fromkeys(["c", "common"], "4/4"),
    **dict.fromkeys(["c|", "¢", "cut", "alla breve"], "2/2"),
}


def read_bars(value: str | int | Sequence[int]) -> tuple[int, int]:
    """Take `"5-8"`, `5` or `(5, 8)` for the first and the last bar. Raises BadOption."""
    if isinstance(value, str | int):
        return parse_bars(str(value))
    return parse_bars("-".join(map(str, value)))


def read_voices(value: str | Sequence[str] | None) -> list[str]:
    """Take `"tenor,bass"` or `["tenor", "bass"]` for names. Raises BadOption."""
    return parse_voices(value if value is None or isinstance(value, str) else ",".join(map(str, value)))
