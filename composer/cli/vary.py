"""`composer vary`: variations of a piece."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from composer.cli import given, writing
from composer.cli.options import WithSamplers
from composer.generation.options import choose_seed


@click.command(cls=WithSamplers)
@click.argument("piece", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path())
@click.option("--count", type=click.IntRange(1, 1_000_000), default=8, show_default=True, help="How many variations.")
@click.option(
    "--keep", type=float, default=0.7, show_default=True, help="Share of all bars of all voices that is kept."
)
@given.add_options
@click.pass_context
def vary(ctx: click.Context, /, piece: Path, out: str, count: int, keep: float, **options: Any) -> None:
    """Write variations of PIECE to the folder OUT.

    Each keeps some bars of some voices, chosen at random; the others are rewritten to fit.

    \b
    composer vary piece.mid out/ --count 8 --keep 0.7
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = given.FillOptions(**options)
    asked = replace(asked, seed=(seed := choose_seed(asked.seed)))
    kept: dict[str, Any] = {"reads": asked.list_reads(ctx, piece), "force": asked.force, "quiet": asked.quiet}
    stems = (writing.name_piece(seed, index) for index in range(count))
    with writing.open_shelf([out], asked.export_options, asked.title, stems=stems, several=True, **kept) as shelf:
        from composer.generation import infilling
        from composer.io.formats import read_notes

        player, score = given.choose_generator(piece, asked), read_notes(piece)
        request = given.make_request(ctx, player, asked)
        wanted = (replace(request, index=index) for index in range(count))
        given.make(
            player,
            [infilling.plan_variation(player, score, one, keep=keep, **asked.search_options) for one in wanted],
            shelf,
        )
