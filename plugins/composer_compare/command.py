"""`composer compare`: a fair comparison of architectures, and a verdict."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from composer.cli.options import WithPlugins, get_options, make_executor
from composer.cli.progress import StatusLine, format_duration
from composer.devices import count_processors
from composer.errors import BadOption, printable
from composer.plugins.registry import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from composer.types import Executor
    from composer_compare.plan import PlannedRun
    from composer_compare.results import Results
    from composer_compare.running import ExperimentProgress
    from composer_compare.spec import Experiment


BOARD, TARGET = Path("leaderboard.jsonl"), 1.6
"""The leaderboard, and the nats per note that its rows are to reach, unless others are named."""


def _check_finite(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Return the value of an option. Raises BadParameter for NaN and infinity."""
    if not isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.", ctx, param)
    return value


@click.command(cls=WithPlugins, short_help="Compare architectures fairly.")
@click.argument("architectures", nargs=-1, metavar="ARCHITECTURE...")
@click.option("--dataset", default="chorales", show_default=True, help="A name of `composer datasets`, or folder:PATH.")
@click.option("--tokenizer", help="Name of a tokenizer; by default the dataset's choice.")
@click.option("--questions", default="likelihood,music", show_default=True, help="Questions, or all: see below.")
@click.option(
    "--match",
    default="parameters,tokens",
    show_default=True,
    help="Equal quantities: parameters or width, and tokens or time.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Runs of each architecture.")
@click.option(
    "--trials",
    type=click.IntRange(1, 100),
    default=6,
    show_default=True,
    help="Runs of each architecture in the search.",
)
@click.option("--time", "time", default="30m", show_default=True, help="For all runs together, roughly: 90s, 20m, 2h.")
@click.option("--steps", type=click.IntRange(1), help="Steps of a run of the first architecture, instead of --time.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("trial"), show_default=True, help="The folder.")
@click.option("--plan", "only_plan", is_flag=True, help="List the runs and their cost; train nothing.")
@click.option("--report", "only_report", is_flag=True, help="Report on the results present; train nothing.")
@click.option("--executor", default="here", show_default=True, help="Where the runs are executed: here, pool, ray, …")
@click.option("--executor-option", "executor_options", multiple=True, metavar="NAME=VALUE", help="An option of it.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, …")
@click.option(
    "--enter", multiple=True, type=click.Path(path_type=Path), metavar="RUN", help="Enter a run in a leaderboard."
)
@click.option(
    "--leaderboard", type=click.Path(path_type=Path), help="Its file; alone, it is shown.  [leaderboard.jsonl]"
)
@click.option(
    "--target",
    type=click.FloatRange(min=0, min_open=True),
    default=TARGET,
    show_default=True,
    callback=_check_finite,
    help="Nats per note that its rows are to reach.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--workers", type=click.IntRange(1), help="Processes that read files; by default one per core.")
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    architectures: tuple[str, ...],
    out: Path,
    only_plan: bool,
    only_report: bool,
    executor: str,
    executor_options: tuple[str, ...],
    enter: tuple[Path, ...],
    leaderboard: Path | None,
    target: float,
    as_json: bool,
    **asked: Any,
) -> None:
    """Train each ARCHITECTURE under one budget on a dataset, and tell which predicts its music best, and how surely.

    Every result is kept in the folder --out. After Ctrl-C or a crash, the same command carries on. With --plan, a
    short run of each tells how long all will take.

    \b
    composer compare lstm gru rnn --dataset chorales
    composer compare lstm gru mingru --dataset folder:mine/ --match parameters,time --seeds 5 --time 2h
    composer compare lstm gru --questions all --plan
    composer compare lstm lstm:layer-norm=yes,recurrent-dropout=0.2 mingru
    composer compare --enter run/

    An ARCHITECTURE may have options of its own, as in the last line but one; options such as --hidden-size hold for
    all.

    \b
    Questions:
      likelihood   nats per note on held-out pieces; always included
      music        the pieces that each writes, beside the test pieces; copies
      memory       a motif recalled after a gap, in music made for it
      data         with 5, 10, 25 and 50 % of the training pieces
      noise        with wrong notes in the training pieces
      stability    at learning rates that may be too high
      bias         trained in the pieces' own keys, tested in others
      width        at equal width instead of equal parameters, or the reverse
      dropout      with and without dropout
    """  # noqa: D301  (a \b keeps click from filling the lines)
    if enter or leaderboard:
        _enter_and_show(architectures, enter, leaderboard or BOARD, target, as_json)
        return
    if not architectures:
        raise click.MissingParameter(ctx=ctx, param_hint="'ARCHITECTURE...'", param_type="argument")
    from composer_compare.report import check_folder
    from composer_compare.result_store import ResultStore
    from composer_compare.results import Results
    from composer_compare.running import run_experiment

    check_folder(out)
    command = "composer " + shlex.join(word for word in sys.argv[1:] if word not in ("--report", "--json"))
    made = make_executor(executor, executor_options)
    trial = _build_experiment(ctx, architectures, _count_workers(made), **asked)
    if only_report:
        _finish(Results(trial, ResultStore(out).read()), out, as_json, command)
        return
    if only_plan:
        results = run_experiment(trial, out, made, lambda _: None, only="cost")
        _show_plan(trial, results, as_json)
        return
    with _report_progress() as report:
        results = run_experiment(trial, out, made, report)
    _finish(Results(trial, results), out, as_json, command)


