"""What `composer --help` prints, as the guide shows it; `python tests/helptext.py` puts it there anew."""

import re

import click
from documents import GUIDE

from composer.cli import cli

WIDTH = 100


def shown():
    """The help of the command line, indented as the guide's other blocks, whatever the terminal's width."""
    context = click.Context(cli, info_name="composer", terminal_width=WIDTH, **cli.context_settings)
    return "".join(f"    {line}".rstrip() + "\n" for line in context.get_help().splitlines())


def filled(guide):
    """The guide's text with the help of today between its marks."""
    text, count = re.subn(r"(?s)(<!-- help -->\n).*?(<!-- end -->)", lambda marks: marks[1] + shown() + marks[2], guide)
    assert count == 1, "the guide has one place for the help, between <!-- help --> and <!-- end -->"
    return text


if __name__ == "__main__":
    GUIDE.write_text(filled(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
