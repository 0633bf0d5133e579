"""`--preset` and `composer presets`: named sets of options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from composer.cli.tables import print_table
from composer.errors import BadOption, printable, suggest


def _complete_presets(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from composer.generation.presets import list_presets

    return [CompletionItem(name) for name in list_presets() if name.startswith(incomplete)]


def _apply_preset(ctx: click.Context, _: click.Parameter, name: str | None) -> None:
    """Make the options of a preset the defaults of the line. Raises UnknownName, BadOption."""
    if name is None:
        return
    from composer.generation.presets import get_preset

    preset = get_preset(name)
    flags = {flag: one for one in ctx.command.get_params(ctx) for flag in one.opts if isinstance(one, click.Option)}
    known = [flag.removeprefix("--") for flag in flags if flag not in ("--help", "--preset", "--force")]
    defaults: dict[str, Any] = {}
    for key, value in preset.options.items():
        if key not in known:
            raise BadOption(f"preset '{preset.name}' has no option '{printable(key)}': {suggest(key, known)}")
        parameter = flags[f"--{key}"]
        defaults[str(parameter.name)] = [value] if parameter.multiple and not isinstance(value, list) else value
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


option = click.option(
    "--preset",
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_apply_preset,
    shell_complete=_complete_presets,
    help="A set of options, such as hymn, jig or waltz; see `composer presets`. Others on the line count before it.",
)
"""The option of a command whose others a preset may state."""


@click.command()
def presets() -> None:
    """List the presets: names that `composer generate --preset` takes, and their options."""
    from composer.generation.presets import find_presets_file, list_presets

    rows = [[one.name, one.about, " ".join(_format_options(one.options))] for one in list_presets().values()]
    print_table("Presets", ["name", "about", "options"], rows)
    click.echo(f"Add yours to {printable(str(find_presets_file()), 200)}.")


def _format_options(options: Any) -> Iterator[str]:
    """Yield options as they are typed."""
    for name, value in options.items():
        if isinstance(value, bool):
            yield f"--{name}" if value else f"--no-{name}"
            continue
        for each in value if isinstance(value, list) else [value]:
            yield f"--{name} '{each}'" if " " in str(each) else f"--{name} {each}"
