"""`composer harmonize`, `accompany` and `chords`: what goes with a given part, which stays note for note."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli import fixed_notes, writing
from composer.generation.readings import parse_grid

if TYPE_CHECKING:
    from composer.generation.infilling import Fill

ACCOMPANIST = "songs"
"""The model that accompanies, unless another is named."""

_OPTIONS = (
    click.option("--key", help="Key of a melody without one, such as Dm, F# or Bb.  [estimated]"),
    click.option("--time-signature", metavar="N/D", help="Time signature of a melody without one, such as 3/4.  [4/4]"),
    click.option("--track", metavar="NAME", help="The melody's track, by name or number, in a file with others."),
    click.option(
        "--transpose",
        type=click.IntRange(-48, 48),
        default=0,
        help="Read a low or high melody so many semitones higher.",
    ),
    click.option("--quantize", metavar="1/8", help="Read a played melody on this grid, or `no`; it stays as it is."),
    fixed_notes.count,
    fixed_notes.add_options,
)


_add_voice = click.option("--voice", metavar="NAME", help="The model's part that the melody stands for.  [the first]")


def _add_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which takes OUT and these by name."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return writing.add_outs(command)


@click.command(cls=fixed_notes.WithPiece)
@click.argument("melody")
@_add_voice
@_add_options
@click.pass_context
def harmonize(ctx: click.Context, /, melody: str, outs: tuple[str, ...], **options: Any) -> None:
    """Write the other voices to MELODY, which stays note for note.

    MELODY is a music file, or notes such as "D4 E4 F4/2 A4/2". The piece has its time signature, length, pickup and
    key.

    \b
    composer harmonize melody.mid harmonized.mid --model chorales
    composer harmonize melody.mid harmonized.mid --voice tenor --seed 7
    composer harmonize "D4 E4 F4/2 A4/2 G4*2" harmonized.mid --key Dm
    composer harmonize song.mid choose.html --track Melody --count 8 --best 3
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.generation.accompanying import plan_parts

    _write_parts(ctx, melody, outs, plan_parts, **options)


@click.command(cls=fixed_notes.WithPiece)
@click.argument("melody")
@_add_voice
@_add_options
@click.pass_context
def accompany(ctx: click.Context, /, melody: str, outs: tuple[str, ...], **options: Any) -> None:
    """Write an accompaniment to MELODY, which stays note for note.

    MELODY is a music file, or notes such as "D4 E4 F4/2 A4/2". The model is `songs`, a piano to a voice, unless another
    is named. Chord symbols of a lead sheet are obeyed; `--chords none` leaves them out.

    \b
    composer accompany melody.mid song.mid --model songs
    composer accompany leadsheet.musicxml song.mid --quantize 1/8
    composer accompany song.mid choose.html --track Melody --count 8 --best 3
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.generation.accompanying import plan_parts

    options["model_name"] = options["model_name"] or ACCOMPANIST
    _write_parts(ctx, melody, outs, plan_parts, **options)


@click.command(cls=fixed_notes.WithPiece)
@click.argument("melody")
@_add_options
@click.pass_context
def chords(ctx: click.Context, /, melody: str, outs: tuple[str, ...], **options: Any) -> None:
    """Write chord symbols to MELODY, which stays note for note.

    MELODY is a music file, or notes such as "D4 E4 F4/2 A4/2". Chord symbols in it are left out. The model is one that
    writes chord symbols: a lead sheet's.

    \b
    composer chords melody.mid lead.musicxml --model leadsheets
    composer chords melody.mid lead.pdf --model leadsheets --key Dm --seed 7
    composer chords song.mid choose.html --model leadsheets --track Melody --count 8 --best 3
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.generation.accompanying import plan_chords

    _write_parts(ctx, melody, outs, plan_chords, **options)


def _write_parts(
    ctx: click.Context,
    melody: str,
    outs: tuple[str, ...],
    plan: Callable[..., Fill],
    *,
    key: str | None,
    time_signature: str | None,
    track: str | None,
    transpose: int,
    quantize: str | None,
    **options: Any,
) -> None:
    """Write new parts to a melody by a plan, which may have a `voice` of its own."""
    around: dict[str, Any] = {"voice": options.pop("voice")} if "voice" in options else {}
    around |= {"track": track, "transpose": transpose, "grid": None if quantize is None else parse_grid(quantize)}
    asked = fixed_notes.FillOptions.of(options)
    with asked.open_shelf(ctx, outs, melody, "MELODY") as shelf:
        from composer.generation.finishing import include_typed
        from composer.generation.primers import is_typed, read_primer
        from composer.music.score import Tempo

        typed, score = is_typed(melody), read_primer(melody, "the melody")
        generator = fixed_notes.choose_generator(None if typed else Path(melody), asked)
        if typed and generator.suggested.tempo is not None:
            score = replace(score, tempos=(Tempo(0, generator.suggested.tempo),))
        request = fixed_notes.make_request(ctx, generator, asked)
        request = include_typed(request) if typed else request
        planned = partial(plan, generator, score, own_track=not typed, **around, **asked.search_options)
        fixed_notes.make(generator, planned, replace(request, key=key, time_signature=time_signature), asked, shelf)
