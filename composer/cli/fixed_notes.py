"""Shared by the commands that keep fixed notes: options, and how a piece is read and written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing, writing
from composer.cli.conditions import WithConditions, list_conditions
from composer.cli.options import add_backend, list_samplers, list_texts
from composer.cli.transforms import list_flagged_values
from composer.cli.writing import Shelf
from composer.errors import ComposerError, RequestWarning, UnreadableFile, printable
from composer.generation.options import choose_seed, merge_conditions, parse_look_ahead
from composer.storage.inside import expand_home, is_file

if TYPE_CHECKING:
    from pathlib import Path

    from composer.generation.generator import Generator
    from composer.generation.infilling import Fill
    from composer.request import Request

DEFAULT_MODEL = "chorales"

Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def _make_model_option(default: str) -> Decorator:
    return click.option(
        "--model",
        "model_name",
        shell_complete=completing.complete_names("models", or_files=True),
        help=f"Name of a model, or a .safetensors file.  [{default}]",
    )


_model = _make_model_option("that of the piece, or chorales")

_particles = click.option(
    "--particles", type=int, default=64, show_default=True, help="Hypotheses that are tried side by side."
)

_look_ahead = click.option(
    "--look-ahead",
    default="2",
    show_default=True,
    metavar="BARS",
    help="Bars after a gap that influence it; `all` for all of them.",
)

_FURTHER = (
    click.option("--seed", type=int, help="The same seed gives the same music.  [a new one, which is shown]"),
    click.option("--best", type=click.IntRange(1), help="Write only this many of the --count pieces: the best ranked."),
    writing.transform,
    writing.rule,
    writing.add_options,
    click.option("--device", default="cpu", help="cpu, cuda, …  [cpu]"),
    add_backend,
    click.option("--precision", default="float32", help="Number format: bfloat16 and int8 are faster.  [float32]"),
    click.option("--quiet", is_flag=True, help="Print errors only."),
)


count = click.option(
    "--count", type=click.IntRange(1, 1_000_000), default=1, help="How many; OUT is then a folder, or a page (.html)."
)
"""The option of the commands that write one piece unless more are asked for."""


@dataclass(frozen=True)
class FillOptions:
    """The values of the options."""

    model_name: str | None
    particles: int
    seed: int | None
    count: int
    best: int | None
    transforms: tuple[str, ...]
    rules: tuple[str, ...]
    force: bool
    title: str | None
    export_options: tuple[str, ...]
    device: str
    backend: str
    precision: str
    quiet: bool
    look_ahead: str = "all"

    @contextmanager
    def open_shelf(
        self, ctx: click.Context, outs: Sequence[str], piece: str | Path, name: str = "PIECE", *, several: bool = False
    ) -> Iterator[Shelf]:
        """Prepare to write pieces made from `piece`, an argument called `name`: one to files, `several` to a folder.

        Raises CannotWrite and BadOption before the work.
        """
        kept: dict[str, Any] = {"reads": self.list_reads(ctx, piece), "force": self.force, "quiet": self.quiet}
        stems = (writing.name_piece(self.seed or 0, index) for index in range(self.count))
        several = several or self.count > 1
        with writing.open_shelf(
            outs, self.export_options, self.title, stems=stems, several=several, piece=name, **kept
        ) as shelf:
            writing.check_best(self.best, self.count, shelf)
            yield shelf

    @staticmethod
    def of(options: Mapping[str, Any]) -> FillOptions:
        """Take the options of a command, with a seed drawn now if none was given."""
        return FillOptions(**{**options, "seed": choose_seed(options["seed"])})

    def list_reads(self, ctx: click.Context, piece: str | Path) -> list[str | Path | None]:
        """List the words of the command line that may name files to read."""
        return [piece, self.model_name, *list_texts(list_samplers(ctx))]

    @property
    def search_options(self) -> dict[str, Any]:
        """The number of particles, and how far they look ahead."""
        return {"particles": self.particles, "look_ahead": parse_look_ahead(self.look_ahead)}


class WithPiece(WithConditions):
    """A command whose model is the one that made the piece, unless another is named."""

    def find_model(self, line: Sequence[str]) -> str:
        """Find the name of the model on the line, or in the provenance of its first file; "" for none."""
        from composer.io.formats import read_provenance

        if named := super().find_model(line):
            return named
        with suppress(ComposerError):
            piece = next((path for word in line if is_file(path := expand_home(word))), None)
            return "" if piece is None else str(read_provenance(piece).get("model", ""))
        return ""


def add_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which takes them as the fields of `FillOptions`."""
    return _add_all((_model, _particles, _look_ahead, *_FURTHER), command)


def add_options_without_gap(model: str) -> Decorator:
    """Add the options to a command of its own `model` that leaves no gap, after which there would be bars."""
    return partial(_add_all, (_make_model_option(model), _particles, *_FURTHER))


def _add_all(options: Sequence[Decorator], command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def choose_generator(piece: Path | None, asked: FillOptions) -> Generator:
    """Load the requested model, or the one that made `piece`, a file or None, or else `chorales`.

    Raises UnknownName, BadModelFile.
    """
    from composer.generation.composer import open_model
    from composer.io.formats import read_provenance

    if asked.model_name is not None:
        return open_model(asked.model_name)
    made_by = ""
    with suppress(UnreadableFile):  # reading the notes will report it
        made_by = "" if piece is None else str(read_provenance(piece).get("model", ""))
    try:
        return open_model(made_by or DEFAULT_MODEL)
    except ComposerError:
        shown = f"{printable(str(piece))} was made with the model '{printable(made_by)}', which is not here"
        warnings.warn(f"{shown}; '{DEFAULT_MODEL}' goes on with it.", RequestWarning, stacklevel=2)
        return open_model(DEFAULT_MODEL)


def make_request(ctx: click.Context, generator: Generator, asked: FillOptions, *, usual: bool = True) -> Request:
    """Build a request: the model's suggestion, with the choices of the command line, and transforms that are usual."""
    from composer.generation.finishing import add_flagged, read_finish
    from composer.generation.generator import apply_samplers

    stated: dict[str, Any] = {"device": asked.device, "backend": asked.backend, "precision": asked.precision}
    stated |= {name: specs for name, specs in read_finish(asked.transforms, asked.rules).items() if specs}
    stated["transforms"] = add_flagged(stated.get("transforms", ()), list_flagged_values(ctx), usual=usual)
    suggested = merge_conditions(generator.suggested, list_conditions(ctx))
    request = replace(suggested, seed=choose_seed(asked.seed), **stated)
    return apply_samplers(request, list_samplers(ctx))


def make(
    generator: Generator, plan: Callable[[Request], Fill], request: Request, asked: FillOptions, shelf: Shelf
) -> None:
    """Make the pieces of a request, one for each index, and write them, or the best of them."""
    fills = [plan(replace(request, index=index)) for index in range(asked.count)]
    if asked.best is None:
        writing.write(generator, fills, shelf)
    else:
        writing.write_best(generator, fills, asked.best, shelf)
