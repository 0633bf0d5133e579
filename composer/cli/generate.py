"""`composer generate`: pieces from a model to files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli.options import WithSamplers, chosen_links
from composer.errors import BadOption, CannotWrite, printable

if TYPE_CHECKING:
    from composer.generation import Player
    from composer.request import Request


@click.command(cls=WithSamplers)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--model", "model_name", default="chorales", help="Name of a model, or a .safetensors file.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1, help="How many pieces; OUT is then a folder.")
@click.option("--seed", type=int, default=0, help="Another seed, other music.  [0]")
@click.option("--index", type=int, help="Only this piece of those of the seed, counted from 0.")
@click.option("--bars", type=int, help="Write exactly so many whole bars (after the primer).")
@click.option("--time-signature", metavar="N/D", help="Metre, such as 3/4.")
@click.option("--key", help="Key, such as Dm, F# or Bb.")
@click.option("--tempo", type=float, help="Quarter notes per minute.")
@click.option("--primer", help='Go on from a music file, or from notes: "D4 E4 F4/2 A4/2".')
@click.option("--device", default="cpu", help="cpu, cuda, …  [cpu]")
@click.option("--quiet", is_flag=True, help="Say nothing but what goes wrong.")
@click.pass_context
def generate(
    ctx: click.Context,
    out: Path,
    model_name: str,
    count: int,
    seed: int,
    index: int | None,
    bars: int | None,
    time_signature: str | None,
    key: str | None,
    tempo: float | None,
    primer: str | None,
    device: str,
    quiet: bool,
) -> None:
    """Write new music to OUT: a file, whose suffix says the format, or a folder.

    \b
    composer generate chorale.mid
    composer generate tune.mid --model tunes --bars 16 --seed 7 --temperature 0.9 --top-p 0.95
    composer generate out/ --count 20 --time-signature 3/4 --key Dm
    composer generate more.mid --primer mine.mid
    """  # noqa: D301  (a \b keeps click from filling the lines)
    folder = count > 1 or str(out).endswith(("/", "\\")) or out.is_dir()
    if count > 1 and index is not None:
        raise BadOption("--index asks for one piece and --count for several; give one of them.")
    _check_out(out, folder)
    from composer.generation import open_model

    player = open_model(model_name)
    links = chosen_links(ctx)
    asked = {"bars": bars, "time_signature": time_signature, "key": key, "tempo": tempo}
    request = replace(
        player.suggested,
        seed=seed,
        device=device,
        **{name: value for name, value in asked.items() if value is not None},
    )
    if links:
        request = replace(request, samplers=links)
    if primer is not None:
        request = _primed(player, request, primer)
    first = index or 0
    if folder:
        _write_folder(player, [replace(request, index=first + n) for n in range(count)], out, quiet)
    else:
        _write(player, [(replace(request, index=first), out)], quiet)


def _check_out(out: Path, folder: bool) -> None:
    """Refuse, before the work, a place that cannot be written to or a format that nobody writes."""
    from composer.files import check_suffix

    if not folder:
        check_suffix(out)
        if not out.absolute().parent.is_dir():
            raise CannotWrite(f"{printable(str(out))}: there is no folder {printable(str(out.parent))}.")
    elif out.exists() and not out.is_dir():
        raise CannotWrite(f"{printable(str(out))}: is a file; several pieces need a folder.")


def _primed(player: Player, request: Request, primer: str) -> Request:
    from composer.generation import with_primer
    from composer.primers import read_primer

    return with_primer(player, request, read_primer(primer))


SUFFIX = ".mid"
"""Format of the files of a folder."""


def _write_folder(player: Player, requests: list[Request], folder: Path, quiet: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(f"{printable(str(folder))}: cannot be made ({error.strerror}).") from error
    _write(player, [(r, folder / f"{r.seed}-{r.index:06d}{SUFFIX}") for r in requests], quiet)


def _write(player: Player, jobs: list[tuple[Request, Path]], quiet: bool) -> None:
    """Batch by batch, so that pieces are there while later ones are written."""
    from composer.files import write_piece
    from composer.generation import BATCH, generate

    for start in range(0, len(jobs), BATCH):
        part = jobs[start : start + BATCH]
        for piece, (_, path) in zip(generate(player, [request for request, _ in part]), part, strict=True):
            write_piece(piece, path)
            if not quiet:
                notes, end = piece.score.note_count, piece.score
                click.echo(f"{path}: {notes} notes, {_bars(end)} bars")


def _bars(score: object) -> int:
    from composer.score import Score, bars

    assert isinstance(score, Score)  # noqa: S101
    return len(bars(score).signatures) - (score.upbeat > 0)
