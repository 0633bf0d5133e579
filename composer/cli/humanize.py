"""`composer humanize`: onsets and loudness as a player's; the notes stay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from composer.cli import fixed_notes, writing
from composer.cli.conditions import WithConditions

DRUMMER = "drums"
"""The model that plays, unless another is named."""


class WithDrummer(WithConditions):
    """A command whose model is `drums`, unless another is named."""

    def find_model(self, line: Sequence[str]) -> str:
        """Find the name of the model on the line, or that of the command's own."""
        return super().find_model(line) or DRUMMER


@click.command(cls=WithDrummer)
@click.argument("piece", type=click.Path(path_type=Path))
@writing.add_outs
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="0: on the grid, with the loudness given; 1: as the model plays.",
)
@fixed_notes.count
@fixed_notes.add_options_without_gap(DRUMMER)
@click.pass_context
def humanize(ctx: click.Context, /, piece: Path, outs: tuple[str, ...], strength: float, **options: Any) -> None:
    """Play PIECE as a player would: onsets and loudness are new, and the notes stay.

    The model is `drums`, which plays the drums of PIECE; other parts stay as they are.

    \b
    composer humanize stiff.mid played.mid --strength 0.7
    composer humanize stiff.mid played.mid --style funk --seed 7
    composer humanize played.mid stiff.mid --strength 0
    composer humanize stiff.mid choose.html --count 4
    """  # noqa: D301  (a \b keeps click from filling the lines)
    options["model_name"] = options["model_name"] or DRUMMER
    asked = fixed_notes.FillOptions.of(options)
    with asked.open_shelf(ctx, outs, piece) as shelf:
        from composer.generation.humanizing import plan_performance
        from composer.io.formats import read_notes

        generator, score = fixed_notes.choose_generator(piece, asked), read_notes(piece)
        plan = partial(plan_performance, generator, score, strength=strength, particles=asked.particles)
        request = fixed_notes.make_request(ctx, generator, asked, usual=False)
        fixed_notes.make(generator, plan, request, asked, shelf)
