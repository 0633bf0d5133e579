"""Options of the command line: those of plugins, from their signatures, and those of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from composer.cli import completing
from composer.errors import BadOption, printable, suggest
from composer.generation.options import list_sampler_options
from composer.plugins.options import Option, list_choices, read_options
from composer.plugins.registry import registry
from composer.request import SamplerSpec

if TYPE_CHECKING:
    from composer.training.loop import Settings
    from composer.training.recipes import Plain
    from composer.types import Executor


# --- options of plugins -----------------------------------------------------------------------------------------------


_SAMPLERS = "composer.links"
_OPTIONS = "composer.plugins.options"
_PLUGIN_OPTIONS = "composer.things"


class PluginOption(click.Option):
    """An option of something a plugin offers; help shows it under its own heading."""

    heading = ""


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
        help="Inference backend: torch, numpy, …  [the fastest one that can]",
    )(command)


class Grouped(click.Command):
    """A command whose help shows its own options first, and those of plugins by kind."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, `--help` among the command's own."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                heading = parameter.heading if isinstance(parameter, PluginOption) else "Options"
                groups.setdefault(heading, []).append(record)
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
            ctx.meta[_OPTIONS] = _make_sampler_options({flag for parameter in own for flag in parameter.opts})
        return [*own[:-1], *ctx.meta[_OPTIONS], own[-1]]


def list_samplers(ctx: click.Context) -> tuple[SamplerSpec, ...]:
    """Return the sampler chain of the command line, in its order."""
    chain: dict[str, dict[str, Any]] = ctx.meta.get(_SAMPLERS, {})
    return tuple(SamplerSpec(name, options) for name, options in chain.items())


def list_texts(links: Iterable[SamplerSpec]) -> list[str]:
    """List the texts among the options of a chain, which may name files."""
    return [value for link in links for value in link.options.values() if isinstance(value, str)]


def _make_sampler_options(taken: set[str]) -> list[click.Parameter]:
    options: list[click.Parameter] = []
    for flag, (offer, option) in list_sampler_options(taken).items():
        first = option == offer.options[0]
        text = f"{offer.summary} ({option.help})" if first and option.help else option.help or offer.summary
        link = _collect_sampler(offer.name, option.name)
        options.append(_make_option(flag, option, text, link, "Samplers", multiple=True))
    return options


