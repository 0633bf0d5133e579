"""What commands that write pieces have in common: their OUT arguments, a title, and the options of exporters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from composer.cli import completing
from composer.errors import BadOption, printable
from composer.plugins import registry

if TYPE_CHECKING:
    from composer.outputs import Outputs
    from composer.types import Piece


SUFFIX = ".mid"
"""The form of the files of a folder."""


def outs(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments OUT…, as `outs`, in the words of the user: a folder may be known by its last character."""
    return click.argument("outs", nargs=-1, required=True, metavar="OUT...", shell_complete=completing.files_to_write)(
        command
    )


def options(command: Callable[..., None]) -> Callable[..., None]:
    """`--title` and `--export-option`."""
    own = [
        click.option("--title", help="The title, for the forms that show one."),
        click.option(
            "--export-option",
            "export_options",
            multiple=True,
            metavar="SUFFIX.NAME=VALUE",
            help="An option of what writes a form, such as wav.soundfont=mine.sf2.",
        ),
    ]
    for option in reversed(own):
        command = option(command)
    return command


def outputs(outs: Sequence[str], export_options: Sequence[str]) -> Outputs:
    """Where one piece goes. Raises, before the work, CannotWrite and BadOption."""
    from composer.outputs import Outputs, parse_options

    return Outputs.of([Path(out) for out in outs], parse_options(export_options))


def _folder_of(outs: Sequence[str], *, several: bool) -> Path | None:
    """The folder that is asked for, or None for files of one piece. Raises BadOption."""
    folders = [out for out in outs if several or out.endswith(("/", "\\")) or Path(out).is_dir()]
    if not folders:
        return None
    if len(outs) > 1:
        raise BadOption("OUT is one folder, or any number of files for one piece.")
    if (suffix := Path(outs[0]).suffix.lower()) in registry().offers["exporters"] and not Path(outs[0]).exists():
        raise BadOption(f"several pieces go to a folder, and '{printable(outs[0])}' would be a {suffix} file.")
    return Path(outs[0])


@dataclass(frozen=True)
class Shelf:
    """Where the pieces of a command go, one or many, and how they are announced."""

    outputs: Outputs
    folder: Path | None = None  # in which pieces are named after seed and index
    title: str | None = None
    quiet: bool = False

    def put(self, piece: Piece, more: str = "", before: str = "") -> None:
        """Write a piece, and say so."""
        from composer.score import bars

        request = piece.provenance.get("request", {})
        where = self.outputs
        if self.folder is not None:
            where = where.named(self.folder / f"{request.get('seed', 0)}-{request.get('index', 0):06d}")
        if self.title is not None:
            piece = replace(piece, provenance={**piece.provenance, "title": self.title})
        where.write(piece)
        if not self.quiet:
            found = bars(piece.score, piece.score.length)
            whole_bars = max(len(found.signatures) - (piece.score.upbeat > 0), 0)
            counted = f"{whole_bars} bar{'' if whole_bars == 1 else 's'}"
            shown = ", ".join(printable(str(path)) for path in where.paths)
            seed = f", seed {request.get('seed', 0)}" if request else ""
            click.echo(f"{before}{shown}: {piece.score.note_count} notes, {counted}{more}{seed}")


@contextmanager
def shelf(
    outs: Sequence[str], export_options: Sequence[str], title: str | None, *, several: bool, quiet: bool
) -> Iterator[Shelf]:
    """Where the pieces of a command go: files for one piece, or a folder, which vanishes if nothing comes into it.

    Raises, before the work, CannotWrite and BadOption.
    """
    from composer.files import whole_folder

    folder = _folder_of(outs, several=several)
    if folder is None:
        yield Shelf(outputs(outs, export_options), None, title, quiet)
        return
    with whole_folder(folder):
        yield Shelf(outputs([str(folder / f"piece{SUFFIX}")], export_options), folder, title, quiet)
