"""The commands that plugins offer; each is imported when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composer.plugins import help_lines

if TYPE_CHECKING:
    import click


def list_commands() -> dict[str, str]:
    """Return the help line of each command that plugins offer, by name; from the cache, where it still fits."""
    if (recalled := help_lines.recall()) is not None:
        return recalled
    from composer.plugins.registry import registry

    help_lines.keep(registry())
    return help_lines.make_lines(registry())


def load(name: str) -> click.Command | None:
    """Import the command of that name; None where no plugin offers it. Raises UnknownName for a plugin broken now."""
    from composer.plugins.registry import registry

    offer = registry().offers["commands"].get(name)
    command: click.Command | None = offer.load_thing() if offer else None
    return command
