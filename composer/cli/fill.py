"""`composer fill`: new bars or voices within a piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from composer.cli import given, writing
from composer.cli.options import WithSamplers
from composer.errors import BadOption
from composer.generation.options import parse_bars, parse_voices


@click.command(cls=WithSamplers)
@click.argument("piece", type=click.Path(path_type=Path))
@writing.add_outs
@click.option("--bars", metavar="A-B", help="Bars to rewrite; 1 is the first whole bar, 0 a pickup.")
@click.option("--voice", metavar="NAMES", help="Voices to rewrite, such as tenor,bass, or 3,4.")
@given.add_options
@click.pass_context
def fill(
    ctx: click.Context, /, piece: Path, outs: tuple[str, ...], bars: str | None, voice: str | None, **options: Any
) -> None:
    """Rewrite bars or voices of PIECE, so that they fit the notes before, after and beside them.

    Choose them with --bars (of all voices), with --voice (in all bars) or with both (these voices in these bars). All
    other notes stay fixed.

    \b
    composer fill piece.mid out.mid --bars 5-8
    composer fill piece.mid out.mid --voice tenor,bass
    composer fill piece.mid out.mid --bars 5-8 --voice bass --particles 256 --seed 7
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = given.FillOptions(**options)
    shelf = asked.make_shelf(ctx, outs, piece)
    span = None if bars is None else parse_bars(bars)
    names = parse_voices(voice)
    if span is None and not names:
        raise BadOption("choose with --bars or --voice which notes to rewrite.")
    from composer.generation.infilling import plan_gap
    from composer.io.formats import read_notes

    player, score = given.choose_generator(piece, asked), read_notes(piece)
    request = given.make_request(ctx, player, asked)
    given.make(player, [plan_gap(player, score, request, bars=span, voices=names, **asked.search_options)], shelf)
