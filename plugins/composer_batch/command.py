"""`composer batch`: thousands of pieces from one file of jobs. `status`, `retry` and `gallery` work on its folder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli import completing, writing
from composer.cli.options import make_executor
from composer.cli.progress import format_duration
from composer.errors import BadOption, BatchFailed, printable

if TYPE_CHECKING:
    from composer.types import Executor
    from composer_batch.catalogue import Shard
    from composer_batch.scheduler import Settings


class WithJobs(click.Group):
    """A group whose first word is a command, or else a file of jobs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Pass a line that does not begin with a command to `run`."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=WithJobs, short_help="Make thousands of pieces from one file.")
def batch() -> None:
    """Make thousands of pieces from one file of jobs: `composer batch jobs.toml --out pieces/`.

    \b
    composer batch jobs.toml --out pieces/                  the same line resumes after a crash
    composer batch jobs.toml --out pieces/ --plan           only estimate pieces, time and disk
    composer batch jobs.toml --out pieces/ --executor ray   on a cluster
    composer batch jobs.toml --out pieces/ --shard 3/16     as one of sixteen runs that share the pieces
    composer batch status pieces/                           progress, rejections and failures
    composer batch run --help                               all options
    """  # noqa: D301


@dataclass(frozen=True)
class RunOptions:
    """The values of the options that `_add_run_options` adds."""

    executor: str
    options: tuple[str, ...]
    time_limit: float
    shard: str | None
    wait: bool
    parquet: bool
    quiet: bool
    as_json: bool


