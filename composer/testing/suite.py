"""The conformance suite: the checks for each kind of thing that a plugin offers."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from composer.errors import (
    BadOption,
    CannotExpress,
    CannotWrite,
    ReadingWarning,
    RequestWarning,
    UnknownName,
    printable,
    suggest,
)
from composer.music.score import Score
from composer.plugins.cache import can_keep
from composer.plugins.discovery import Plugin, get_plugin
from composer.plugins.hooks import EVENTS
from composer.plugins.offers import KINDS, Offer, make
from composer.plugins.options import Option, convert
from composer.plugins.registry import registry
from composer.testing.architectures import check_architecture, check_model
from composer.testing.backends import check_backend, make_random_model
from composer.testing.commands import check_command, check_executor
from composer.testing.conditions import check_conditioned
from composer.testing.events import check_event
from composer.testing.files import HOLDS, check_dataset, check_exporter, check_reader, check_round_trip
from composer.testing.grammars import check_grammar, check_infilling
from composer.testing.metrics import check_metric
from composer.testing.rules import BrokenRule, require
from composer.testing.samplers import check_sampler
from composer.testing.sequences import SAMPLES, list_samples
from composer.testing.shrinking import check_smallest
from composer.testing.tokenizers import check_long_score, check_tokenizer
from composer.testing.training import check_objective, check_optimiser, check_schedule
from composer.testing.transforms import check_rule, check_transform
from composer.types import Piece, Tokenizer

ROWS = 300
"""Random pieces that a grammar is checked with."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Case:
    """One check of one thing that a plugin offers."""

    name: str
    check: Callable[[Path], None]

    def run(self) -> None:
        """Run the check. Raises BrokenRule, also for any other error of the thing."""
        with tempfile.TemporaryDirectory(prefix="composer-") as folder:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RequestWarning)
                    warnings.simplefilter("ignore", ReadingWarning)
                    self.check(Path(folder))
            except AssertionError:
                raise
            except Exception as error:
                text = f"{type(error).__name__}: {printable(str(error), 300)}"
                raise BrokenRule(f"only the errors of the contract are raised; {text}") from error

    def __str__(self) -> str:
        return self.name


Checks: TypeAlias = "Iterator[tuple[str, Callable[[Path], None]]]"


def list_cases(plugin: str) -> list[Case]:
    """List the cases of a plugin or a package. Raises UnknownName for one that is not installed, or is left out."""
    found = registry()
    named = [one for one in found.plugins if one.is_called(plugin)]
    if not named:
        names = {name for one in found.plugins for name in (one.name, one.distribution)}
        raise UnknownName(f"unknown plugin '{printable(plugin)}': {suggest(plugin, names)}")
    if faults := [one for one in named if one.fault]:
        raise UnknownName(f"the plugin '{faults[0].name}' is left out: {faults[0].fault}")
    offers = [offer for kind in KINDS for offer in found.offers[kind].values()] + list(found.clashing)
    noted = [Case(f"plugin {one.name}", partial(_check_notes, one)) for one in named if _list_mistakes(one)]
    events = [
        case
        for event in EVENTS
        for point in found.answering.get(event, ())
        for case in _list_event(event, point, named)
    ]
    return [*noted, *events, *(case for offer in offers if offer.plugin in named for case in make_cases(offer))]


def _list_event(event: str, point: EntryPoint, named: Sequence[Plugin]) -> Iterator[Case]:
    """Yield the case of an event that one of these plugins answers."""
    if (plugin := get_plugin(point)).name in [one.name for one in named if one.distribution == plugin.distribution]:
        yield Case(f"event {plugin.name}: {event}", lambda folder: check_event(event, point.load(), folder))


def _list_mistakes(plugin: Plugin) -> list[str]:
    """List what is wrong with things of a plugin itself; that another has taken a name is no fault of it."""
    return [note.text for note in plugin.notes if note.cause != "clash"]


def _check_notes(plugin: Plugin, _: Path) -> None:
    require(False, f"everything that a plugin has can be offered; {'; '.join(_list_mistakes(plugin))}")


