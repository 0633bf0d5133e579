"""Options of the command line: those of plugins, from their signatures, and those of a training."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing
from composer.errors import BadOption, printable, suggest
from composer.generation.options import convert_chain, list_sampler_options
from composer.plugins.options import (
    Option,
    convert,
    is_switch,
    list_members,
    list_words,
    make_plain,
    takes_several,
)
from composer.plugins.registry import registry
from composer.request import SamplerSpec

if TYPE_CHECKING:
    from composer.types import Executor


# --- options of plugins -----------------------------------------------------------------------------------------------


RULES = "Rules the music keeps"
"""The heading of constraints in help."""

DARING = "How daring it is (--temperature: 0.7 safe, 1 normal, 1.2 wild)"
"""The heading of the other samplers in help."""

_SAMPLERS = "composer.links"
_OPTIONS = "composer.plugins.options"
_PLUGIN_OPTIONS = "composer.things"
_LINE = "composer.line"


@dataclass(frozen=True)
class Row:
    """A row of help under its heading."""

    heading: str
    flags: str
    text: str


class PluginOption(click.Option):
    """An option of something a plugin offers; help shows it under its own heading, in a row for each meaning."""

    list_rows: Callable[[], Iterable[Row]] = tuple


class _Backend(click.Option):
    """`--backend`, by its first name as well, which help leaves out."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the flag and its description."""
        record = super().get_help_record(ctx)
        return record and (record[0].replace(", --stepper", ""), record[1])


