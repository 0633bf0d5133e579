"""Options of the command line for transforms that have one of their own, such as `--instrument`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from composer.cli import completing
from composer.cli.options import Grouped, PluginOption, Row
from composer.plugins.options import NONE, list_members, list_words

_FLAGGED = "composer.flagged"
_FLAGGED_OPTIONS = "composer.flagged.options"


class WithTransforms(Grouped):
    """A command with an option for every transform that has one, such as `--instrument` (`composer.types.HasFlag`)."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters and the transforms'."""
        own = super().get_params(ctx)
        if _FLAGGED_OPTIONS not in ctx.meta:
            ctx.meta[_FLAGGED_OPTIONS] = _make_flagged_options()
        return [*own[:-1], *ctx.meta[_FLAGGED_OPTIONS], own[-1]]


def _make_flagged_options() -> list[click.Parameter]:
    from composer.generation.finishing import is_flag_switch, list_flagged

    options: list[click.Parameter] = []
    for name, offer in list_flagged().items():
        first, is_on = offer.options[0], is_flag_switch(offer)
        named = [word for member in list_members(first.type) for word in list_words(member)]
        words = [*named, *([] if first.required else [NONE])]
        made = PluginOption(
            [f"--{name}"],
            is_flag=is_on,
            default=None,
            metavar=None if is_on else "|".join(words) if len(words) > 1 else "NAME",
            expose_value=False,
            callback=_collect_flagged,
            help=offer.summary,
            shell_complete=completing.complete_words(words) if len(words) > 1 else None,
        )
        text = offer.summary if is_on else f"{offer.summary} ({first.help})"
        shown = f"--{name}" if is_on else f"--{name} {made.metavar}"
        made.list_rows = partial(_list_row, Row("Transforms", shown, text))
        options.append(made)
    return options


def _collect_flagged(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        ctx.meta.setdefault(_FLAGGED, {})[parameter.opts[0].removeprefix("--")] = value


def list_flagged_values(ctx: click.Context) -> dict[str, Any]:
    """Return the values of transforms' own options on the command line, by name."""
    return dict(ctx.meta.get(_FLAGGED, {}))


def _list_row(row: Row) -> tuple[Row, ...]:
    return (row,)