def make_cases(offer: Offer, options: Mapping[str, Any] = NOTHING) -> Iterator[Case]:
    """Yield the cases of one thing, made with the examples of its options, or with `options`."""
    title = f"{offer.kind.removesuffix('s')} {offer.name}"
    yield Case(f"{title}: options", lambda _: _check_options(offer, options))
    thing = _Thing(offer.name, offer, partial(make, offer, **(_collect_examples(offer) | dict(options))))
    if offer.kind in _CHECKS:
        for name, check in _CHECKS[offer.kind](thing):
            yield Case(f"{title}{name}", check)


def _collect_examples(offer: Offer) -> dict[str, Any]:
    return {option.name: option.example for option in offer.options if option.example}


def _check_options(offer: Offer, given: Mapping[str, Any]) -> None:
    require(offer.summary, "an offer has a docstring, whose first line describes it")
    silent = [option.name for option in offer.options if not option.help]
    require(not silent, f'an option says what it is, by Annotated[type, "what it is"]; not so {", ".join(silent)}')
    wanting = [
        option.name for option in offer.options if option.required and not (option.example or option.name in given)
    ]
    require(
        not wanting,
        "an option without a default has an example, by Annotated[type, "
        f'"what it is", "an example"], to be checked with; not so {", ".join(wanting)}',
    )
    odd = [option.name for option in offer.options if not (can_keep(option) and _has_fit_default(option))]
    require(
        not odd,
        "options are of type int, float, bool, str, Path, Literal, an Enum, tuple or list of these, or a union of "
        f"these and None, and defaults are of their type; not so {', '.join(odd)}",
    )


def _has_fit_default(option: Option) -> bool:
    if not option.required:
        try:
            convert(option.default, option, "")
        except BadOption:
            return False
    return True


# --- each kind --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Thing:
    name: str
    offer: Offer
    make: Callable[[], Any]


def _cover_architecture(thing: _Thing) -> Checks:
    yield "", lambda _: check_architecture(thing.make())


def _cover_tokenizer(thing: _Thing) -> Checks:
    yield ": scores", lambda _: _check_scores(thing.make())
    yield ": a long score", lambda _: check_long_score(tokenizer := thing.make(), _list_expressed(tokenizer)[0])
    yield ": fixed notes", lambda _: _check_fixed(thing.make())
    yield ": grammar", lambda _: check_grammar(thing.make(), rows=ROWS)
    yield ": conditions", lambda _: check_conditioned(tokenizer := thing.make(), _list_expressed(tokenizer))


def _check_scores(tokenizer: Tokenizer) -> None:
    check_tokenizer(tokenizer, [])
    for score in _list_expressed(tokenizer):
        check_smallest(lambda one: check_tokenizer(tokenizer, [one]), score)


def _check_fixed(tokenizer: Tokenizer) -> None:
    check_infilling(tokenizer, _list_expressed(tokenizer))


def _list_expressed(tokenizer: Tokenizer) -> list[Score]:
    """List the samples that a tokenizer has tokens for, its own first."""
    own = list_samples(tokenizer)
    for name, score in own.items():
        require(_can_express(tokenizer, score), f"a tokenizer has tokens for its own samples; not for '{name}'")
    found = [score for score in {**own, **SAMPLES}.values() if _can_express(tokenizer, score)]
    require(found, "a tokenizer has tokens for one at least of a few small scores; else give it `samples` of its own")
    return found


def _can_express(tokenizer: Tokenizer, score: Score) -> bool:
    try:
        tokenizer.encode(score)
    except CannotExpress:
        return False
    return True


def _cover_sampler(thing: _Thing) -> Checks:
    for name in _list_companions("tokenizers", thing.offer):
        yield f" with {name}", partial(_check_sampler, thing, name)


def _check_sampler(thing: _Thing, tokenizer: str, _: Path) -> None:
    check_sampler(thing.make(), registry().make("tokenizers", tokenizer))


def _cover_backend(thing: _Thing) -> Checks:
    tokenizer = _list_companions("tokenizers", thing.offer)[-1]
    for name in _list_companions("architectures", thing.offer):
        yield f" with {name}", partial(_check_steps, thing, name, tokenizer)


def _check_steps(thing: _Thing, architecture: str, tokenizer: str, _: Path) -> None:
    options = _collect_examples(registry().get_offer("architectures", architecture))
    check_backend(thing.make(), make_random_model(architecture, tokenizer, **options))


