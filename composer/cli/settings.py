"""Training options of the command line, merged into a recipe."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from composer.cli.options import WithPlugins, get_options
from composer.errors import BadOption, printable
from composer.plugins.options import read_options
from composer.plugins.registry import registry
from composer.plugins.specs import parse_spec

if TYPE_CHECKING:
    from composer.training.loop import Settings
    from composer.training.recipes import Plain

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
    from composer.training.methods import PARTS, USUAL

    kind = plain["dataset"].partition(":")[0]
    things, tables = {"dataset_options": ("datasets", kind)}, {"dataset_options": plain.get("dataset_options", {})}
    if "begin_from" not in plain:
        suggested = registry().get_offer("datasets", kind).make.tokenizer  # type: ignore[attr-defined]
        for key in ("tokenizer", "architecture"):
            tables[key] = plain.get(key, {"name": suggested})
            things[key] = (f"{key}s", tables[key]["name"])
    for key, part in PARTS.items():
        tables[key] = {"name": getattr(USUAL, key).name, **plain.get(key, {})}
        things[key] = (part, tables[key]["name"])
    found = dict(zip(things, get_options(ctx, things.values()), strict=True))
    for key, part in PARTS.items():
        _check_once(ctx.params.get(key), part, found[key])
    filled = {key: {**tables[key], **options} for key, options in found.items()}
    return {**plain, **filled, "training": {**plain.get("training", {}), **ctx.meta.get(_SETTINGS, {})}}


def _check_once(typed: str | None, kind: str, given: Container[str]) -> None:
    """Refuse an option that is typed both in the spec of a thing and by itself. Raises BadOption."""
    if typed is None:
        return
    for name in parse_spec(typed, kind).options:
        if name in given:
            flag = f"--{name.replace('_', '-')}"
            raise BadOption(f"'{printable(typed)}' states '{name}' already; leave out {flag}.")
