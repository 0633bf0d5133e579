"""The hooks: everything that a plugin may offer, and the events that it may answer.

**Offers** are the hooks `register_*`. Every one takes nothing and returns `{name that a user types: callable}`. The
callable is given its options as keyword arguments; its signature (annotations, defaults, docstring) is its schema, and
the command line is made from it. What the callables return is described in `composer.types`. A plugin is a module with
such functions:

    from composer import hookimpl

    @hookimpl
    def register_architectures():
        return {"my-cell": MyCell}      # a frozen dataclass with a `module` method

and two lines of its `pyproject.toml`:

    [project.entry-points.composer]
    my-plugin = "my_module"

**Events** are the hooks with other names, at the end. They return nothing. Several plugins may answer one; `hookimpl`
takes `tryfirst`, `trylast` and `wrapper`, as in pluggy. An answer names the arguments that it needs, and no others. It
comes too late to change anything: the files are written, and values are copies. One that raises is reported in a line,
and its plugin is asked no more in this process. What it prints goes to stderr. What it writes is no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:  # a plugin is found and listed without NumPy
    from collections.abc import Mapping
    from pathlib import Path

    from composer.types import Offers, Piece, RunView

hookspec = pluggy.HookspecMarker("composer")
hookimpl = pluggy.HookimplMarker("composer")

API_VERSION = 1
"""A plugin module may state `COMPOSER_API = 1`; one that states another number is left out."""


@hookspec
def register_architectures() -> Offers:  # type: ignore[empty-body]
    """Offer recurrent networks: name to a frozen dataclass that is an `Architecture`."""


@hookspec
def register_tokenizers() -> Offers:  # type: ignore[empty-body]
    """Offer tokenizers: name to a frozen dataclass that is a `Tokenizer`."""


@hookspec
def register_samplers() -> Offers:  # type: ignore[empty-body]
    """Offer samplers: name to a frozen dataclass that is a `Constraint` or a `LogitsProcessor`.

    It may remember things of a piece: see `HasMemory`.
    """


@hookspec
def register_backends() -> Offers:  # type: ignore[empty-body]
    """Offer inference backends: name to a frozen dataclass that is a `Backend`."""


@hookspec
def register_readers() -> Offers:  # type: ignore[empty-body]
    """Offer file formats to read: suffix (`.mid`) to a callable whose options make a `Reader`."""


@hookspec
def register_exporters() -> Offers:  # type: ignore[empty-body]
    """Offer file formats to write: suffix (`.mid`) to a callable whose options make an `Exporter`."""


@hookspec
def register_callbacks() -> Offers:  # type: ignore[empty-body]
    """Offer callbacks of training runs: name to a dataclass that is a `Callback`."""


@hookspec
def register_datasets() -> Offers:  # type: ignore[empty-body]
    """Offer datasets: name to a frozen dataclass that is a `Dataset`, and may be a `PredefinedSplit`.

    It may state the unit of published likelihoods (`HasUnits`). What stands after a colon in
    `name:argument` becomes the first option.
    """


@hookspec
def register_models() -> Offers:  # type: ignore[empty-body]
    """Offer trained models: name to a callable without options that returns the path of a model file."""


@hookspec
def register_executors() -> Offers:  # type: ignore[empty-body]
    """Offer executors for batches: name to a frozen dataclass that is an `Executor`."""


@hookspec
def register_commands() -> Offers:  # type: ignore[empty-body]
    """Offer commands of the command line: name to a `click.Command`, whose options are its own.

    It is imported when it is called, or when the plugins are first read; what it works with, inside its functions.
    """


@hookspec
def register_metrics() -> Offers:  # type: ignore[empty-body]
    """Offer metrics: name to a callable that makes a `Metric`; its docstring is the definition."""


@hookspec
def register_transforms() -> Offers:  # type: ignore[empty-body]
    """Offer changes of whole scores: name to a frozen dataclass that is a `Transform`."""


@hookspec
def register_rules() -> Offers:  # type: ignore[empty-body]
    """Offer rules of finished pieces: name to a frozen dataclass that is a `Rule`."""


@hookspec
def register_objectives() -> Offers:  # type: ignore[empty-body]
    """Offer losses to train with: name to a frozen dataclass that is an `Objective`."""


@hookspec
def register_optimisers() -> Offers:  # type: ignore[empty-body]
    """Offer optimisers: name to a frozen dataclass that is an `Optimiser`."""


@hookspec
def register_schedules() -> Offers:  # type: ignore[empty-body]
    """Offer schedules of the learning rate: name to a frozen dataclass that is a `Schedule`."""


# --- events -----------------------------------------------------------------------------------------------------------


@hookspec
def piece_written(paths: tuple[Path, ...], piece: Piece) -> None:
    """Answer a piece that a command, a call in Python or a batch has written to `paths`, which are absolute.

    `piece.provenance` is that of a piece of a model, and empty for music that was read. A file with several pieces is
    an event for each. A batch announces a piece in its main process, once the catalogue holds it, and once: a resumed
    run announces only what it makes. With `keep`, a later piece may take its place, and its files away.
    """


@hookspec
def run_started(run: RunView) -> None:
    """Answer a training run that begins, or is resumed: `run.progress.step` is then above 0."""


@hookspec
def validated(run: RunView) -> None:
    """Answer a validation of a training run; `run.progress` has its figures, and `run.model()` makes the model."""


@hookspec
def batch_finished(folder: Path, counts: Mapping[str, int]) -> None:
    """Answer a run of a batch that came to its end, in its absolute `folder`, with the number of pieces by state.

    The states are `done`, `rejected`, `failed`, `passed over`. A run that finds nothing left to do ends, too, and so
    does each shard, with the counts of its own pieces.
    """