def _list_companions(kind: str, beside: Offer) -> list[str]:
    """List the names of things without required options with which another is checked; see `_find_companion`."""
    return [
        name
        for name in registry().list_names(kind)
        if (offer := _find_companion(kind, name, beside)) and not any(option.required for option in offer.options)
    ]


def _find_companion(kind: str, name: str, beside: Offer) -> Offer | None:
    """Find a thing with which another is checked: composer's or of its own package, so that no stranger's fails it."""
    offer = registry().offers[kind].get(name)
    fits = offer and (offer.plugin.ours or offer.plugin.distribution == beside.plugin.distribution)
    return offer if fits else None


def _cover_reader(thing: _Thing) -> Checks:
    suffix = thing.name
    yield "", lambda folder: check_reader(thing.make(), folder, suffix=suffix, examples=_write_examples(thing, folder))


def _write_examples(reader: _Thing, folder: Path) -> list[bytes]:
    """Write files of the suffix of a reader, if there is an exporter."""
    found, suffix = [], reader.name
    if offer := _find_companion("exporters", suffix, reader.offer):
        exporter = make(offer)
        for score in SAMPLES.values():
            with suppress(CannotWrite):
                exporter([Piece(score)], folder / f"example{suffix}")
                found.append((folder / f"example{suffix}").read_bytes())
    return found


def _cover_exporter(thing: _Thing) -> Checks:
    suffix = thing.name
    yield "", lambda folder: check_exporter(thing.make(), SAMPLES["two parts"], folder, suffix=suffix)
    if reader := _find_companion("readers", suffix, thing.offer):
        yield ": read back", lambda folder: _check_back(thing.make(), make(reader), suffix, folder)


def _check_back(exporter: Any, reader: Any, suffix: str, folder: Path) -> None:
    holds = getattr(exporter, "holds", HOLDS)
    for score in SAMPLES.values():
        if "drums" not in holds and any(track.is_drum for track in score.tracks):
            continue
        check_smallest(lambda one: check_round_trip(exporter, reader, one, folder, suffix=suffix, holds=holds), score)


def _cover_callback(thing: _Thing) -> Checks:
    yield "", lambda folder: _check_listening(thing, folder)


def _check_listening(thing: _Thing, folder: Path) -> None:
    from composer.testing.callbacks import check_callback  # it trains

    try:
        callback = thing.make()
    except BadOption as error:  # a missing library
        require(error.__cause__ is None, f"a callback can be made, or raises BadOption with what to install; {error}")
    else:
        check_callback(callback, folder)


def _cover_dataset(thing: _Thing) -> Checks:
    yield "", lambda _: check_dataset(thing.make())


def _cover_model(thing: _Thing) -> Checks:
    yield "", lambda _: check_model(thing.make)


def _cover_executor(thing: _Thing) -> Checks:
    yield "", lambda _: check_executor(thing.make())


def _cover_objective(thing: _Thing) -> Checks:
    yield "", lambda _: check_objective(thing.make())


def _cover_optimiser(thing: _Thing) -> Checks:
    yield "", lambda _: check_optimiser(thing.make())


def _cover_schedule(thing: _Thing) -> Checks:
    yield "", lambda _: check_schedule(thing.make())


def _cover_metric(thing: _Thing) -> Checks:
    yield "", lambda _: check_metric(thing.make())


def _cover_transform(thing: _Thing) -> Checks:
    yield "", lambda _: check_transform(thing.make())


def _cover_rule(thing: _Thing) -> Checks:
    yield "", lambda _: check_rule(thing.make())


def _cover_command(thing: _Thing) -> Checks:
    yield "", lambda _: check_command(thing.name, thing.offer.load_thing())


_CHECKS: Mapping[str, Callable[[_Thing], Checks]] = {
    "architectures": _cover_architecture,
    "tokenizers": _cover_tokenizer,
    "samplers": _cover_sampler,
    "backends": _cover_backend,
    "readers": _cover_reader,
    "exporters": _cover_exporter,
    "callbacks": _cover_callback,
    "datasets": _cover_dataset,
    "models": _cover_model,
    "executors": _cover_executor,
    "objectives": _cover_objective,
    "optimisers": _cover_optimiser,
    "schedules": _cover_schedule,
    "metrics": _cover_metric,
    "commands": _cover_command,
    "transforms": _cover_transform,
    "rules": _cover_rule,
}
