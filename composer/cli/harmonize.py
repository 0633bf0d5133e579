"""`composer harmonize`: voices to a melody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from composer.cli import given, writing
from composer.cli.options import WithSamplers


@click.command(cls=WithSamplers)
@click.argument("melody", type=click.Path(path_type=Path))
@writing.outs
@click.option("--voice", metavar="NAME", help="The voice that has the melody.  [the first]")
@given.options
@click.pass_context
def harmonize(ctx: click.Context, /, melody: Path, outs: tuple[str, ...], voice: str | None, **options: Any) -> None:
    """Write the other voices to MELODY, which stays note for note.

    The piece has the melody's metre, length, upbeat and key; where it states none, the key is estimated.

    \b
    composer harmonize melody.mid harmonized.mid --model chorales
    composer harmonize melody.mid harmonized.mid --voice tenor --seed 7
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = given.Asked(**options)
    shelf = asked.shelf(outs)
    from composer import filling
    from composer.files import read_notes

    player, score = given.player_for(melody, asked), read_notes(melody)
    request = given.request_of(ctx, player, asked)
    given.make(player, [filling.harmonize(player, score, request, voice=voice, **asked.around)], shelf)
