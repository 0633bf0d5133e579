"""Notes of each part: a command for composer."""

from pathlib import Path

import click

from composer import hookimpl
from composer.errors import printable
from composer.types import Offers

COMPOSER_API = 1


@click.command("my-thing")
@click.argument("piece", type=click.Path(path_type=Path))
@click.option("--drums", is_flag=True, help="Count those of drums, too.")
def my_thing(piece: Path, drums: bool) -> None:
    """Count the notes of each part of PIECE.

    PIECE is a file in any format that can be read.
    """
    from composer.io.formats import read  # here, so that help comes at once

    for track in read(piece).tracks:
        if drums or not track.is_drum:
            click.echo(f"{len(track.notes):6}  {printable(track.name)}")


@hookimpl
def register_commands() -> Offers:
    """Offer it as `composer my-thing`."""
    return {"my-thing": my_thing}
