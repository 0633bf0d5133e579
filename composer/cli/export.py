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
from composer.cli.transforms import WithTransforms, list_flagged_values

if TYPE_CHECKING:
    from composer.music.score import Score
    from composer.types import Exporter, Piece


class _Exporting(WithReaders, WithTransforms):
    """A command with the options of readers and transforms."""


@click.command(cls=_Exporting)
@click.argument("piece", type=click.Path(path_type=Path))
@writing.add_outs
@writing.transform
@click.option("--seed", type=click.IntRange(0, 2**64 - 1), default=0, show_default=True, help="Of the transforms.")
@writing.add_options
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def export(
    ctx: click.Context,
    /,
    piece: Path,
    outs: tuple[str, ...],
    transforms: tuple[str, ...],
    seed: int,
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
    composer export played.mid straight.mid --transform quantize:grid=4,strength=0.8
    """  # noqa: D301  (a \b keeps click from filling the lines)
    outputs = writing.make_outputs(outs, export_options, reads=[piece], force=force, piece="PIECE")
    from composer.generation.finishing import add_flagged, read_transforms, record_transforms, transform_again
    from composer.io.formats import choose_options, read, read_provenance
    from composer.types import Piece

    specs = add_flagged(read_transforms(transforms), list_flagged_values(ctx), usual=False)
    given = get_reader_options(ctx, piece)
    read_once = cache(lambda options: read(piece, **dict(options)))
    scores = [read_once(tuple({**choose_options(piece, its), **given}.items())) for its in outputs.exporters]
    scores = [transform_again(score, specs, seed) for score in scores]
    if specs and title is None:
        title = scores[0].title or None  # as in the file, so that it can be made again with it
    outputs = replace(outputs, exporters=tuple(map(_Writing, outputs.exporters, scores)))
    writing.Shelf(outputs, title=title, quiet=quiet).put(
        Piece(scores[0], record_transforms(read_provenance(piece), specs, seed))
    )


@dataclass(frozen=True)
class _Writing:
    """An exporter that writes a score as it was read for it."""

    exporter: Exporter
    score: Score

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        self.exporter([replace(piece, score=self.score) for piece in pieces], path)
