"""Shared by the commands that write: OUT arguments, `--force`, a title, and export options."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing
from composer.cli.progress import show_bars, show_work
from composer.errors import BadOption, BatchFailed, ComposerError, NothingAllowed, RequestWarning, printable
from composer.plugins.registry import registry
from composer.types import IsGallery

if TYPE_CHECKING:
    from composer.generation.generator import Generator
    from composer.generation.tasks import Task
    from composer.io.outputs import Outputs
    from composer.music.score import Score
    from composer.types import Piece


SUFFIX = ".mid"
"""The format of files in a folder."""


def add_outs(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments OUT…, as `outs`. They stay texts, since a trailing slash marks a folder."""
    return click.argument(
        "outs", nargs=-1, required=True, metavar="OUT...", shell_complete=completing.complete_outputs
    )(command)


force = click.option("--force", is_flag=True, help="Replace existing files.")
"""The option of every command that writes a file."""


def add_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--force`, `--title` and `--export-option`."""
    own = [
        force,
        click.option("--title", help="Title of the piece, in formats that have one."),
        click.option(
            "--export-option",
            "export_options",
            multiple=True,
            metavar="SUFFIX.NAME=VALUE",
            help="An option of an exporter, such as wav.soundfont=mine.sf2.",
        ),
    ]
    for option in reversed(own):
        command = option(command)
    return command


def _make_specs_option(kind: str, about: str) -> Callable[[Any], Any]:
    """Make an option that names things of a kind, each with its options."""
    return click.option(
        f"--{kind.removesuffix('s')}",
        kind,
        multiple=True,
        metavar="NAME:OPTION=VALUE,…",
        shell_complete=completing.complete_specs(kind),
        help=about,
    )


transform = _make_specs_option(
    "transforms", "Change the finished piece, such as quantize:grid=8 or humanize; several in order."
)
"""The option of every command that writes pieces."""

rule = _make_specs_option("rules", "Retry a piece that breaks this rule, such as ends-on-tonic or leaps:7.")
"""The option of every command that generates pieces."""


def make_outputs(
    outs: Sequence[str],
    export_options: Sequence[str],
    *,
    reads: Iterable[str | Path | None],
    force: bool,
    piece: str = "",
) -> Outputs:
    """Choose the files of one piece. Raises CannotWrite and BadOption before the work.

    `reads` are words of the command line that may name files to read. `piece` is the argument for the one file to read,
    in a command that takes such a file first, and then files to write.
    """
    from composer.io.formats import is_read
    from composer.io.outputs import Outputs, check, find_named, parse_options

    found = Outputs.of([Path(out) for out in outs], parse_options(export_options), force=force)
    many = piece and len(outs) > 1 and any(is_read(path) and os.path.lexists(path) for path in found.paths)
    hint = f", and this command takes one {piece} and then files to write" if many else ""
    check(found.files, reads=find_named(*reads, *export_options), force=force, hint=hint)
    return found


@contextmanager
def guard_plot(plot: Path | None, *, reads: Iterable[str | Path | None], force: bool) -> Iterator[None]:
    """Guard the file of a plot, if one is requested, during the work. Raises CannotWrite before the work.

    `reads` are words of the command line that may name files to read.
    """
    if plot is None:
        yield
        return
    from composer.io.outputs import find_named, guard
    from composer.metrics.plots import check_plot

    check_plot(plot)
    with guard([plot], reads=find_named(*reads), force=force):
        yield


def _find_folder(outs: Sequence[str], *, several: bool) -> Path | None:
    """Return the requested folder, or None for files of one piece. Raises BadOption."""
    if several and len(outs) == 1 and _is_gallery(Path(outs[0])):
        return None
    folders = [out for out in outs if several or out.endswith(("/", "\\")) or os.path.isdir(out)]  # noqa: PTH112
    if not folders:
        return None
    if len(outs) > 1:
        raise BadOption("OUT is one folder, or any number of files for one piece.")
    if (suffix := Path(outs[0]).suffix.lower()) in registry().offers["exporters"] and not Path(outs[0]).exists():
        raise BadOption(f"several pieces go to a folder, and '{printable(outs[0])}' would be a {suffix} file.")
    return Path(outs[0])


def _is_gallery(path: Path) -> bool:
    """Tell whether a file of this name shows several pieces."""
    offer = registry().offers["exporters"].get(path.suffix.lower())
    return offer is not None and isinstance(offer.make, IsGallery) and not path.is_dir()


@dataclass(frozen=True)
class Shelf:
    """The destination of a command's pieces, one or many, and how they are announced."""

    outputs: Outputs
    folder: Path | None = None  # pieces in it are named after seed and index
    title: str | None = None
    quiet: bool = False
    gallery: list[Piece] | None = None  # pieces that are to be shown together in one file
    missing: list[int] = field(default_factory=list)  # numbers of pieces that cannot be made

    @property
    def takes_several(self) -> bool:
        """Whether there is room for more than one piece."""
        return self.folder is not None or self.gallery is not None

    def put(self, piece: Piece, more: str = "", before: str = "") -> None:
        """Write a piece, and print a line about it."""
        from composer.music.general_midi import describe_out_of_range

        request = piece.provenance.get("request", {})
        where = self.outputs
        if self.folder is not None:
            where = where.rename(self.folder / name_piece(request.get("seed", 0), request.get("index", 0)))
        if self.title is not None:
            piece = replace(piece, provenance={**piece.provenance, "title": self.title})
        if self.gallery is None:
            where.write(piece)
        else:
            self.gallery.append(piece)
        if outside := describe_out_of_range(piece.score):
            warnings.warn(f"{printable(str(where.paths[0]))}: {outside}", RequestWarning, stacklevel=2)
        if not self.quiet:
            shown = ", ".join(printable(str(path)) for path in where.paths)
            seed = f", seed {request.get('seed', 0)}" if request else ""
            seed += f", index {request.get('index', 0)}" if self.gallery is not None else ""
            click.echo(f"{before}{shown}: {piece.score.note_count} notes, {_count_bars(piece.score)}{more}{seed}")

    def report_missing(self, number: int, error: ComposerError) -> None:
        """Report that a piece cannot be made. Raise the error again if it would stop every other piece, too."""
        if not self.takes_several or not isinstance(error, NothingAllowed):
            raise error
        self.missing.append(number)
        click.echo(f"composer: piece {number} cannot be written: {error}", err=True)

    def close(self) -> None:
        """Write the gallery, if there is one. Raises BatchFailed if pieces are missing."""
        if self.gallery:
            self.outputs.write_gallery(self.gallery)
        if self.missing:
            shown = f"{len(self.missing)} of the pieces {'is' if len(self.missing) == 1 else 'are'} missing"
            raise BatchFailed(f"{shown}; loosen the samplers, or ask for another seed.")


def _count_bars(score: Score) -> str:
    from composer.music.score import compute_bars

    try:
        count = max(len(compute_bars(score, score.length).signatures) - (score.upbeat > 0), 0)
    except ValueError as error:  # too long to be counted
        return str(error)
    return f"{count} bar{'' if count == 1 else 's'}"


def write(generator: Generator, asked: Iterable[Task], shelf: Shelf) -> None:
    """Write each piece as soon as those before it are finished, and print a summary of retries at the end.

    Raises BatchFailed at the end if some cannot be made.
    """
    from composer.generation.tasks import generate_each, put_in_order

    count: Counter[str] = Counter()
    for number, piece in enumerate(show_work(put_in_order(generate_each(generator, asked)), quiet=shelf.quiet)):
        if isinstance(piece, ComposerError):
            shelf.report_missing(number, piece)
            continue
        times = piece.provenance.get("redrawn", 0)
        count.update(pieces=1, redrawn=times > 0, redraws=times, degenerate="degenerate" in piece.provenance)
        count.update(broken="broken" in piece.provenance)
        shelf.put(piece, describe(piece))
    if count["pieces"] > 1 and count["redraws"] and not shelf.quiet:
        still = f", {count['degenerate']} still degenerate" if count["degenerate"] else ""
        still += f", {count['broken']} still against a rule" if count["broken"] else ""
        click.echo(f"{count['pieces']} pieces: {count['redrawn']} redrawn, {count['redraws']} redraws in all{still}")
    shelf.close()


def check_best(best: int | None, count: int, shelf: Shelf) -> None:
    """Raise BadOption unless --best can choose from several pieces."""
    if best is not None and not shelf.takes_several:
        raise BadOption("--best chooses among the pieces of a folder; give --count, or a folder to write to.")
    if best is not None and best > count:
        raise BadOption(f"--best {best} cannot be chosen from --count {count}; ask for more pieces, or keep fewer.")


def write_best(generator: Generator, asked: Iterable[Task], count: int, shelf: Shelf) -> None:
    """Write the best pieces, best first. Each is the same as it would be without the others."""
    from composer.generation import ranking

    with show_bars(quiet=shelf.quiet):
        best = ranking.find_best(generator, asked, count, lost=shelf.report_missing)
    for rank, ranked in enumerate(best, start=1):
        broken = f"breaks {', '.join(ranked.broken)}" if ranked.broken else "no rule broken"
        text = f"{describe(ranked.piece)}, {ranked.nats_per_note:.3f} nats per note, {broken}"
        shelf.put(ranked.piece, text, f"{rank}. ")
    shelf.close()


def describe(piece: Piece) -> str:
    """Describe a piece: how often it was retried, whether it still loops or breaks rules, the cost of constraints."""
    times, found = piece.provenance.get("redrawn", 0), piece.provenance.get("degenerate")
    redrawn = f", redrawn {_TIMES.get(times, f'{times} times')}" if times else ""
    cost = piece.provenance["nats"].get("constraints") if _has_asked_constraints(piece) else None
    still = f", still degenerate ({found})" if found else ""
    broken = piece.provenance.get("broken", {})
    still += f", still against a rule ({'; '.join(map(printable, broken.values()))})" if broken else ""
    return redrawn + still + ("" if cost is None else f", constraints cost {cost:.1f} nats")


def _has_asked_constraints(piece: Piece) -> bool:
    """Tell whether a piece has constraints that never yield; those that do, and programs, were hardly asked for."""
    from composer.generation.generator import PROGRAMS, make_constraints
    from composer.request import Request
    from composer.tokens.yielding import list_firm

    request = Request.from_json(piece.provenance["request"])
    asked = tuple(spec for spec in request.samplers if spec.name != PROGRAMS)
    return bool(list_firm(make_constraints(replace(request, samplers=asked))))


_TIMES = {1: "once", 2: "twice"}


def name_piece(seed: int, index: int) -> str:
    """Return the file name of a piece in a folder, without suffix."""
    return f"{seed}-{index:06d}"


@contextmanager
def open_shelf(
    outs: Sequence[str],
    export_options: Sequence[str],
    title: str | None,
    *,
    stems: Iterable[str],
    several: bool,
    reads: Iterable[str | Path | None],
    force: bool,
    quiet: bool,
    piece: str = "",
) -> Iterator[Shelf]:
    """Choose where the pieces of a command go: files for one piece, or a folder, which is removed if it stays empty.

    `stems` are the names of the pieces in a folder; for `reads`, see `outputs`. Raises CannotWrite and BadOption before
    the work.
    """
    from composer.io.outputs import Outputs, check_kept, find_named, parse_options
    from composer.storage.atomic import check_location, make_whole_folder

    folder = _find_folder(outs, several=several)
    if folder is None:
        made = make_outputs(outs, export_options, reads=reads, force=force, piece=piece)
        yield Shelf(made, None, title, quiet, gallery=[] if several else None)
        return
    with make_whole_folder(folder):
        found = Outputs.of([folder / f"piece{SUFFIX}"], parse_options(export_options), force=force)
        check_location(found.paths[0])
        new = not any(folder.iterdir())
        paths = (path for one in stems for path in found.rename(folder / one).files)
        instead = "choose another folder, or another --seed"
        check_kept(() if new else paths, reads=find_named(*reads, *export_options), force=force, instead=instead)
        yield Shelf(found, folder, title, quiet)
