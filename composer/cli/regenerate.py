"""`composer regenerate`: make a piece again from its provenance, or rewrite some bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing, writing
from composer.cli.writing import Shelf
from composer.errors import BadOption, ComposerError, UnknownName, UnreadableFile, printable
from composer.generation.options import parse_bars, parse_look_ahead, parse_voices

if TYPE_CHECKING:
    from composer.generation.generator import Generator
    from composer.music.score import Score
    from composer.request import Request


@click.command()
@click.argument("piece", type=click.Path(path_type=Path))
@writing.add_outs
@click.option("--bars", metavar="A-B", help="Rewrite only these bars; 1 is the first whole bar, 0 a pickup.")
@click.option("--voice", metavar="NAMES", help="Rewrite only these voices, such as tenor,bass.")
@click.option("--seed", metavar="N|+N", help="Another seed, or a number to add to that of the piece.")
@click.option("--particles", type=int, help="With --bars or --voice: hypotheses that are tried side by side.  [64]")
@click.option("--look-ahead", metavar="BARS", help="With --bars: bars after them that influence them, or `all`.  [2]")
@click.option(
    "--model",
    "model_name",
    shell_complete=completing.complete_names("models", or_files=True),
    help="The model, if it is not found under its name in the piece.",
)
@writing.add_options
@click.option("--quiet", is_flag=True, help="Print errors only.")
def regenerate(
    piece: Path,
    outs: tuple[str, ...],
    bars: str | None,
    voice: str | None,
    seed: str | None,
    particles: int | None,
    look_ahead: str | None,
    model_name: str | None,
    force: bool,
    title: str | None,
    export_options: tuple[str, ...],
    quiet: bool,
) -> None:
    """Make PIECE again, byte for byte, from its provenance and the model; or rewrite some bars or voices.

    The provenance is in the MIDI file of a piece, or beside a file of any format (`piece.mid.json`, `piece.wav.json`).
    PIECE may be either.

    \b
    composer regenerate out.mid again.mid
    composer regenerate out.mid other.mid --bars 9-12 --seed +1
    """  # noqa: D301  (a \b keeps click from filling the lines)
    outputs = writing.make_outputs(outs, export_options, reads=[piece, model_name], force=force, piece="PIECE")
    span, names = None if bars is None else parse_bars(bars), parse_voices(voice)
    around = _collect_search_options(particles, look_ahead, bars=span is not None, some=span is not None or bool(names))
    from composer.generation import tasks
    from composer.generation.finishing import leave_out_whole, repeat_transforms
    from composer.io.formats import read_provenance

    made_by = read_provenance(piece)
    if not made_by:
        raise UnreadableFile(f"{printable(str(piece))}: contains no provenance, and no file beside it does.")
    generator = _load_generator(made_by, model_name, piece)
    try:
        asked = tasks.read_task(made_by)
        request = _apply_seed(tasks.get_request(asked), seed)
        if span is not None or names:
            from composer.generation.infilling import plan_gap

            request, score = leave_out_whole(request), _read_notes(generator, piece, made_by)
            result = tasks.make(generator, [plan_gap(generator, score, request, bars=span, voices=names, **around)])[0]
        elif seed is None:
            result = tasks.regenerate(generator, made_by)
        else:
            made = tasks.make(generator, [tasks.replace_request(asked, request)])[0]
            result = repeat_transforms(made, made_by)
    except BadOption as error:
        raise BadOption(f"{printable(str(piece))}: {error}") from error
    if title is None and isinstance(stated := made_by.get("title"), str):
        title = stated
    Shelf(outputs, title=title, quiet=quiet).put(result)


def _collect_search_options(particles: int | None, look_ahead: str | None, *, bars: bool, some: bool) -> dict[str, Any]:
    """Collect the options of the particle search. Raises BadOption for those without effect."""
    if particles is not None and not some:
        raise BadOption("--particles needs --bars or --voice; add one of them, or leave it out.")
    if look_ahead is not None and not bars:
        raise BadOption("--look-ahead counts bars after those that --bars names; give --bars, or leave it out.")
    options = {} if particles is None else {"particles": particles}
    return options if look_ahead is None else {**options, "look_ahead": parse_look_ahead(look_ahead)}


def _read_notes(generator: Generator, piece: Path, made_by: Mapping[str, Any]) -> Score:
    """Read the notes in the file. If it is not readable as music, make the piece again."""
    from composer.generation.tasks import regenerate
    from composer.io.formats import is_read, read_notes

    return read_notes(piece) if is_read(piece) else regenerate(generator, made_by).score


def _load_generator(made_by: Mapping[str, Any], model_name: str | None, piece: Path) -> Generator:
    """Load the model that made a piece. Raises UnknownName if it is missing, BadOption if it has changed."""
    from composer.generation.composer import open_model
    from composer.generation.generator import Generator

    recorded, wanted = str(made_by.get("model", "")), str(made_by.get("model_hash", ""))
    shown = f"{printable(str(piece))}: was made with the model '{printable(recorded)}' (hash {printable(wanted[:12])})"
    try:
        generator = open_model(model_name or recorded)
    except ComposerError as error:
        raise UnknownName(f"{shown}, which is not here; name it with --model. {error}") from error
    if generator.model.hash != wanted:
        raise BadOption(
            f"{shown}, and '{printable(generator.name)}' is not the same: its hash is {generator.model.hash[:12]}."
        )
    return Generator(generator.model, recorded)


def _apply_seed(request: Request, seed: str | None) -> Request:
    if seed is None:
        return request
    number = seed.removeprefix("+")
    if not number.isdecimal():
        raise BadOption(f"invalid seed '{printable(seed)}': expected a number, such as 7 or +1.")
    chosen = int(number) + (request.seed if seed.startswith("+") else 0)
    return replace(request, seed=chosen, attempt=0 if chosen != request.seed else request.attempt)