def _enter_and_show(
    architectures: tuple[str, ...], runs: tuple[Path, ...], board: Path, target: float, as_json: bool
) -> None:
    """Enter runs in a leaderboard, if any, and show it. Raises BadOption."""
    from composer_compare import leaderboard

    if architectures:
        raise BadOption("a leaderboard takes runs of `composer train --run`, and no architectures; leave them out.")
    if not runs and not board.exists():
        raise BadOption(
            f"{printable(str(board))}: does not exist; `composer compare --enter RUN` begins a leaderboard."
        )
    rows = leaderboard.enter(board, runs) if runs else leaderboard.read_board(board)
    leaderboard.show(rows, target, as_json)


def _count_workers(executor: Executor) -> int:
    """Count the runs that go on at a time, as far as the executor tells; plans need only an estimate."""
    if not hasattr(executor, "workers"):
        return 1
    return int(executor.workers) or count_processors()


def _build_experiment(
    ctx: click.Context,
    architectures: tuple[str, ...],
    at_a_time: int,
    *,
    dataset: str,
    tokenizer: str | None,
    questions: str,
    match: str,
    seeds: int,
    trials: int,
    time: str,
    steps: int | None,
    device: str,
    workers: int | None,
) -> Experiment:
    from composer.cli.progress import build_corpus, prepare_tokenizer
    from composer.data.datasets import make_dataset
    from composer.plugins.specs import parse_spec
    from composer.training.loop import Settings
    from composer.training.recipes import Recipe, convert_to_plain
    from composer_compare import spec
    from composer_compare.questions import parse_ablations
    from composer_compare.spec import Experiment, parse_match, parse_minutes

    size, length = parse_match(match)
    asked, most = parse_ablations(questions), parse_minutes(time)
    kind = dataset.partition(":")[0]
    word = tokenizer or registry().get_offer("datasets", kind).make.tokenizer  # type: ignore[attr-defined]
    names = [parse_spec(text, "architectures").name for text in architectures]
    things = [("datasets", kind), ("tokenizers", word), *(("architectures", name) for name in names)]
    of_dataset, of_tokenizer, *of_each = get_options(ctx, things)
    music = make_dataset(dataset, **of_dataset)
    suggested = music.tokenizer_options if word == music.tokenizer else {}
    writing = registry().make("tokenizers", word, **{**suggested, **of_tokenizer})
    writing = prepare_tokenizer(music, writing, dataset, workers or count_processors())
    contenders = spec.make_candidates(architectures, of_each, writing, size)
    corpus = build_corpus(music, writing, dataset, workers)
    first = contenders[0]
    some = registry().make("architectures", first.name, **first.options)
    common = convert_to_plain(Recipe(music, word, writing, first.name, some, Settings()), dataset)
    recipe = {key: common[key] for key in ("dataset", "dataset_options", "tokenizer")}
    sides = {side: len(corpus.split(side)) for side in ("train", "valid", "test")}
    about = {
        "dataset": dataset,
        "title": music.title,
        "licence": music.licence,
        **{k: str(v) for k, v in sides.items()},
    }
    return Experiment(
        recipe={**json.loads(json.dumps(recipe)), "training": {"device": device}},
        contenders=contenders,
        questions=asked,
        music=corpus.folder.name,
        size=size,
        length=length,
        seeds=seeds,
        trials=trials,
        steps=steps or 0,
        minutes=most,
        workers=at_a_time,
        named=about,
    )


