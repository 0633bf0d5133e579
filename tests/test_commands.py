"""Commands of plugins: listed without being imported, called as any other, and never in the place of ours."""

import os
import subprocess
import sys

import click
import pytest

from composer.cli import COMMANDS
from composer.errors import BadOption
from composer.plugins import BUILT_IN, DISABLED, help_lines
from composer.plugins.offers import load
from composer.testing import BrokenRule, check_command

PLUGIN = """
from composer import hookimpl

@hookimpl
def register_commands():
    from strange.command import tool
    return {"tool": tool, "other": tool}
"""

TOOL = '''
import click

@click.command("tool")
@click.argument("word")
def tool(word):
    """Say a WORD twice."""
    from composer.errors import BadOption
    if word == "no":
        raise BadOption("'no' is said once.")
    click.echo(f"{word} {word}")
'''

SHOWN = "import sys; from composer.cli import run; run({arguments}); print([m for m in sys.modules if m in {modules}])"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages with a plugin in it that offers two commands."""
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/__init__.py").write_text(PLUGIN)
    (tmp_path / "strange/command.py").write_text(TOOL)
    info = tmp_path / "strange-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[composer]\nstrange = strange\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    return tmp_path


def composer(*arguments, modules=()):
    """What the command line prints in a process of its own, and which of `modules` it imports."""
    program = SHOWN.format(arguments=list(arguments), modules=modules)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *lines, imported = done.stdout.splitlines()
    return "\n".join(lines), done.stderr, imported


def test_help_lists_what_plugins_offer_and_imports_none_of_it_the_second_time(site):
    modules = ("strange", "strange.command", "numpy", "pluggy")
    first, _, _ = composer("--help")
    shown, _, imported = composer("--help", modules=modules)
    assert shown == first
    assert " Say a WORD twice." in shown.partition("Commands of plugins:")[2]
    assert imported == "[]"


def test_a_command_of_a_plugin_is_called_and_no_other_command_imports_it(site):
    assert composer("tool", "hey")[0] == "hey hey"
    assert composer("tool", "no")[1] == "composer: 'no' is said once.\n"
    assert composer("datasets", modules=("strange", "strange.command"))[2] == "[]"
    assert composer("other", "hey", modules=("strange.command",)) == ("hey hey", "", "['strange.command']")


def test_help_follows_what_is_installed_and_what_is_left_out(site):
    assert "Say a WORD twice." in composer("--help")[0]
    assert "Say a WORD" not in composer("--without", "strange", "--help")[0]
    assert "there is no command 'tool'" in composer("--without", "strange", "tool", "hey")[1]
    (site / "strange/command.py").write_text(TOOL.replace("Say a WORD twice", "Repeat a WORD"))
    assert "Repeat a WORD." in composer("--help")[0]
    (site / "strange-1.0.dist-info" / "entry_points.txt").unlink()
    (site / "strange-1.0.dist-info").rename(site / "gone")
    assert "Repeat a WORD" not in composer("--help")[0]


def test_a_damaged_list_is_made_anew(site):
    shown = composer("--help")[0]
    place = help_lines._locate_cache()
    for text in ("", "x", place.read_text().replace("\t", " "), place.read_text()[:-99], "\n" * 9, "\n\n\n" * 2):
        place.write_text(text)
        assert composer("--help")[0] == shown


def test_a_plugin_that_breaks_later_is_one_sentence(site):
    composer("--help")
    (site / "strange/command.py").write_text("1 / 0")
    assert "there is no command 'tool'" in composer("tool", "hey")[1]
    assert "ZeroDivisionError" in composer("plugins")[0]
    assert "Commands:" in composer("--help")[0]


def test_without_takes_the_commands_of_a_plugin_away_for_one_run(run):
    assert DISABLED not in os.environ or not os.environ[DISABLED]
    assert "play " in run("--help").out.partition("Commands of plugins:")[2]
    shown = run("--without", "play", "--help")
    assert "play " not in shown.out
    assert "generate " in shown.out
    assert run("--without", "play", "play", "x.mid").status == 2
    assert "play " in run("--help").out


def test_composer_s_own_names_are_those_of_its_commands():
    assert set(BUILT_IN) == set(COMMANDS)


# --- what is no command -----------------------------------------------------------------------------------------------


def loaded(monkeypatch, things):
    from importlib.metadata import EntryPoint
    from types import ModuleType

    from composer import hookimpl

    def register_commands():
        return things

    module = ModuleType("module_of_tools")
    module.register_commands = hookimpl(register_commands)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = load([EntryPoint("tools", module.__name__, "composer")])
    return found, [note.text for note in found.plugins[0].notes]


@click.command()
def fine():
    """Do something."""


def test_a_plugin_that_would_replace_a_command_of_composer_s_leaves_that_out(monkeypatch):
    found, notes = loaded(monkeypatch, {"fine": fine, "generate": fine})
    assert notes == ["offers the command 'generate', which composer has itself"]
    assert found.list_names("commands") == ["fine"]


def test_what_is_no_click_command_is_left_out(monkeypatch):
    _, notes = loaded(monkeypatch, {"fine": print})
    assert notes == ["register_commands offers 'fine', which is not a click command"]


# --- the contract -----------------------------------------------------------------------------------------------------


def made(text="Do something.", *options, line=None):
    @click.command(short_help=line)
    def command(**_):
        pass

    command.help = text
    command.params = list(options)
    return command


class Heavy(click.Command):
    """One whose help needs a library."""

    def get_params(self, ctx):
        import scipy  # noqa: F401

        return super().get_params(ctx)


def flag(*names, text="What it is."):
    return click.Option(names, help=text)


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        (made(None), "has a docstring, or `short_help`"),
        (made("Does something."), "begins with a verb in the imperative; Does something"),
        (made("A command."), "begins with a verb in the imperative"),
        (made("do something."), "begins with a verb in the imperative"),
        (made(line="Do"), "ends with a full stop"),
        (made(line=f"Do {'much ' * 20}."), "70 characters at most"),
        (made("Do something.", flag("--wide"), flag("--high", "--wide")), "no two options .* of `x`, --wide"),
        (made("Do something.", flag("--help")), "takes the place of --help; one of `x` does"),
        (made("Do something.", flag("--wide", text=None)), "an option has help; of `x`, not --wide"),
        (Heavy("x", help="Do something."), "`composer x --help` works, and imports nothing heavy"),
        (click.Group("x", {"y": made("Do.", flag("-a", text=""))}, help="Do something."), "of `x y`, not -a"),
    ],
)
def test_a_command_with_a_fault(command, rule):
    with pytest.raises(BrokenRule, match=rule):
        check_command("x", command)


class Remaking(click.Command):
    """Reads the task of any piece, or fails with an error of its own."""

    error = None

    def read_task(self, provenance):
        if self.error:
            raise self.error


def test_a_command_that_reads_the_tasks_of_others():
    command = Remaking("x", help="Do something.")
    with pytest.raises(BrokenRule, match=r"refused with BadOption; .* is read"):
        check_command("x", command)
    command.error = KeyError("request")
    with pytest.raises(BrokenRule, match="refused with BadOption, not with KeyError"):
        check_command("x", command)
    command.error = BadOption("this is no task.")
    check_command("x", command)


def test_a_command_whose_module_imports_something_heavy(tmp_path, monkeypatch):
    (tmp_path / "heavy_tool.py").write_text("import scipy\ndef act(): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    from heavy_tool import act

    check_command("x", made())
    with pytest.raises(BrokenRule, match="heavy_tool imports scipy"):
        check_command("x", click.Command("x", callback=act, help="Do something."))
