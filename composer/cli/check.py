"""`composer check`: problems that other programs would have with music files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from composer.errors import printable

if TYPE_CHECKING:
    from composer.io.lint import Checked
    from composer.types import Finding

FOUND_ERRORS = 2
"""The exit status if a file has errors."""

FEW = 3
"""Files; of more, like findings are grouped."""

NAMED = 3
"""Files of a group that are named."""

LONGEST = 1_000
"""Characters of a line."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@click.option("--all", "show_all", is_flag=True, help="Print the findings of each file, however many there are.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check(paths: tuple[Path, ...], strict: bool, show_all: bool, as_json: bool) -> int:
    """Find problems of FILEs, and those in folders, for other programs; nothing is changed.

    Programs refuse an error, or read it differently; a warning needs to be fixed by hand; a hint is unusual. The exit
    status is 2 if there are errors (with --strict, or warnings), and else 0. Of several files, like
    findings are grouped.

    \b
    composer check chorale.mid
    composer check ~/midi --json
    """  # noqa: D301  (a \b keeps click from filling the lines)
    from composer.io.lint import check as checked
    from composer.io.lint import list_music

    files = list_music(paths)
    each = not as_json and (show_all or len(files) <= FEW)
    found = []
    for path in files:
        found.append(checked(path))
        if each:
            _print_lines(_format_findings(found[-1]))
    if as_json:
        shown = [{"file": str(its.path), "findings": [asdict(finding) for finding in its.findings]} for its in found]
        click.echo(json.dumps(shown, indent=1))
    else:
        _print_lines([] if each else _format_groups(found))
        click.echo(_summarise(found))
    bad = any(its.count("error") or (strict and its.count("warning")) for its in found)
    return FOUND_ERRORS if bad else 0


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(printable(line, LONGEST))


def _format_findings(checked: Checked) -> Iterator[str]:
    """Yield the findings of a file. Yield nothing if there are none."""
    if checked.findings:
        yield f"{checked.path}: {_format_counts(checked)}"
    for finding in checked.findings:
        times = f" ({finding.times:,} times)" if finding.times > 1 else ""
        yield f"  {finding.severity:8}{_format_position(finding)}{finding.text}{times} [{finding.rule}]"


def _format_groups(found: Iterable[Checked]) -> Iterator[str]:
    """Yield like findings of several files as one, the gravest first: the first of them, and the files."""
    from composer.io.lint import SEVERITIES

    groups: dict[tuple[int, str], list[tuple[Path, Finding]]] = {}
    for its in found:
        for finding in its.findings:
            groups.setdefault((SEVERITIES.index(finding.severity), finding.rule), []).append((its.path, finding))
    for _, group in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]))):
        first, paths = group[0][1], list(dict.fromkeys(path for path, _ in group))
        yield f"{first.severity:8}{first.text} [{first.rule}]"
        more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
        yield f"        in {', '.join(path.name for path in paths[:NAMED])}{more}"


def _format_counts(checked: Checked) -> str:
    from composer.io.lint import SEVERITIES

    counts = [(checked.count(severity), severity) for severity in SEVERITIES]
    return ", ".join(f"{count} {severity}{'s' * (count > 1)}" for count, severity in counts if count)


def _format_position(finding: Finding) -> str:
    parts = [f"track {finding.track}"] if finding.track is not None else []
    if finding.bar is not None:
        parts.append(f"bar {finding.bar}")
    if finding.tick is not None:
        parts.append(f"tick {finding.tick}")
    return f"{', '.join(parts)}: " if parts else ""


def _summarise(found: list[Checked]) -> str:
    files = f"{len(found):,} file{'s' * (len(found) != 1)}"
    errors, warnings = (sum(its.count(severity) > 0 for its in found) for severity in ("error", "warning"))
    return f"{files}: {errors or 'none'} with errors, {warnings or 'none'} with warnings"
