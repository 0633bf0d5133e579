"""`composer plugins`: list, show, check, repair and create plugins.

showing.py  what a plugin offers under a name, in lines of text
"""

from __future__ import annotations

from pathlib import Path

import click

from composer.cli import completing
from composer.cli.tables import print_table
from composer.errors import BadOption, printable


@click.group(invoke_without_command=True)
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """List the installed plugins, what each offers or answers, and which were left out and why."""
    if ctx.invoked_subcommand is not None:
        return
    from composer.plugins.offers import KINDS
    from composer.plugins.probing import recall_seconds
    from composer.plugins.registry import registry
    from composer.training.suggestions import find_mistaken_datasets

    found, seconds = registry(), recall_seconds()
    mistakes = [(plugin, f"mistake: {text}") for plugin, text in find_mistaken_datasets()]
    rows = []
    for plugin in found.plugins:
        offered = [
            f"{kind}: {', '.join(names)}"
            for kind in KINDS
            if (names := sorted(n for n, offer in found.offers[kind].items() if offer.plugin == plugin))
        ]
        offered += [f"answers: {', '.join(plugin.events)}"] if plugin.events else []
        notes = [f"left out in part: {note.text}" for note in plugin.notes]
        notes += [text for one, text in mistakes if one == plugin]
        state = f"left out: {plugin.fault}" if plugin.fault else "; ".join([*offered, *notes])
        took = f"{seconds[plugin.name]:.2f} s" if plugin.name in seconds else ""
        rows.append([printable(plugin.name), f"{plugin.distribution} {plugin.version}", took, state])
    print_table("Plugins", ["plugin", "package", "import", "offers"], rows)
    if mistakes or any(plugin.fault or plugin.notes for plugin in found.plugins):
        click.echo("`composer plugins doctor` tries again those that are left out, and explains how to repair them.")


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    required=True,
    multiple=True,
    metavar="KIND",
    shell_complete=completing.complete_kinds,
    help="What it offers: sampler, …",
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="The trained model that a package of --kind model brings."
)
def new(name: str, kinds: tuple[str, ...], model: Path | None) -> None:
    """Make a folder NAME: a package that offers a small example of a kind, with tests, ready to be changed.

    \b
    composer plugins new my-swing --kind sampler
    pip install -e my-swing && composer plugins
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.plugins.scaffold import FULLER, begin, choose_article

    if len(kinds) > 1:
        raise BadOption("a package begins with one --kind; others are added to its module, each with its own hook.")
    folder = begin(name, kinds[0], Path(), model)
    kind = FULLER.get(kinds[0], kinds[0])
    offers = "answers an event" if kind == "event" else f"offers {choose_article(kind)} {kind}"
    click.echo(f"{folder}/: a package that {offers}. `pip install -e {folder}` installs it; its README goes on.")


@plugins.command()
@click.argument("name", shell_complete=completing.complete_anything)
def show(name: str) -> None:
    """Show NAME, something that a plugin offers: its options with types, defaults and help, and an example.

    NAME may be a plugin: all that it offers is shown, and the events that it answers.
    """
    from composer.cli.plugins.showing import describe

    for line in describe(name):
        click.echo(line)


@plugins.command()
@click.argument("name", shell_complete=completing.complete_plugins)
@click.pass_context
def check(ctx: click.Context, name: str) -> None:
    """Check that what the plugin, or the package, NAME offers keeps its contracts; exit status 1 if it does not.

    `pytest --composer-contracts` checks the same in the folder of a package.
    """
    from composer.testing.suite import list_cases

    broken = 0
    found = list_cases(name)
    for case in found:
        try:
            case.run()
        except AssertionError as error:
            broken += 1
            click.echo(f"broken  {case}\n        {printable(str(error), 2000)}")
        else:
            click.echo(f"ok      {case}")
    click.echo(f"{name}: {len(found) - broken} of {len(found)} checks passed.")
    ctx.exit(1 if broken else 0)


@plugins.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Import each plugin in its own process, and report what is broken, slow, outdated, clashing or missing.

    Events are listed with the plugins that answer them, in the order in which these are called. The exit status is 1 if
    something does not work.
    """
    from composer.plugins.doctor import describe_mistake, examine
    from composer.plugins.events import list_answering
    from composer.plugins.hooks import EVENTS
    from composer.training.suggestions import find_mistaken_datasets

    report = examine()
    findings = [*report.findings, *(describe_mistake(*found) for found in find_mistaken_datasets())]
    for finding in findings:
        plugin = finding.plugin
        click.echo(f"{printable(plugin.name)} ({plugin.distribution} {plugin.version}) {finding.text}")
        click.echo(f"    {finding.advice}")
    reported = {finding.plugin.name for finding in findings}
    well = [one for one in report.seconds if one[0].name not in reported]
    if well:
        slowest, seconds = max(well, key=lambda one: one[1])
        are = "plugin is" if len(well) == 1 else "plugins are"
        click.echo(f"{len(well)} {are} well; the slowest, '{slowest.name}', takes {seconds:.2f} s to import.")
    for event in EVENTS:
        if names := [name for name in list_answering(event) if name in {one.name for one, _ in report.seconds}]:
            click.echo(f"{event} is answered by {', '.join(map(printable, names))}.")
    ctx.exit(1 if any(finding.is_fault for finding in findings) else 0)