def _collect_sampler(name: str, option: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def collect(ctx: click.Context, parameter: click.Parameter, values: tuple[Any, ...]) -> None:
        if len(values) > 1:
            raise BadOption(f"{parameter.opts[0]} is given {len(values)} times; give it once.")
        for value in values:
            ctx.meta.setdefault(_SAMPLERS, {}).setdefault(name, {})[option] = value

    return collect


def _make_option(
    flag: str,
    option: Option,
    text: str,
    collect: Callable[[click.Context, click.Parameter, Any], None],
    heading: str,
    *,
    multiple: bool = False,
) -> click.Option:
    """Make an option of the command line. A `multiple` one passes on a tuple of all its values."""
    names, metavar = [flag], {int: "INTEGER", float: "NUMBER", bool: None}.get(option.type, "TEXT")
    metavar = "|".join(list_choices(option.type)) or metavar
    if option.type is bool:
        names = [f"{flag}/--no-{flag[2:]}"]
    made = PluginOption(
        names, metavar=metavar, default=None, expose_value=False, callback=collect, help=text, multiple=multiple
    )
    made.heading = heading
    return made


class WithPlugins(Grouped):
    """A command with an option for every option of the registered plugins of some kinds.

    The command line decides which plugins are used, and so where an option goes; see `get_options`. If the command has
    an option of the same name, the plugin's gets its kind as a prefix: `--architecture-seed`.
    """

    kinds: tuple[str, ...] = ("architectures", "tokenizers", "datasets")

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters and those of plugins."""
        own = self.list_own_params(ctx)
        taken = {flag for parameter in own for flag in parameter.opts}
        found: dict[str, tuple[Option, str, str, list[str]]] = {}
        for kind in self.kinds:
            for name, offer in sorted(registry().offers[kind].items()):
                for option in offer.options:
                    if not (kind == "datasets" and option.required):
                        flag = f"--{option.name.replace('_', '-')}"
                        flag = f"--{kind.removesuffix('s')}-{flag[2:]}" if flag in taken else flag
                        found.setdefault(option.name, (option, flag, kind, []))[3].append(name)
        things = [self._make_plugin_option(*one) for one in found.values()]
        return [*own[:-1], *things, own[-1]]

    def list_own_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters; the last one is `--help`."""
        return super().get_params(ctx)

    def _make_plugin_option(self, option: Option, flag: str, kind: str, names: list[str]) -> click.Option:
        default = "" if option.default in (None, "") else f", {_format_default(option.default)} unless given"
        text = f"[{', '.join(names)}] {option.help or option.name.replace('_', ' ')}{default}"
        return _make_option(flag, option, text, _collect_option(option.name), kind.capitalize())


class WithReaders(WithPlugins):
    """A command with an option for every option of the readers."""

    kinds = ("readers",)


def get_reader_options(ctx: click.Context, path: Path) -> dict[str, Any]:
    """Return the options on the command line for the reader of a file. Raises BadOption for one that it lacks."""
    suffix = path.suffix.lower()
    known = suffix in registry().offers["readers"]  # if not, reading the file reports it
    return get_options(ctx, [("readers", suffix)])[0] if known else {}


def _format_default(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 40 else text[:36] + "…"


def _collect_option(option: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def collect(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value is not None:
            ctx.meta.setdefault(_PLUGIN_OPTIONS, {})[option] = value

    return collect


def get_options(ctx: click.Context, things: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the options on the command line for each (kind, name). Raises BadOption for one that all of them lack."""
    given: dict[str, Any] = ctx.meta.get(_PLUGIN_OPTIONS, {})
    known = [{o.name for o in registry().get_offer(kind, name).options} for kind, name in things]
    for option in given:
        if not any(option in names for names in known):
            flags = sorted(f"--{name.replace('_', '-')}" for names in known for name in names)
            flag = f"--{option.replace('_', '-')}"
            chosen = ", ".join(name for _, name in things)
            raise BadOption(f"{flag} is not an option of {chosen}; {suggest(printable(flag), flags)}")
    return [{name: value for name, value in given.items() if name in names} for names in known]


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


# --- settings of a training, merged into a recipe ---------------------------------------------------------------------


_SETTINGS = "composer.settings"


class WithSettings(WithPlugins):
    """A command with the options of plugins, and those of the training loop."""

    def get_defaults(self) -> Settings:
        """Return the settings that help shows."""
        from composer.training.loop import Settings

        return Settings()

    def list_own_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's parameters and the training loop's."""
        params, usual = super().list_own_params(ctx), self.get_defaults()
        loop = [
            click.Option(
                [f"--{option.name.replace('_', '-')}"],
                type=option.type,
                default=getattr(usual, option.name),
                show_default=True,
                expose_value=False,
                callback=_collect_setting,
                help=option.help,
            )
            for option in read_options(type(usual))
        ]
        return [*params[:-1], *loop, params[-1]]


def _collect_setting(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if is_on_command_line(ctx, parameter):  # a recipe overrides defaults
        ctx.meta.setdefault(_SETTINGS, {})[parameter.name] = value


def is_on_command_line(ctx: click.Context, parameter: click.Parameter) -> bool:
    """Tell whether a parameter is on the command line."""
    return ctx.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE


def merge_options(ctx: click.Context, plain: Plain) -> Plain:
    """Merge the options of the command line into a recipe. Raises BadOption for an option that nothing in it has."""
    kind = plain["dataset"].partition(":")[0]
    things, tables = {"dataset_options": ("datasets", kind)}, {"dataset_options": plain.get("dataset_options", {})}
    if "begin_from" not in plain:
        suggested = registry().get_offer("datasets", kind).make.tokenizer  # type: ignore[attr-defined]
        for key in ("tokenizer", "architecture"):
            tables[key] = plain.get(key, {"name": suggested})
            things[key] = (f"{key}s", tables[key]["name"])
    found = dict(zip(things, get_options(ctx, things.values()), strict=True))
    filled = {key: {**tables[key], **options} for key, options in found.items()}
    return {**plain, **filled, "training": {**plain.get("training", {}), **ctx.meta.get(_SETTINGS, {})}}