def _add_run_options(command: Any) -> Any:
    """Add the options of commands that make pieces; the command takes them as the fields of `Asked`."""
    options = [
        click.option(
            "--executor",
            default="pool",
            shell_complete=completing.complete_names("executors"),
            help="Where the work runs: here, pool, ray, …  [pool]",
        ),
        click.option(
            "--executor-option",
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            help="An option of it, such as workers=4 or address=auto.",
        ),
        click.option(
            "--time-limit",
            type=float,
            default=900.0,
            help="Seconds that a worker may spend on one chunk of up to 256 pieces.  [900]",
        ),
        click.option("--shard", help="Run as one of several that share the pieces, such as 3/16."),
        click.option("--parquet", is_flag=True, help="Also write the catalogue as catalogue.parquet at the end."),
        click.option("--wait", is_flag=True, help="Wait until another run in the folder ends."),
        click.option("--quiet", is_flag=True, help="Print errors only."),
        click.option("--json", "as_json", is_flag=True, help="Print progress as lines of JSON."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@batch.command()
@click.argument("jobs", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The folder of the pieces, new or of the same batch.")
@click.option("--plan", "only_plan", is_flag=True, help="Print an estimate, and make nothing.")
@click.option("--schema", "only_schema", is_flag=True, help="Print the JSON schema of a file of jobs.")
@_add_run_options
def run(
    jobs: Path | None,
    out: Path | None,
    only_plan: bool,
    only_schema: bool,
    **options: Any,
) -> None:
    """Make the pieces of JOBS (.toml, .jsonl or .csv) that are not in the folder yet."""
    if only_schema:
        from composer_batch.schema import build_schema

        click.echo(json.dumps(build_schema(), indent=1))
        return
    if jobs is None:
        raise BadOption("missing file of jobs, such as jobs.toml; see `composer batch --help`.")
    if out is None and not only_plan:
        raise BadOption("missing option --out: the folder of the pieces, such as pieces/.")
    from composer_batch.jobfile import read
    from composer_batch.jobs import expand_grids
    from composer_batch.plan import make_plan

    asked = RunOptions(**options)
    executor = make_executor(asked.executor, asked.options)
    settings = _make_settings(asked.time_limit, asked.shard, asked.wait)
    cells = make_plan(expand_grids(read(jobs)))
    if only_plan:
        _show_plan(cells, out, asked.as_json)
    elif out is not None:
        _run_cells(out, cells, executor, settings, asked)


@batch.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--failed", is_flag=True, help="Retry pieces that were set aside.")
@_add_run_options
def retry(folder: Path, failed: bool, **options: Any) -> None:
    """Resume a batch from its FOLDER, without a file of jobs."""
    from composer_batch.folder import find_catalogues

    asked = RunOptions(**options)
    executor = make_executor(asked.executor, asked.options)
    settings = _make_settings(asked.time_limit, asked.shard, asked.wait)
    if not find_catalogues(folder):
        raise BadOption(f"{printable(str(folder))}: contains no batch.")
    _run_cells(folder, None, executor, settings, asked, failed=failed)


@batch.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(folder: Path, as_json: bool) -> None:
    """Print the progress of the batch in a FOLDER, all shards together."""
    from composer_batch.reports import summarise

    found = summarise(folder)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for name, value in found["states"].items():
        click.echo(f"{name:<14} {value:>9,}")
    for title in ("rejections", "set aside"):
        for reason, count in found[title].items():
            click.echo(f"{title}: {count:,} × {printable(reason, 200)}")
    if found["shards"]:
        click.echo(f"shards begun: {found['shards']}")


@batch.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("page", type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1, 1000), default=20, help="How many pieces, the best ranked first.  [20]")
@writing.force
def gallery(folder: Path, page: Path, top: int, force: bool) -> None:
    """Write the best pieces of the batch in a FOLDER to a PAGE of HTML."""
    from composer.io.outputs import guard
    from composer_batch.reports import check_page, list_files, write

    check_page(page)
    with guard([page], reads=list_files(folder), force=force):
        count = write(folder, page, top)
    click.echo(f"{printable(str(page))}: {count} pieces")


# --- options ----------------------------------------------------------------------------------------------------------


def _make_settings(limit: float, shard: str | None, wait: bool) -> Settings:
    from composer_batch.scheduler import Settings

    if not limit > 0:
        raise BadOption(f"'--time-limit' is {limit:g}, and must be more than 0 seconds.")
    return Settings(limit=limit, wait=wait, shard=_parse_shard(shard))


def _parse_shard(text: str | None) -> Shard:
    """Parse a shard such as 3/16. Raises BadOption."""
    from composer_batch.catalogue import Shard

    if text is None:
        return Shard()
    found = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text.strip())
    part, parts = map(int, found.groups()) if found else (0, 0)
    if not 1 <= part <= parts:
        raise BadOption(f"'--shard' is '{printable(text)}', and must be such as 3/16: from 1/16 to 16/16.")
    return Shard(part, parts)


# --- output -----------------------------------------------------------------------------------------------------------


def _run_cells(
    out: Path, cells: Any, executor: Executor, settings: Settings, asked: RunOptions, *, failed: bool = False
) -> None:
    from composer_batch import reports
    from composer_batch.progress import print_end, show_progress
    from composer_batch.scheduler import run as run_batch

    if asked.parquet:
        reports.check()
    with show_progress(quiet=asked.quiet, as_json=asked.as_json) as report:
        ended = run_batch(out, cells, executor, settings, report, retry=failed)
    if asked.parquet:
        reports.write_parquet(out)
    print_end(ended, quiet=asked.quiet, as_json=asked.as_json)
    if count := ended.counts["failed"]:
        what = "1 piece was" if count == 1 else f"{count:,} pieces were"
        raise BatchFailed(f"{what} set aside; `composer batch status {printable(str(out))}` says why.")


def _show_plan(cells: Any, out: Path | None, as_json: bool) -> None:
    import shutil

    from composer_batch.plan import count_pieces, estimate

    models, found = count_pieces(cells), estimate(cells)
    existing = next((path for path in (out, *out.absolute().parents) if path.is_dir()), None) if out else None
    free = shutil.disk_usage(existing).free if existing else None
    if as_json:
        about = {"pieces": models.total(), "models": dict(models), "seconds": found.seconds, "bytes": found.bytes}
        click.echo(json.dumps({**about, "jobs": len(cells), "free": free}))
        return
    click.echo(
        f"{models.total():,} pieces of {len(cells):,} jobs: {', '.join(f'{n:,} by {m}' for m, n in models.items())}"
    )
    click.echo(f"about {format_duration(found.seconds)} on one processor, from a trial of a few")
    click.echo(
        f"about {_format_size(found.bytes)}" + ("" if free is None else f", of {_format_size(free)} that are free")
    )


def _format_size(count: float) -> str:
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(max(len(f"{count:.0f}") - 1, 0) // 3, len(units) - 1)
    return f"{count / 1000**power:.3g} {units[power]}"
