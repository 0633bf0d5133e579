"""`composer generate`: pieces from a model to files."""

from __future__ import annotations

import secrets
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
@click.argument("out", type=click.Path())
@click.option("--model", "model_name", default="chorales", help="Name of a model, or a .safetensors file.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=1, help="How many pieces; OUT is then a folder.")
@click.option("--seed", type=int, help="The same seed, the same music; a new one is drawn, and shown, unless given.")
@click.option("--index", type=int, help="Only this piece of those of the seed, counted from 0.")
@click.option("--bars", type=int, help="Write exactly so many whole bars (after the primer).")
@click.option("--time-signature", metavar="N/D", help="Metre, such as 3/4.")
@click.option("--key", help="Key, such as Dm, F# or Bb.")
@click.option("--tempo", type=float, help="Quarter notes per minute.")
@click.option("--primer", help='Go on from a music file, or from notes: "D4 E4 F4/2 A4/2".')
@click.option("--device", default="cpu", help="cpu, cuda, …  [cpu]")
@click.option("--stepper", default="auto", help="What runs the model: torch, numpy, …  [the fastest that can]")
@click.option("--precision", default="float32", help="What it computes in: int8 is faster.  [float32]")
@click.option("--quiet", is_flag=True, help="Say nothing but what goes wrong.")
@click.pass_context
def generate(
    ctx: click.Context,
    out: str,
    model_name: str,
    count: int,
    seed: int | None,
    index: int | None,
    bars: int | None,
    time_signature: str | None,
    key: str | None,
    tempo: float | None,
    primer: str | None,
    device: str,
    stepper: str,
    precision: str,
    quiet: bool,
) -> None:
    """Write new music to OUT: a file, whose suffix says the format, or a folder.

    \b
    composer generate chorale.mid
    composer generate tune.mid --model tunes --bars 16 --seed 7 --temperature 0.9 --top-p 0.95
    composer generate out/ --count 20 --time-signature 3/4 --key Dm
    composer generate more.mid --primer mine.mid
    """  # noqa: D301  (a \b keeps click from filling the lines)
    place = Path(out)
    folder = count > 1 or out.endswith(("/", "\\")) or place.is_dir()
    if count > 1 and index is not None:
        raise BadOption("--index asks for one piece and --count for several; give one of them.")
    _check_out(place, folder)
    from composer.generation import chained, open_model

    player = open_model(model_name)
    links = chosen_links(ctx)
    where: dict[str, Any] = {"device": device, "stepper": stepper, "precision": precision}
    wishes = {"bars": bars, "time_signature": time_signature, "key": key, "tempo": tempo}
    asked: dict[str, Any] = {name: wish for name, wish in wishes.items() if wish is not None}
    chosen_seed = _new_seed() if seed is None else seed
    request = chained(replace(player.suggested, seed=chosen_seed, **where, **asked), links)
    if primer is not None:
        request = _primed(player, request, primer)
    first = index or 0
    if folder:
        _write_folder(player, [replace(request, index=first + n) for n in range(count)], place, quiet)
    else:
        _write(player, [(replace(request, index=first), place)], quiet)


def _new_seed() -> int:
    """Short enough to be typed again."""
    return secrets.randbelow(1_000_000)


def _check_out(out: Path, folder: bool) -> None:
    """Refuse, before the work, a place that cannot be written to or a format that nobody writes."""
    from composer.files import check_place, check_suffix

    if not folder:
        check_suffix(out)
        check_place(out)
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
    from composer.score import bars

    for start in range(0, len(jobs), BATCH):
        part = jobs[start : start + BATCH]
        for piece, (request, path) in zip(generate(player, [asked for asked, _ in part]), part, strict=True):
            write_piece(piece, path)
            if not quiet:
                whole_bars = len(bars(piece.score).signatures) - (piece.score.upbeat > 0)
                cost = piece.provenance["nats"].get("constraints")
                said = "" if cost is None else f", constraints cost {cost:.1f} nats"
                click.echo(f"{path}: {piece.score.note_count} notes, {whole_bars} bars{said}, seed {request.seed}")
