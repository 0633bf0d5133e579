"""`composer harmonize`: voices to a melody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from composer.cli import given, writing
from composer.cli.options import WithSamplers


@click.command(cls=WithSamplers)
@click.argument("melody")
@writing.add_outs
@click.option("--voice", metavar="NAME", help="The voice that has the melody.  [the first]")
@click.option("--key", help="Key of a melody without one, such as Dm, F# or Bb.  [estimated]")
@click.option("--time-signature", metavar="N/D", help="Time signature of a melody without one, such as 3/4.  [4/4]")
@given.add_options
@click.pass_context
def harmonize(
    ctx: click.Context,
    /,
    melody: str,
    outs: tuple[str, ...],
    voice: str | None,
    key: str | None,
    time_signature: str | None,
    **options: Any,
) -> None:
    """Write the other voices to MELODY, which stays note for note.

    MELODY is a music file, or notes such as "D4 E4 F4/2 A4/2". The piece has its time signature, length, pickup and
    key.

    \b
    composer harmonize melody.mid harmonized.mid --model chorales
    composer harmonize melody.mid harmonized.mid --voice tenor --seed 7
    composer harmonize "D4 E4 F4/2 A4/2 G4*2" harmonized.mid --key Dm
    """  # noqa: D301  (a \b keeps click from filling the lines)
    asked = given.FillOptions(**options)
    shelf = asked.make_shelf(ctx, outs, melody, "MELODY")
    from composer.generation import infilling
    from composer.generation.primers import is_typed, read_primer
    from composer.music.score import Tempo

    typed, score = is_typed(melody), read_primer(melody, "the melody")
    player = given.choose_generator(None if typed else Path(melody), asked)
    if typed and player.suggested.tempo is not None:
        score = replace(score, tempos=(Tempo(0, player.suggested.tempo),))
    request = replace(given.make_request(ctx, player, asked), key=key, time_signature=time_signature)
    wanted = infilling.plan_harmony(player, score, request, voice=voice, own_track=not typed, **asked.search_options)
    given.make(player, [wanted], shelf)
