"""Datasets read for a command: under a progress bar, with a report on stderr of what was kept and refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from composer.cli.progress import show_reading
from composer.devices import count_processors
from composer.errors import printable

if TYPE_CHECKING:
    from composer.data.corpus import Corpus
    from composer.types import Dataset, Tokenizer

MOST_REFUSED = 20
"""Refused pieces that are listed by name."""


def build_corpus(dataset: Dataset, tokenizer: Any, name: str, workers: int | None) -> Corpus:
    """Build the corpus of a dataset, and report on stderr what was kept and refused."""
    from composer.data.corpus import build
    from composer.io import remarks

    with show_reading() as report:
        corpus = build(dataset, tokenizer, name=name, workers=workers or count_processors(), report=report)
    refused = corpus.refused
    splits = ", ".join(f"{len(corpus.split(split))} {split}" for split in ("train", "valid", "test"))
    click.echo(f"{corpus.about['kept']} pieces kept ({splits}), {len(refused)} refused.", err=True)
    for row in refused[:MOST_REFUSED]:
        click.echo(f"  {printable(row.name, 60)}: {row.reason}", err=True)
    if len(refused) > MOST_REFUSED:
        click.echo(f"  … all {len(refused)} are listed in {corpus.folder / 'corpus.json'}", err=True)
    for line in remarks.format_lines(corpus.about):
        click.echo(f"  {printable(line, 1_000)}", err=True)
    return corpus


def prepare_tokenizer(dataset: Dataset, tokenizer: Tokenizer, name: str, workers: int) -> Tokenizer:
    """Fit a tokenizer to the training music of a dataset, if it learns anything."""
    from composer.data.corpus import build, fit_tokenizer

    with show_reading() as report:
        return fit_tokenizer(tokenizer, lambda: build(dataset, tokenizer, name=name, workers=workers, report=report))
