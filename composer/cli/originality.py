"""`composer originality`: what pieces share with the music of a dataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli.options import WithPlugins, get_options
from composer.cli.tables import print_table
from composer.devices import count_processors
from composer.errors import ComposerError, UnreadableFile, printable
from composer.plugins.registry import registry

if TYPE_CHECKING:
    from composer.model import Model
    from composer.music.score import Score
    from composer.originality.index import Music
    from composer.originality.passages import Originality, Passage
    from composer.types import Dataset

DATASET = "chorales"
"""What a piece is compared with that does not say which model made it."""

SHOWN = (2, 4, 6, 8, 12, 16, 24, 32)
"""Points of the novelty curve, in notes, in the table; JSON has them all."""


class OriginalityCommand(WithPlugins):
    """A command with the options of datasets. The tokenizer is the dataset's own choice."""

    kinds = ("datasets",)


@click.command(cls=OriginalityCommand)
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--dataset", "dataset_name", help="The music to compare with.  [that of the model that made a piece]")
@click.option(
    "--split", type=click.Choice(["train", "all"]), default="train", show_default=True, help="Which pieces of it."
)
@click.option("--least", type=click.IntRange(2, 1000), default=8, show_default=True, help="Least notes of a copy.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--workers", type=click.IntRange(1), help="Processes that read files.  [one for each core]")
@click.pass_context
def originality(
    ctx: click.Context,
    paths: tuple[Path, ...],
    dataset_name: str | None,
    split: str,
    least: int,
    as_json: bool,
    workers: int | None,
) -> None:
    """Find what FILEs, and those in folders, share with the pieces of a dataset, in any key and at any speed.

    A file says which model made it, and is compared with what that was trained on; one that does not, with the
    chorales. A passage is shared if its intervals and the ratios of its durations are the same, in one voice. The same
    figures of real pieces stand beside: those of the test split, against the training split.

    \b
    composer originality chorale.mid
    composer originality pieces/ --dataset folder:~/midi --least 12 --json
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.io.lint import list_music
    from composer.originality.held_out import measure_held_out

    skipped: dict[str, str] = {}
    chosen = _choose_music(ctx, list_music(paths), dataset_name, skipped)
    tables: list[dict[str, Any]] = []
    for name, (dataset, files) in chosen.items():
        music = _load_music(dataset, name, split, workers)
        found = _compare_files(files, music, least, skipped)
        if not found:
            continue
        real = measure_held_out(music.index, least)
        tables.append(_convert_to_json(found, real, {"dataset": name, "split": split, "least": least}))
        if not as_json:
            _show(found, real, f"Shared with {name} ({split}), in passages of {least} notes or more")
    if not tables:
        raise UnreadableFile("there is no piece to compare: all were skipped.")
    if as_json:
        tables[0]["skipped"] = [{"file": name, "reason": reason} for name, reason in skipped.items()]
        click.echo(json.dumps(tables[0] if len(tables) == 1 else tables, indent=1))


def _convert_to_json(
    found: Mapping[str, Originality], real: Mapping[str, Any], about: dict[str, Any]
) -> dict[str, Any]:
    from composer.originality.passages import combine

    pieces = [{"file": name, **one.to_json()} for name, one in found.items()]
    return {**about, **combine(list(found.values())).to_json(), "held_out": real, "pieces": pieces}


# --- the music to compare with ----------------------------------------------------------------------------------------


def _choose_music(
    ctx: click.Context, files: Sequence[Path], name: str | None, skipped: dict[str, str]
) -> dict[str, tuple[Dataset, list[Path]]]:
    """Choose what each file is compared with: datasets by name, with the files of each.

    Note in `skipped` the files whose model is not here, and say which files do not name one.
    """
    from composer.data.datasets import make_dataset, make_training_dataset

    if name is not None:
        return {name: (make_dataset(name, **_get_dataset_options(ctx, name)), list(files))}
    chosen: dict[str, tuple[Dataset, list[Path]]] = {}
    unsigned = []
    for path in files:
        try:
            learnt = _find_learnt(path)
            datasets = {one: make_training_dataset(model) for one, model in learnt.items()}
        except ComposerError as error:
            _skip(str(path), str(error), skipped)
            continue
        unsigned += [] if learnt else [path]
        usual = {} if datasets else {DATASET: make_dataset(DATASET, **_get_dataset_options(ctx, DATASET))}
        for one, dataset in {**datasets, **usual}.items():
            chosen.setdefault(one, (dataset, []))[1].append(path)
    if unsigned:
        shown = printable(str(unsigned[0])) + (f" and {len(unsigned) - 1:,} more" if len(unsigned) > 1 else "")
        say = f"{shown}: not known which model made it; compared with '{DATASET}'. --dataset chooses another: "
        click.echo(f"{say}{', '.join(registry().list_names('datasets'))}.", err=True)
    return chosen


def _get_dataset_options(ctx: click.Context, name: str) -> dict[str, Any]:
    return get_options(ctx, [("datasets", name.partition(":")[0])])[0]


def _find_learnt(path: Path) -> dict[str, Model]:
    """Find the model that made a file, and those that it was finetuned from, by the names of their datasets.

    None for a file that names none. Raises UnreadableFile for a model that is not here.
    """
    from composer.io.formats import read_provenance
    from composer.model import find_model, load

    found: dict[str, Model] = {}
    named = read_provenance(path).get("model")
    while isinstance(named, str) and named:
        try:
            model = load(find_model(named))
        except ComposerError:
            made_by = f"{printable(str(path))}: was made by the model '{printable(named)}', which is not here"
            raise UnreadableFile(f"{made_by}; choose what to compare with by --dataset.") from None
        about, origin = model.card.get("dataset"), model.card.get("finetuned_from")
        name = str(about.get("name", "")) if isinstance(about, Mapping) else ""
        if name in found:
            break
        found[name] = model
        named = origin.get("name") if isinstance(origin, Mapping) else None
    return found


def _load_music(dataset: Dataset, name: str, split: str, workers: int | None) -> Music:
    """Load the pieces to compare with. Read and index them if they are not in the cache."""
    from composer.cli.progress import build_corpus
    from composer.originality.index import build_index, has_changed

    tokenizer = registry().make("tokenizers", dataset.tokenizer, **dataset.tokenizer_options)
    corpus = build_corpus(dataset, tokenizer, name, workers)
    if has_changed(dataset, corpus, tokenizer):
        click.echo(f"the music of '{printable(name)}' has changed since it was indexed; indexing it again.", err=True)
    return build_index(corpus, tokenizer, workers or count_processors()).select_split(split)


def _compare_files(files: Sequence[Path], music: Music, least: int, skipped: dict[str, str]) -> dict[str, Originality]:
    """Compare all pieces of the files, by name; note those that cannot be compared."""
    from composer.io.formats import read_each

    found: dict[str, Originality] = {}
    for path in files:
        try:
            for name, piece in read_each(path):
                try:
                    found[name] = _compare_piece(name, piece, music, least)
                except ComposerError as error:
                    _skip(name, str(error), skipped)
        except ComposerError as error:
            _skip(str(path), str(error), skipped)
    return found


def _skip(name: str, reason: str, skipped: dict[str, str]) -> None:
    """Note a piece that cannot be compared, and say so once."""
    if name not in skipped:
        skipped[name] = reason
        click.echo(f"skipped: {reason}", err=True)


def _compare_piece(name: str, piece: Score | Exception, music: Music, least: int) -> Originality:
    """Compare a piece with the music. Raises UnreadableFile for an unreadable one, or one too short for a copy."""
    from composer.originality.passages import compare

    if isinstance(piece, Exception):
        raise UnreadableFile(str(piece))
    try:
        found = compare(piece, music, least=least)
    except ComposerError as error:
        raise UnreadableFile(f"{printable(name)}: {error}") from None
    if not found.notes:
        raise UnreadableFile(f"{printable(name)}: is too short; no line in it has {least} notes.")
    return found


def _show(found: Mapping[str, Originality], real: Mapping[str, Any], title: str) -> None:
    from composer.originality.passages import combine

    rows = [
        [name, f"{one.notes:,}", f"{one.copied_share:.1%}", f"{one.copied_bars:.1f}", _format_passage(one.longest)]
        for name, one in found.items()
    ]
    print_table(title, ["piece", "notes", "copied", "bars at most", "longest passage"], rows)
    show_beside(combine(list(found.values())).to_json(), real, "Beside real pieces")


def show_beside(ours: Mapping[str, Any], real: Mapping[str, Any], title: str) -> None:
    """Print a table of what some pieces, and held-out real pieces, share with training pieces."""
    columns = (ours, real)
    shares = [f"{its['copied_share']:.1%}" for its in columns]
    if "copied_share" in (spread := real.get("of_pieces", {})):
        low, middle, high = spread["copied_share"]
        shares[1] += f" (a piece: {middle:.1%}, mostly {low:.1%} to {high:.1%})"
    longest = [str(its["longest"]["notes"] if its["longest"] else 0) for its in columns]
    curve = [
        [f"new runs of {n} notes", *(_format_share(its["novelty"], n) for its in columns)]
        for n in SHOWN
        if n <= len(ours["novelty"])
    ]
    headings = ["", "here", f"{real['pieces']} real pieces of the test split, against train"]
    print_table(title, headings, [["copied", *shares], ["longest passage, notes", *longest], *curve])


def _format_share(novelty: list[float], notes: int) -> str:
    return f"{novelty[notes - 1]:.1%}" if notes <= len(novelty) else "-"


def _format_passage(passage: Passage | None) -> str:
    if passage is None:
        return "none"
    here, there = (f"{place.track}, {_format_bars(place.bars)}" for place in (passage.here, passage.there))
    notes = f"{passage.notes} notes, {passage.bars:.1f} bars"
    return f"{notes}: {here} = {passage.source} ({passage.split}), {there}"


def _format_bars(bars: tuple[int, int]) -> str:
    first, last = bars
    return f"bar {first}" if first == last else f"bars {first}-{last}"
