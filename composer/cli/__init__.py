"""The command line: one file for each command, loaded when it is called. Errors become messages here.

generate.py     `generate`
fill.py         `fill` and `vary`
accompany.py    `harmonize`, `accompany` and `chords`
humanize.py     `humanize`
regenerate.py   `regenerate`
export.py       `export`
check.py        `check`
metrics.py      `metrics`
originality.py  `originality`
train.py        `train` and `finetune`
evaluate.py     `evaluate`
models.py       `models`
tables.py       `datasets`, and tables for all commands
cache.py        `cache`
presets.py      `presets`, and the option `--preset`
plugins/        `plugins`
options.py      options of plugins
transforms.py   options for transforms, such as `--instrument`
conditions.py   options for the conditions of a model
settings.py     settings of a training, and their merge into a recipe
callbacks.py    options of callbacks
fixed_notes.py  shared by the commands that keep fixed notes
writing.py      shared by the commands that write
progress.py     progress bars and lengths of time
completing.py   shell completion
mistakes.py     hints for mistyped options
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from contextlib import suppress
from typing import Any, NoReturn

import click

from composer import __version__
from composer.cli import completing
from composer.errors import ComposerError, ReadingWarning, RequestWarning, RunWarning, UnknownName, printable, suggest
from composer.plugins import commands

COMMANDS = {
    "generate": ("composer.cli.generate:generate", "Write new pieces of music."),
    "fill": ("composer.cli.fill:fill", "Rewrite bars or voices of a piece."),
    "harmonize": ("composer.cli.accompany:harmonize", "Write voices to a melody."),
    "accompany": ("composer.cli.accompany:accompany", "Write an accompaniment to a melody."),
    "chords": ("composer.cli.accompany:chords", "Write chord symbols to a melody."),
    "humanize": ("composer.cli.humanize:humanize", "Play drums as a drummer: loudness and timing; the notes stay."),
    "vary": ("composer.cli.fill:vary", "Write variations of a piece."),
    "regenerate": ("composer.cli.regenerate:regenerate", "Make a piece again from its file, or rewrite some bars."),
    "export": ("composer.cli.export:export", "Write a piece in other formats."),
    "check": ("composer.cli.check:check", "Find problems of music files for other programs."),
    "train": ("composer.cli.train:train", "Train a model on music you choose."),
    "evaluate": ("composer.cli.evaluate:evaluate", "Evaluate a model on a dataset."),
    "metrics": ("composer.cli.metrics:metrics", "Measure pieces: pitch, rhythm, texture, voice-leading."),
    "originality": ("composer.cli.originality:originality", "Find what pieces copy from the music of a dataset."),
    "finetune": ("composer.cli.train:finetune", "Train a model further, on your music."),
    "datasets": ("composer.cli.tables:datasets", "List the datasets."),
    "models": ("composer.cli.models:models", "List the models, or look at one."),
    "presets": ("composer.cli.presets:presets", "List the presets of `generate`, such as hymn or jig."),
    "plugins": ("composer.cli.plugins:plugins", "List the plugins and what they offer; check or create one."),
    "cache": ("composer.cli.cache:cache", "Show where corpora are cached, or clear the cache."),
}


class LazyGroup(click.Group):
    """Commands that are imported when they are called, so that help is fast. Commands of plugins come last."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names, in the order of a user's day."""
        return [*COMMANDS, *commands.list_commands()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if cmd_name not in COMMANDS:
            return commands.load(cmd_name) or (_help if cmd_name == "help" else None)
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])
        if offered := commands.list_commands():
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(printable(name, 30), printable(line, 100)) for name, line in offered.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line. Raises UnknownName, with the nearest one, for a mistyped name."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise UnknownName(f"there is no command '{printable(name)}': {suggest(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.command(add_help_option=False)
@click.argument("names", nargs=-1)
@click.pass_context
def _help(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show the help of a command, as `--help` after it does."""
    words = [name for name in names if name != "help"]
    cli.main([*words, "--help"], prog_name="composer", standalone_mode=False)
    ctx.exit()


def _leave_out(ctx: click.Context, _: click.Parameter, names: tuple[str, ...]) -> None:
    """Leave plugins out for this run, and for the processes that it starts."""
    if not names:
        return
    from composer.plugins import DISABLED
    from composer.plugins.discovery import disable

    before = os.environ.get(DISABLED, "")
    ctx.call_on_close(lambda: os.environ.update({DISABLED: before}))
    disable(names)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="composer")
@click.option("--traceback", is_flag=True, expose_value=False, help="Show where an unexpected error came from.")
@click.option(
    "--without",
    multiple=True,
    metavar="PLUGIN",
    is_eager=True,  # before --help
    expose_value=False,
    callback=_leave_out,
    shell_complete=completing.complete_plugins,
    help="Leave out a plugin, or `all` but composer's own.",
)
def cli() -> None:
    """Train small recurrent networks on the music you choose, and compose with them."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 for success, 2 for errors that the user can fix, 1 for others."""
    warnings.showwarning = _show_warning
    status = run(sys.argv[1:] if arguments is None else arguments)
    if "WORLD_SIZE" in os.environ:
        _exit_at_once(status)
    sys.exit(status)


def _exit_at_once(status: int) -> NoReturn:
    """Exit at once: torch sometimes aborts a process of a group while Python shuts down (pytorch#179291)."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError, OSError):  # already closed
            stream.flush()
    os._exit(status)


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit status. Every error becomes one sentence on stderr here."""
    try:
        result: Any = cli.main(arguments, prog_name="composer", standalone_mode=False)
    except ComposerError as error:
        return _fail(str(error), error.exit_status)
    except click.NoSuchOption as error:
        return _refuse(error, arguments)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _fail("stopped.", 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has closed it
        return 0
    except Exception as error:
        if "--traceback" in arguments:
            raise
        if isinstance(error, OSError) and error.filename:  # such as a name that is too long, or a missing disk
            return _fail(f"{printable(str(error.filename))}: {error.strerror}.", 2)
        return _fail(_describe_unexpected(error), 1)
    return result if isinstance(result, int) else 0


def _describe_unexpected(error: Exception) -> str:
    """Describe an error that nobody foresaw, and name the plugin it came from, if it is not one of ours."""
    from composer.plugins.discovery import find_culprit

    text, name = printable(str(error), 500), type(error).__name__
    found = find_culprit(error)
    if found is None:
        return f"unexpected {name}: {text} (`composer --traceback …` shows where)."
    plugin, place = found
    of = f"in the plugin '{printable(plugin.name)}' ({printable(plugin.distribution)})"
    return f"unexpected {name} {of}: {text} (in {place}; `composer --traceback …` shows all)."


def _refuse(error: click.NoSuchOption, arguments: list[str]) -> int:
    from composer.cli.mistakes import explain

    if sentence := explain(error, arguments):
        return _fail(sentence, error.exit_code)
    error.show()
    return error.exit_code


def _fail(sentence: str, status: int) -> int:
    click.echo(f"composer: {sentence}", err=True)
    return status


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, ReadingWarning | RequestWarning | RunWarning):
        click.echo(f"composer: {message}", err=True)