@contextmanager
def _report_progress() -> Iterator[Any]:
    """Print a line for each run on stderr; on a terminal, show below them how much is left."""
    with StatusLine() as line:

        def tell(progress: ExperimentProgress) -> None:
            entry, result = progress.entry, progress.result
            where = f"seed {entry.seed}" if entry.question != "tuning" else f"trial {entry.level + 1:.0f}"
            level = f" at {entry.level:g}" if entry.question not in ("likelihood", "tuning", "cost") else ""
            said = f"failed: {result['failure']}" if "failure" in result else _describe_result(result)
            line.print(
                f"[{progress.done}/{progress.total}, {format_duration(progress.seconds)} of work left] "
                f"{entry.question}{level}: {entry.candidate}, {where}: {said}"
            )
            line.update(
                f"{progress.done} of {progress.total} runs done, {format_duration(progress.seconds)} of work left"
            )

        yield tell


def _describe_result(result: Mapping[str, Any]) -> str:
    if "step_seconds" in result:
        return f"{result['parameters']:,} parameters, {result['step_seconds'] * 1000:.0f} ms a step"
    if "inside" in result:
        return f"{result['inside']} of {result['figures']} figures as in real pieces"
    return f"valid {result['valid']:.3f} nats per note in {format_duration(result['seconds'])}"


def _show_plan(trial: Experiment, results: Mapping[str, Any], as_json: bool) -> None:
    """Print the planned runs by question, with their cost."""
    from composer.cli.tables import print_table
    from composer_compare.plan import plan_runs

    entries: dict[str, PlannedRun] = {}
    for entry in plan_runs(trial, results, foresee=True):
        entries.setdefault(entry.run.identity, entry)
    rows = []
    for question in dict.fromkeys(entry.question for entry in entries.values()):
        mine = [entry for entry in entries.values() if entry.question == question]
        steps = sorted({entry.run.recipe["training"].get("steps", 0) for entry in mine})
        left = [entry for entry in mine if entry.run.identity not in results]
        trains = mine[0].run.work not in ("pace", "write")
        shown = "" if not trains else f"{steps[0]:,}" + (f" to {steps[-1]:,}" if len(steps) > 1 else "")
        rows.append([question, str(len(mine)), str(len(left)), shown, f"{sum(e.seconds for e in left) / 60:.1f}"])
    total = sum(entry.seconds for entry in entries.values() if entry.run.identity not in results)
    if as_json:
        keys = ("question", "runs", "left", "steps", "minutes")
        click.echo(json.dumps({"plan": [dict(zip(keys, row, strict=True)) for row in rows], "seconds": round(total)}))
        return
    print_table("The plan", ["question", "runs", "left to do", "steps of a run", "minutes of a processor"], rows)
    click.echo(f"About {format_duration(total / trial.workers)}, {trial.workers} at a time.")


def _finish(findings: Results, out: Path, as_json: bool, command: str) -> None:
    """Write the report; print the table, the verdict and the missing results."""
    from composer.cli.tables import print_table
    from composer_compare import report

    report.write(findings, out, command)
    if as_json:
        click.echo(json.dumps(report.collect_data(findings, command), indent=1))
        return

    headings = ["architecture", "parameters", "gates", "nats per note", "95 % interval", "ms a step"]
    rows = []
    for name, estimate in findings.verdict.standing:
        cost = findings.get_cost(name)
        gates = cost.get("gates")
        rows.append(
            [
                name,
                f"{cost['parameters']:,}",
                "?" if gates is None else str(gates),
                f"{estimate.mean:.3f}",
                f"{estimate.low:.3f} to {estimate.high:.3f}" if isfinite(estimate.half_width) else "not known",
                f"{cost['step_seconds'] * 1000:.0f}",
            ]
        )
    print_table(f"Likelihood of {findings.trial.named['title']}, {findings.equal}", headings, rows)
    click.echo(findings.verdict.text)
    for hole in findings.list_missing():
        click.echo(f"missing: {printable(hole, 400)}", err=True)
    click.echo(f"{out / report.PAGE}: the report, with plots and common claims about LSTM and GRU.", err=True)
