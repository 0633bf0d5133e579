"""`composer export`: a piece in other formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from composer.cli import writing
from composer.cli.options import WithReaders, get_reader_options

if TYPE_CHECKING:
    from composer.music.score import Score
    from composer.types import Exporter, Piece


@click.command(cls=WithReaders)
@click.argument("piece", type=click.Path(path_type=Path))
@writing.add_outs
@writing.add_options
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def export(
    ctx: click.Context,
    /,
    piece: Path,
    outs: tuple[str, ...],
    force: bool,
    title: str | None,
    export_options: tuple[str, ...],
    quiet: bool,
) -> None:
    """Write PIECE, a file in any readable format, to every OUT, in the formats of their suffixes.

    In sound, the sustain pedal of a MIDI file lengthens notes. In notation (.musicxml, .abc, .pdf, .svg), notes end
    when their keys are released. --pedal chooses one way for all.

    \b
    composer export piece.mid piece.musicxml
    composer export tune.abc tune.mid tune.wav --title "The Humours of Nowhere"
    """  # noqa: D301  (a \b keeps click from filling the lines)
    outputs = writing.make_outputs(outs, export_options, reads=[piece], force=force, piece="PIECE")
    from composer.io.formats import choose_options, read, read_provenance
    from composer.types import Piece

    given = get_reader_options(ctx, piece)
    read_once = cache(lambda options: read(piece, **dict(options)))
    scores = [read_once(tuple({**choose_options(piece, its), **given}.items())) for its in outputs.exporters]
    outputs = replace(outputs, exporters=tuple(map(_Writing, outputs.exporters, scores)))
    writing.Shelf(outputs, title=title, quiet=quiet).put(Piece(scores[0], read_provenance(piece)))


@dataclass(frozen=True)
class _Writing:
    """An exporter that writes a score as it was read for it."""

    exporter: Exporter
    score: Score

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        self.exporter([replace(piece, score=self.score) for piece in pieces], path)
