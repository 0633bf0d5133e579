"""Options of the command line for the conditions of a model, such as `--style`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing
from composer.cli.options import PluginOption, Row, WithSamplers, list_taken
from composer.cli.transforms import WithTransforms
from composer.errors import BadOption, ComposerError, printable
from composer.generation.options import name_condition_flags
from composer.music.score import Labels

if TYPE_CHECKING:
    from composer.tokens.conditions import Conditions

_LINE = "composer.words"
_OPTIONS = "composer.conditions.options"
_CONDITIONS = "composer.conditions"

MOST_SHOWN = 12
"""Values of a condition that help shows."""


class WithConditions(WithSamplers, WithTransforms):
    """A command with an option for every condition of the model that its line names.

    A condition `style` is asked for by `--style VALUE`. A flag that exists already gets the prefix `condition-`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the line, of which some name the model. Raises UnknownName, BadModelFile for none."""
        ctx.meta[_LINE] = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption:
            read_named_conditions(self.find_model(ctx.meta[_LINE]))
            raise

    def find_model(self, line: Sequence[str]) -> str:
        """Find the name of the model on the line, "" for none."""
        named = [word.partition("=")[2] for word in line if word.startswith("--model=")]
        named += [word for before, word in pairwise(line) if before == "--model"]
        return named[-1] if named else self._find_preset_model(line)

    def _find_preset_model(self, line: Sequence[str]) -> str:
        """Find the model of the preset on the line, "" for none."""
        named = [word.partition("=")[2] for word in line if word.startswith("--preset=")]
        named += [word for before, word in pairwise(line) if before == "--preset"]
        if not named:
            return ""
        from composer.generation.presets import get_preset

        with suppress(ComposerError):  # which is reported when the preset is applied
            return str(get_preset(named[-1]).options.get("model", ""))
        return ""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters, the model's conditions and the samplers."""
        params = super().get_params(ctx)
        if _OPTIONS not in ctx.meta:
            ctx.meta[_OPTIONS] = self._make_options(ctx, list_taken(params))
        place = next((n for n, one in enumerate(params) if isinstance(one, PluginOption)), len(params) - 1)
        return [*params[:place], *ctx.meta[_OPTIONS], *params[place:]]

    def _make_options(self, ctx: click.Context, taken: set[str]) -> list[click.Parameter]:
        name = self.find_model(ctx.meta.get(_LINE, ()))
        try:
            conditions, card = read_named_conditions(name)
        except ComposerError:  # which is reported when the model is opened
            return []
        flags = name_condition_flags([condition for condition, _ in conditions], taken) if conditions else {}
        heading, counts = f"Conditions of {printable(name)}", card.get("conditions", {})
        return [_make_option(flags[condition], condition, values, heading, counts) for condition, values in conditions]


def read_named_conditions(model: str) -> tuple[Conditions, Mapping[str, Any]]:
    """Read the conditions of a model by its name, and its card; none for "". Raises UnknownName, BadModelFile."""
    if not model:
        return (), {}
    from composer.model import find_model, read_conditions

    return read_conditions(find_model(model))


def _make_option(flag: str, name: str, values: Sequence[str], heading: str, counts: Any) -> PluginOption:
    made = PluginOption(
        [flag],
        metavar="TEXT",
        expose_value=False,
        callback=partial(_collect_values, name),
        multiple=True,
        shell_complete=completing.complete_words(values),
    )
    made.list_rows = lambda: (Row(heading, f"{flag} TEXT", _list_values(name, values, counts)),)
    return made


def _list_values(name: str, values: Sequence[str], counts: Any) -> str:
    """List the values of a condition for help, each with its training pieces, if the card has them."""
    own = counts.get(name) if isinstance(counts, Mapping) else None
    pieces = own if isinstance(own, Mapping) else {}
    shown = [f"{value} ({pieces[value]})" if value in pieces else value for value in values[:MOST_SHOWN]]
    return printable(", ".join(shown) + ", …" * (len(values) > MOST_SHOWN), 400)


def _collect_values(name: str, ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> None:
    if len(values) > 1:
        raise BadOption(f"{parameter.opts[0]} is given {len(values)} times; give it once.")
    for value in values:
        ctx.meta.setdefault(_CONDITIONS, {})[name] = value


def list_conditions(ctx: click.Context) -> Labels:
    """Return the conditions on the command line."""
    return tuple(ctx.meta.get(_CONDITIONS, {}).items())