def add_backend(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option `--backend` to a command."""
    return click.option(
        "--backend",
        "--stepper",
        "backend",
        cls=_Backend,
        default="auto",
        shell_complete=completing.complete_names("backends"),
        help="Inference backend: torch, numpy, native:threads=2, …  [the fastest one that can]",
    )(command)


class Grouped(click.Command):
    """A command whose help shows its own options first, and those of plugins by kind."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, `--help` among the command's own."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, PluginOption):
                for row in parameter.list_rows():
                    groups.setdefault(row.heading, []).append((row.flags, row.text))
            elif isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                groups.setdefault("Options", []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class WithSamplers(Grouped):
    """A command with an option for every registered sampler. Their order on the line is the order of the chain.

    A sampler `top-p` takes its first option as `--top-p VALUE`, and any other as `--top-p-NAME VALUE`. A flag that
    exists already gets the prefix `sampler-`.
    """

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters and the samplers'."""
        own = super().get_params(ctx)
        if _OPTIONS not in ctx.meta:  # made once: click orders them on the line by identity
            ctx.meta[_OPTIONS] = _make_sampler_options(list_taken(own))
        return [*own[:-1], *ctx.meta[_OPTIONS], own[-1]]


def list_taken(parameters: Iterable[click.Parameter]) -> set[str]:
    """List the flags of parameters."""
    return {flag for one in parameters for flag in (*one.opts, *one.secondary_opts)}


def list_samplers(ctx: click.Context) -> tuple[SamplerSpec, ...]:
    """Return the sampler chain of the command line, in its order. Raises BadOption for an invalid value."""
    return convert_chain(ctx.meta.get(_SAMPLERS, {}))


def list_texts(links: Iterable[SamplerSpec]) -> list[str]:
    """List the texts among the options of a chain, which may name files."""
    return [value for link in links for value in link.options.values() if isinstance(value, str)]


def _make_sampler_options(taken: set[str]) -> list[click.Parameter]:
    options: list[click.Parameter] = []
    for flag, (offer, option) in list_sampler_options(taken).items():
        first = option == offer.options[0]
        text = f"{offer.summary} ({option.help})" if first and option.help else option.help or offer.summary
        made = _make_option(flag, [option], _collect_sampler(offer.name, option.name), multiple=True)
        made.hidden = option.is_internal  # the shell does not complete it
        heading = RULES if offer.is_rule else DARING
        if not option.is_internal:
            made.list_rows = partial(_list_one_row, Row(heading, _show_flag(flag, option), text))
        options.append(made)
    return options


def _list_one_row(row: Row) -> tuple[Row, ...]:
    return (row,)


def _collect_sampler(name: str, option: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def collect(ctx: click.Context, parameter: click.Parameter, values: tuple[Any, ...]) -> None:
        if len(values) > 1:
            raise BadOption(f"{parameter.opts[0]} is given {len(values)} times; give it once.")
        for value in values:
            ctx.meta.setdefault(_SAMPLERS, {}).setdefault(name, {})[option] = value

    return collect


def _make_option(
    flag: str,
    options: Sequence[Option],
    collect: Callable[[click.Context, click.Parameter, Any], None],
    *,
    multiple: bool = False,
) -> PluginOption:
    """Make an option of the command line for options of one name. A `multiple` one passes on a tuple of all its values.

    It is a switch where all of them are, and takes a value otherwise. Their types convert the value, not click.
    """
    choices = list({word: None for option in options for word in list_words(option.type)})
    return PluginOption(
        [_spell_flag(flag, options)],
        metavar=_name_metavar(options[0].type),
        default=None,
        expose_value=False,
        callback=collect,
        help=options[0].help or options[0].name.replace("_", " "),
        multiple=multiple,
        shell_complete=completing.complete_words(choices) if choices else None,
    )


def _spell_flag(flag: str, options: Sequence[Option]) -> str:
    return f"{flag}/--no-{flag[2:]}" if all(is_switch(option.type) for option in options) else flag


def _show_flag(flag: str, option: Option) -> str:
    """Show a flag in help, with what it takes."""
    metavar = _name_metavar(option.type)
    return f"{flag} {metavar}" if metavar else f"{flag} / --no-{flag[2:]}"


def _name_metavar(annotation: Any) -> str | None:
    """Name what an option takes, for help: `NUMBER`, `INTEGER,…`, `late|early`; None for a switch."""
    if is_switch(annotation):
        return None
    members = [member for member in list_members(annotation) if member is not type(None)]
    return "|".join(dict.fromkeys(map(_name_one_metavar, members)))


def _name_one_metavar(annotation: Any) -> str:
    if takes_several(annotation):
        return "TEXT"
    words = "|".join(list_words(annotation))
    return words or {int: "INTEGER", float: "NUMBER", bool: "yes|no", Path: "PATH"}.get(annotation, "TEXT")


@dataclass(frozen=True)
class Owner:
    """Something that has an option: its kind and name, and the option."""

    kind: str
    name: str
    option: Option


def find_flags(kinds: Iterable[str], taken: Container[str]) -> dict[str, list[Owner]]:
    """Find the flags of everything of some kinds, each with its owners; one that is `taken` gets its kind before it.

    What stands after the colon of a dataset's name has none.
    """
    found: dict[str, list[Owner]] = {}
    for kind in kinds:
        for name, offer in sorted(registry().offers[kind].items()):
            for place, option in enumerate(offer.options):
                if kind == "datasets" and option.required and place == 0:
                    continue
                flag = f"--{option.name.replace('_', '-')}"
                flag = f"--{kind.removesuffix('s')}-{flag[2:]}" if flag in taken else flag
                found.setdefault(flag, []).append(Owner(kind, name, option))
    return found


class WithPlugins(Grouped):
    """A command with an option for every option of the registered plugins of some kinds.

    Things of one kind may have options of one name and of different types. The things that the command line names
    decide which is meant, and so where a value goes; see `get_options`. If the command has an option of the same name,
    the plugin's gets its kind as a prefix: `--architecture-seed`.
    """

    kinds: tuple[str, ...] = ("architectures", "tokenizers", "datasets")
    usual: Mapping[str, str] = MappingProxyType({})
    """The thing of a kind that is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the line, of which some name things."""
        ctx.meta[_LINE] = tuple(args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters and those of plugins."""
        own = self.list_own_params(ctx)
        things = [self._make_plugin_option(ctx, flag, owners) for flag, owners in self.find_owners(ctx).items()]
        return [*own[:-1], *things, own[-1]]

    def list_own_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters; the last one is `--help`."""
        return super().get_params(ctx)

    def find_owners(self, ctx: click.Context) -> dict[str, list[Owner]]:
        """Find the flags of plugins, each with its owners."""
        return find_flags(self.kinds, list_taken(self.list_own_params(ctx)))

    def find_named(self, ctx: click.Context, kind: str) -> set[str]:
        """Find the things of a kind that the command line names; none for a kind that it leaves open.

        They are named by an option such as `--architecture`, or by arguments.
        """
        line, known = ctx.meta.get(_LINE, ()), registry().offers[kind]
        flag = f"--{kind.removesuffix('s')}"
        by_option = [word.partition("=")[2] for word in line if word.startswith(f"{flag}=")]
        by_option += [word for before, word in pairwise(line) if before == flag]
        if not by_option and (kind == "datasets" or not self._has_option(ctx, flag)):
            by_option = list_arguments(ctx)
        return {name for word in by_option if (name := word.partition(":")[0]) in known}

    def _has_option(self, ctx: click.Context, flag: str) -> bool:
        return any(flag in parameter.opts for parameter in self.list_own_params(ctx))

    def _find_meant(self, ctx: click.Context, kind: str) -> set[str]:
        """Find the things of a kind that are named, or are meant without a name."""
        if named := self.find_named(ctx, kind):
            return named
        if kind == "tokenizers":
            offers = [registry().offers["datasets"][name] for name in self._find_meant(ctx, "datasets")]
            return {getattr(offer.make, "tokenizer", "") for offer in offers}
        return {self.usual[kind]} if kind in self.usual else set()

    def _make_plugin_option(self, ctx: click.Context, flag: str, owners: Sequence[Owner]) -> PluginOption:
        options = [owner.option for owner in owners]
        if len({is_switch(option.type) for option in options}) > 1 and _is_given(ctx, flag):
            meant = {kind: self._find_meant(ctx, kind) for kind in {owner.kind for owner in owners}}
            options = [owner.option for owner in owners if owner.name in meant[owner.kind]] or options
        made = _make_option(flag, options, _collect_option(flag))
        made.list_rows = partial(self._list_rows, ctx, flag, owners)
        return made

    def _list_rows(self, ctx: click.Context, flag: str, owners: Sequence[Owner]) -> Iterator[Row]:
        """Yield a row of help for all owners that have the same option; of a kind that is named, for these alone."""
        alike: dict[tuple[str, str], list[Owner]] = {}
        named = {kind: self.find_named(ctx, kind) for kind in self.kinds}
        for owner in owners:
            if not named[owner.kind] or owner.name in named[owner.kind]:
                alike.setdefault((owner.kind, repr(owner.option)), []).append(owner)
        for (kind, _), same in alike.items():
            option, names = same[0].option, ", ".join(owner.name for owner in same)
            about = f"[{names}] {option.help or option.name.replace('_', ' ')}{_describe_default(option)}"
            yield Row(kind.capitalize(), _show_flag(flag, option), about)


def list_arguments(ctx: click.Context) -> list[str]:
    """List the words of the line that are no options; some may be values of options."""
    return [word for word in ctx.meta.get(_LINE, ()) if not word.startswith("-")]


def _is_given(ctx: click.Context, flag: str) -> bool:
    return any(word.partition("=")[0] in (flag, f"--no-{flag[2:]}") for word in ctx.meta.get(_LINE, ()))


def _describe_default(option: Option) -> str:
    if option.required:
        return ", needed"
    return "" if option.default in (None, "", ()) else f", {_format_default(option.default)} unless given"


class WithReaders(WithPlugins):
    """A command with an option for every option of the readers."""

    kinds = ("readers",)

    def find_named(self, ctx: click.Context, kind: str) -> set[str]:
        """Find the reader of the first file on the line; others may be files to write."""
        suffixes = [Path(word).suffix.lower() for word in list_arguments(ctx)]
        return set([suffix for suffix in suffixes if suffix in registry().offers[kind]][:1])


def get_reader_options(ctx: click.Context, path: Path) -> dict[str, Any]:
    """Return the options on the command line for the reader of a file. Raises BadOption for one that it lacks."""
    suffix = path.suffix.lower()
    known = suffix in registry().offers["readers"]  # if not, reading the file reports it
    return get_options(ctx, [("readers", suffix)])[0] if known else {}


def _format_default(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 40 else text[:36] + "…"


def _collect_option(flag: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def collect(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(_PLUGIN_OPTIONS, {})[flag] = value

    return collect


def get_options(ctx: click.Context, things: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the options on the command line for each (kind, name). Raises BadOption for one that all of them lack.

    Each value is converted by the type that it has there, and is plain again. Raises BadOption for another.
    """
    given: dict[str, Any] = ctx.meta.get(_PLUGIN_OPTIONS, {})
    chosen = list(things)
    for kind, name in chosen:
        registry().get_offer(kind, name)
    owners: dict[str, list[Owner]] = ctx.command.find_owners(ctx)  # type: ignore[attr-defined]
    having = {
        flag: {(o.kind, o.name): o.option for o in of if (o.kind, o.name) in chosen} for flag, of in owners.items()
    }
    for flag in given:
        if not having[flag]:
            named = ", ".join(dict.fromkeys(name for _, name in chosen))
            flags = sorted(flag for flag, options in having.items() if options)
            raise BadOption(f"{flag} is not an option of {named}; {suggest(printable(flag), flags)}")
    return [
        {
            having[flag][thing].name: _convert_plainly(value, having[flag][thing], thing)
            for flag, value in given.items()
            if thing in having[flag]
        }
        for thing in chosen
    ]


def _convert_plainly(value: Any, option: Option, thing: tuple[str, str]) -> Any:
    kind, name = thing
    return make_plain(convert(value, option, f"{kind.removesuffix('s')} '{name}'"))


def make_executor(name: str, options: Iterable[str]) -> Executor:
    """Make an executor from options such as `workers=2`. Raises UnknownName, and BadOption for an invalid option."""
    chosen = {}
    for text in options:
        option, equals, value = text.partition("=")
        if not equals:
            raise BadOption(f"invalid option '{printable(text)}': expected NAME=VALUE, such as workers=2.")
        chosen[option.strip().replace("-", "_")] = value
    made: Executor = registry().make("executors", name, **chosen)
    return made
