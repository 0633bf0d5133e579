"""Hints for options of other programs, and for files whose names look like options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import click

from composer.errors import printable

TO_WRITE = ("-o", "-O", "--out", "--outfile", "--output", "--output-file", "--to")
"""Names in other programs for the option of the file to write."""

TO_REPLACE = ("-f", "-y", "--clobber", "--overwrite", "--replace", "--yes")
"""Names of `--force` in other programs."""


TO_LAST = ("--length", "--len", "--measures", "--num-bars", "--bar", "--duration")
"""Names in other programs for `--bars`."""


def explain(error: click.NoSuchOption, arguments: Sequence[str]) -> str | None:
    """Explain what to type instead of an option that a command does not have; None if that is not known."""
    if error.ctx is None:
        return None
    parameters = error.ctx.command.get_params(error.ctx)
    flags = {flag for parameter in parameters if isinstance(parameter, click.Option) for flag in parameter.opts}
    name, path = error.option_name, error.ctx.command_path
    shown = printable(name)
    if name in TO_WRITE and any(_is_written(parameter) for parameter in parameters):
        usage = " ".join([path, *error.ctx.command.collect_usage_pieces(error.ctx)])
        return f"there is no option {shown}: files to write are arguments, as in `{usage}`."
    for meant, names in (("--out", TO_WRITE), ("--force", TO_REPLACE), ("--bars", TO_LAST)):
        if name in names and meant in flags:
            return f"`{path}` has no option {shown}; {meant} is what it has."
    if file := next((word for word in arguments if word.startswith(name) and _is_music(word)), None):
        return f"'{printable(file)}' begins as an option does; write ./{printable(file)} for a file of that name."
    return None


def _is_written(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument) and parameter.name in ("outs", "out", "page")


def _is_music(word: str) -> bool:
    from composer.plugins.registry import registry

    suffix, offers = PurePath(word).suffix.lower(), registry().offers
    return "=" not in word and (suffix in offers["exporters"] or suffix in offers["readers"])
