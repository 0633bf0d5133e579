"""`composer fill`, `harmonize` and `vary`: new bars, new voices or variations around the notes of a piece."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from composer.cli import fixed_notes, writing
from composer.errors import BadOption
from composer.generation.options import parse_bars, parse_voices
from composer.generation.readings import parse_grid

# --- fill -------------------------------------------------------------------------------------------------------------


@click.command(cls=fixed_notes.WithPiece)
@click.argument("piece", type=click.Path(path_type=Path))
@writing.add_outs
@click.option("--bars", metavar="A-B", help="Bars to rewrite; 1 is the first whole bar, 0 a pickup.")
@click.option("--voice", metavar="NAMES", help="Voices to rewrite, such as tenor,bass, or 3,4.")
@fixed_notes.count
@fixed_notes.add_options
@click.pass_context
def fill(
    ctx: click.Context, /, piece: Path, outs: tuple[str, ...], bars: str | None, voice: str | None, **options: Any
) -> None:
    """Rewrite bars or voices of PIECE, so that they fit the notes before, after and beside them.

    Choose them with --bars (of all voices), with --voice (in all bars) or with both (these voices in these bars). All
    other notes stay fixed; one that sounds into these bars may end elsewhere in them.

    \b
    composer fill piece.mid out.mid --bars 5-8
    composer fill piece.mid out.mid --voice tenor,bass
    composer fill piece.mid out.mid --bars 5-8 --voice bass --particles 256 --seed 7
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = fixed_notes.FillOptions.of(options)
    with asked.open_shelf(ctx, outs, piece) as shelf:
        span = None if bars is None else parse_bars(bars)
        names = parse_voices(voice)
        if span is None and not names:
            raise BadOption("choose with --bars or --voice which notes to rewrite.")
        from composer.generation.infilling import plan_gap
        from composer.io.formats import read_notes

        generator, score = fixed_notes.choose_generator(piece, asked), read_notes(piece)
        around: dict[str, Any] = {"bars": span, "voices": names, **asked.search_options}
        plan = partial(plan_gap, generator, score, **around)
        fixed_notes.make(generator, plan, fixed_notes.make_request(ctx, generator, asked), asked, shelf)


# --- harmonize --------------------------------------------------------------------------------------------------------


@click.command(cls=fixed_notes.WithPiece)
@click.argument("melody")
@writing.add_outs
@click.option("--voice", metavar="NAME", help="The voice that has the melody.  [the first]")
@click.option("--key", help="Key of a melody without one, such as Dm, F# or Bb.  [estimated]")
@click.option("--time-signature", metavar="N/D", help="Time signature of a melody without one, such as 3/4.  [4/4]")
@click.option("--track", metavar="NAME", help="The melody's track, by name or number, in a file with others.")
@click.option(
    "--transpose", type=click.IntRange(-48, 48), default=0, help="Read a low or high melody so many semitones higher."
)
@click.option("--quantize", metavar="1/8", help="Read a played melody on this grid, or `no`; it stays as it is.")
@fixed_notes.count
@fixed_notes.add_options
@click.pass_context
def harmonize(
    ctx: click.Context,
    /,
    melody: str,
    outs: tuple[str, ...],
    voice: str | None,
    key: str | None,
    time_signature: str | None,
    track: str | None,
    transpose: int,
    quantize: str | None,
    **options: Any,
) -> None:
    """Write the other voices to MELODY, which stays note for note.

    MELODY is a music file, or notes such as "D4 E4 F4/2 A4/2". The piece has its time signature, length, pickup and
    key.

    \b
    composer harmonize melody.mid harmonized.mid --model chorales
    composer harmonize melody.mid harmonized.mid --voice tenor --seed 7
    composer harmonize "D4 E4 F4/2 A4/2 G4*2" harmonized.mid --key Dm
    composer harmonize song.mid choose.html --track Melody --count 8 --best 3
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = fixed_notes.FillOptions.of(options)
    grid = None if quantize is None else parse_grid(quantize)
    with asked.open_shelf(ctx, outs, melody, "MELODY") as shelf:
        from composer.generation.finishing import include_typed
        from composer.generation.infilling import plan_harmony
        from composer.generation.primers import is_typed, read_primer
        from composer.music.score import Tempo

        typed, score = is_typed(melody), read_primer(melody, "the melody")
        generator = fixed_notes.choose_generator(None if typed else Path(melody), asked)
        if typed and generator.suggested.tempo is not None:
            score = replace(score, tempos=(Tempo(0, generator.suggested.tempo),))
        request = fixed_notes.make_request(ctx, generator, asked)
        request = include_typed(request) if typed else request
        around: dict[str, Any] = {"voice": voice, "track": track, "transpose": transpose, "grid": grid}
        plan = partial(plan_harmony, generator, score, own_track=not typed, **around, **asked.search_options)
        fixed_notes.make(generator, plan, replace(request, key=key, time_signature=time_signature), asked, shelf)


# --- vary -------------------------------------------------------------------------------------------------------------


@click.command(cls=fixed_notes.WithPiece)
@click.argument("piece", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path())
@click.option("--count", type=click.IntRange(1, 1_000_000), default=8, show_default=True, help="How many variations.")
@click.option(
    "--keep", type=float, default=0.7, show_default=True, help="Share of all bars of all voices that is kept."
)
@fixed_notes.add_options
@click.pass_context
def vary(ctx: click.Context, /, piece: Path, out: str, keep: float, **options: Any) -> None:
    """Write variations of PIECE to OUT: a folder, or one page (.html) to choose from.

    Each keeps some bars of some voices, chosen at random; the others are rewritten to fit.

    \b
    composer vary piece.mid out/ --count 8 --keep 0.7
    composer vary piece.mid choose.html --count 8 --best 3
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = fixed_notes.FillOptions.of(options)
    with asked.open_shelf(ctx, [out], piece, several=True) as shelf:
        from composer.generation.infilling import plan_variation
        from composer.io.formats import read_notes

        generator, score = fixed_notes.choose_generator(piece, asked), read_notes(piece)
        plan = partial(plan_variation, generator, score, keep=keep, **asked.search_options)
        fixed_notes.make(generator, plan, fixed_notes.make_request(ctx, generator, asked), asked, shelf)
