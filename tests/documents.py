"""The documents of the project: their text, the examples between their marks, and their links."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
ENGINE = ROOT / "composer" / "README.md"
GUIDE = ROOT / "composer" / "cli" / "README.md"
PLUGINS = ROOT / "plugins" / "README.md"
DATASETS = ROOT / "datasets" / "README.md"
BENCHMARKS = ROOT / "tests" / "benchmarks" / "README.md"
CELLS = ROOT / "tests" / "benchmarks" / "cells.md"
DOCUMENTS = [
    README,
    ENGINE,
    GUIDE,
    PLUGINS,
    DATASETS,
    BENCHMARKS,
    CELLS,
    *map(ROOT.joinpath, ("CONTRIBUTING.md", "SECURITY.md")),
]


def text(document):
    """The text of a document."""
    return document.read_text(encoding="utf-8")


def blocks(document):
    """Each marked block of a document: its mark, and its lines without their indentation."""
    found = re.findall(r"<!-- ([^>]*) -->\n(.*?)<!-- end -->", text(document), re.DOTALL)
    return [(mark, "\n".join(line[4:] for line in lines.splitlines())) for mark, lines in found]


def block(document, mark):
    """The one block of a document with this mark."""
    (found,) = [lines for name, lines in blocks(document) if name == mark]
    return found


def parse(lines):
    """The arguments of each `composer` command in these lines."""
    words = [shlex.split(line, comments=True) for line in lines.splitlines()]
    return [line[1:] for line in words if line[:1] == ["composer"]]


def commands(document, name):
    """The arguments of each command in the block `example: name` of a document, which holds nothing else."""
    lines = block(document, f"example: {name}")
    found = parse(lines)
    assert len(found) == len(lines.splitlines()), name
    return found


def unmarked(document):
    """The arguments of each `composer` command outside of the marks: records and the like, which no test runs."""
    rest = re.sub(r"(?s)<!-- [^>]* -->\n.*?<!-- end -->", "", text(document))
    return parse("\n".join(line[4:] for line in rest.splitlines() if line.startswith("    composer ")))


def prose(document):
    """The text of a document without its blocks of code, tables and comments."""
    lines = re.sub(r"(?s)<!--.*?-->|```.*?```", "", text(document)).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("    ", "|")))


def sentences(document):
    """The sentences of a document's prose, and those of its lists; code and links count as a word."""
    plain = re.sub(r"`[^`]*`", "code", re.sub(r"\]\([^)]*\)", "]", prose(document)))
    found = re.split(r"\n\s*\n|\n\s*(?:- |\d+\. )|(?<=[.:;!?])\s+| · ", plain)
    return [" ".join(one.split()) for one in found if not one.lstrip().startswith("#")]


def links(document):
    """Each link of a document that leads to this project: a path, or nothing, and an anchor, or nothing."""
    found = re.findall(r"\]\(([^)\s]+)\)", text(document))
    return [link.partition("#")[::2] for link in found if "://" not in link]


def anchors(document):
    """The anchors of a document's headings, as GitHub makes them."""
    heads = re.findall(r"(?m)^#+ (.*)$", text(document))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
