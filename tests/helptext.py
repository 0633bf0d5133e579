"""What `composer --help` prints, as the README shows it; `python tests/helptext.py` puts it there anew."""

import re
from pathlib import Path

import click

from composer.cli import cli

README = Path(__file__).parent.parent / "README.md"
WIDTH = 100


def shown():
    """The help of the command line, indented as the README's other blocks, whatever the terminal's width."""
    context = click.Context(cli, info_name="composer", terminal_width=WIDTH, **cli.context_settings)
    return "".join(f"    {line}".rstrip() + "\n" for line in context.get_help().splitlines())


def filled(readme):
    """The README's text with the help of today between its marks."""
    text, count = re.subn(
        r"(?s)(<!-- help -->\n).*?(<!-- end -->)", lambda marks: marks[1] + shown() + marks[2], readme
    )
    assert count == 1, "the README has one place for the help, between <!-- help --> and <!-- end -->"
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
