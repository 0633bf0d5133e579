"""The contracts of commands and executors.

A command has help, distinct options, and no heavy import before it runs. One that reads tasks refuses those of others.
An executor has an outcome for each argument, whatever becomes of the others.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from unittest.mock import patch
from warnings import catch_warnings, simplefilter

import click

from composer.errors import BadOption
from composer.testing.rules import BrokenRule, require
from composer.types import Executor, ReadsTasks

# --- commands ---------------------------------------------------------------------------------------------------------


HEAVY = ("torch", "matplotlib", "music21", "miditok", "pretty_midi", "reportlab", "scipy", "symusic", "verovio")
"""Libraries that only a running command may import, not its listing or its help."""

LONGEST_LINE = 70
"""Characters of the line that `composer --help` shows."""

_CHILD = """
import importlib, json, sys
module, heavy, sys.path[:] = json.loads(sys.argv[1])
importlib.import_module(module)
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def check_command(name: str, command: click.Command) -> None:
    """Check that a command has a help line, quick help, and distinct options; so do its subcommands."""
    require(isinstance(command, click.Command), f"a command is a click.Command, not {type(command).__name__}")
    require(
        not name.startswith("-") and name.split() == [name], f"a name is one word, without a dash before it; {name!r}"
    )
    _check_line(command.get_short_help_str(500))
    for path, one in _walk(name, command):
        _check_options(path, one)
        _check_help(path, one)
    _check_tasks(command)
    _check_import(command)


def _check_line(line: str) -> None:
    require(line, "a command has a docstring, or `short_help`, to be listed with")
    require(len(line) <= LONGEST_LINE, f"the line of a command has {LONGEST_LINE} characters at most; {line}")
    require(line.endswith("."), f"the line of a command ends with a full stop; {line}")
    first = line.split()[0]
    third = first.endswith("s") and not first.endswith("ss")
    require(
        first[0].isupper() and not third and first not in ("A", "An", "The"),
        f"the line of a command begins with a verb in the imperative; {line}",
    )


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield the command and its subcommands, with the words that call each."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for word in command.list_commands(context):
            if below := command.get_command(context, word):
                yield from _walk(f"{name} {word}", below)


def _check_options(path: str, command: click.Command) -> None:
    context = click.Context(command, info_name=path)
    own = command.get_help_option(context)
    with catch_warnings():
        simplefilter("ignore", UserWarning)  # click's own warning of duplicates
        options = [one for one in command.get_params(context) if isinstance(one, click.Option) and one is not own]
    flags = Counter(flag for option in options for flag in (*option.opts, *option.secondary_opts))
    twice = sorted(flag for flag, times in flags.items() if times > 1)
    require("--help" not in flags, f"no option of a command takes the place of --help; one of `{path}` does")
    require(not twice, f"no two options of a command have one name; of `{path}`, {', '.join(twice)}")
    silent = [option.opts[0] for option in options if not option.help]
    require(not silent, f"an option has help; of `{path}`, not {', '.join(silent)}")


def _check_help(path: str, command: click.Command) -> None:
    """Show the help of a command while nothing heavy can be imported."""
    require(command.help, f"a command has help; not `{path}`")
    shown = StringIO()
    try:
        with patch.dict(sys.modules, dict.fromkeys(HEAVY)), redirect_stdout(shown):
            command.main(["--help"], prog_name=f"composer {path}", standalone_mode=False)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise BrokenRule(f"`composer {path} --help` works, and imports nothing heavy; {text}") from error
    require(path in shown.getvalue(), f"`composer {path} --help` shows how it is called")


def _check_tasks(command: click.Command) -> None:
    """Check that a command which makes its pieces again refuses the provenance of others."""
    if not isinstance(command, ReadsTasks):
        return
    reads: ReadsTasks = command
    for foreign in ({}, {"request": {"seed": 7}, "command": "x"}):
        try:
            reads.read_task(foreign)
        except BadOption:
            continue
        except Exception as error:
            raise BrokenRule(f"what is no task of the command is refused with BadOption, not with {error!r}") from error
        raise BrokenRule(f"what is no task of the command is refused with BadOption; {foreign} is read")


def _check_import(command: click.Command) -> None:
    """Import the command's module in another process."""
    module = getattr(command.callback, "__module__", None)
    if module is None:
        return
    asked = json.dumps([module, HEAVY, sys.path])
    done = subprocess.run([sys.executable, "-P", "-c", _CHILD, asked], capture_output=True, text=True, check=False)  # noqa: S603
    require(done.returncode == 0, f"the module of a command can be imported; {done.stderr.strip()[-300:]}")
    found = ", ".join(json.loads(done.stdout.splitlines()[-1]))
    require(not found, f"heavy libraries are imported in the function that needs them; {module} imports {found}")


# --- executors --------------------------------------------------------------------------------------------------------


LIMIT = 120.0
"""Seconds that any argument may take."""


def check_executor(executor: Executor) -> None:
    """Check that every argument has one outcome, through all stages in turn, and that faults stay apart."""
    found = list(executor((_take_half, _add_one), iter(range(8)), LIMIT))
    arguments = sorted(outcome.argument for outcome in found)
    require(arguments == list(range(8)), f"each argument has one outcome; of 0 to 7 there are {arguments}")
    for outcome in found:
        if outcome.argument % 2:
            require("ValueError" in outcome.fault, f"the fault states the error of a stage, not '{outcome.fault}'")
            require(outcome.value is None, "where there is a fault, there is no value")
        else:
            wanted = outcome.argument // 2 + 1
            require(not outcome.fault, f"one argument's fault is not another's: '{outcome.fault}'")
            require(outcome.value == wanted, f"stages follow each other: {wanted} is due, {outcome.value} came")
    require(not list(executor((_add_one,), iter(()), LIMIT)), "without arguments there are no outcomes")
    _check_end(executor)
    again = [outcome.value for outcome in executor((_add_one,), iter([1]), LIMIT)]
    require(again == [2], "an executor can be called again")


def _check_end(executor: Executor) -> None:
    """Check that the iterator can be closed early."""
    taken: list[int] = []

    def count_up() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    outcomes = executor((_add_one,), count_up(), LIMIT)
    next(outcomes)
    require(len(taken) < 10_000, "arguments are taken as workers become free, not all at the beginning")
    close = getattr(outcomes, "close", None)
    require(callable(close), "the iterator can be closed, which ends the workers")
    if close is not None:
        close()


def _take_half(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def _add_one(number: int) -> int:
    return number + 1
