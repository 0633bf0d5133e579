"""`composer export`: a piece in other forms."""

from __future__ import annotations

from pathlib import Path

import click

from composer.cli import writing


@click.command()
@click.argument("piece", type=click.Path(path_type=Path))
@writing.outs
@writing.options
@click.option("--quiet", is_flag=True, help="Say nothing but what goes wrong.")
def export(
    piece: Path, outs: tuple[str, ...], force: bool, title: str | None, export_options: tuple[str, ...], quiet: bool
) -> None:
    """Write PIECE, a file in any form that can be read, to every OUT, in the forms that their suffixes say.

    \b
    composer export piece.mid piece.musicxml
    composer export tune.abc tune.mid tune.wav --title "The Humours of Nowhere"
    """  # noqa: D301  (a \b keeps click from filling the lines)
    outputs = writing.outputs(outs, export_options, reads=[piece], force=force, piece="PIECE")
    from composer.files import provenance, read
    from composer.types import Piece

    writing.Shelf(outputs, title=title, quiet=quiet).put(Piece(read(piece), provenance(piece)))
