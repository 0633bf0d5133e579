"""The tables of the comparisons that are kept here; `python tests/benchmarks/compared.py` prints them.

A report is what `composer compare` wrote: `compared/chorales.json`, and the same as a page, `compared/chorales.html`.
"""

import json
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from composer_compare.command import TARGET
from composer_compare.leaderboard import HEADINGS, Row, list_lines, rank, read_board

SHOWN = {
    "chorales": range(1, 21),
    "tunes": (6, 8, 9, 11, 19),
    "cells-chorales": (1, 4, 5, 14, 18),
    "cells-finalists": (8, 11, 19),
    "cells-claims": (6, 7, 9, 10, 12, 13, 15, 17, 20),
    "cells-norms": (),
    "cells-time": (),
    "cells-tunes": (),
    "cells-drums": (),
}
"""The claims that the documents show of each: on the tunes, those that more music may decide."""

BOARD = Path(__file__).parents[2] / "datasets" / "leaderboard.jsonl"

REPORTS = {name: Path(__file__).parent / "compared" / f"{name}.json" for name in SHOWN}


def report(name: str) -> dict[str, Any]:
    return json.loads(REPORTS[name].read_text(encoding="utf-8"))


def standing(found: Mapping[str, Any]) -> Iterator[str]:
    """A line for each architecture, the best first; in younger reports with the share that the last steps gained."""
    heads = ["parameters", "gates", "bytes of state", "nats per note [95 %]", "ms a step", "µs a token, of 64 at once"]
    fifths = found.get("last_fifth", {})
    yield f"| architecture | {' | '.join(heads + ['gained in the last fifth'] * bool(fifths))} |"
    yield "|---|" + "--:|" * (len(heads) + bool(fifths))
    for row in found["standing"]:
        cost = found["costs"][row["architecture"]]
        written = f"{1e6 * cost['write_seconds']:.0f}, {1e6 * cost['write_seconds_64']:.0f}"
        nats = f"{row['nats_per_note']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        gates = "—" if cost["gates"] is None else cost["gates"]
        counted = f"{cost['parameters']:,} | {gates} | {cost['state_bytes']:,}"
        share = f" {100 * fifths[row['architecture']]:.0f} % |" if fifths else ""
        yield f"| `{row['architecture']}` | {counted} | {nats} | {1000 * cost['step_seconds']:.0f} | {written} |{share}"


def claims(found: Mapping[str, Any], numbers: Container[int]) -> Iterator[str]:
    """A line for each of these claims."""
    yield "| | what is said | here | measured |"
    yield "|--:|---|---|---|"
    for row in (row for row in found["claims"] if row["number"] in numbers):
        yield f"| {row['number']} | {row['claim']} | {row['finding']} | {row['figure']} |"


def leading(rows: Sequence[Row], target: float = TARGET) -> Iterator[str]:
    """A line for each row of a leaderboard, ranked, with its command."""
    heads = [heading.format(target=target) for heading in HEADINGS]
    yield f"| {' | '.join(heads)} | command |"
    yield "|--:|---|" + "--:|" * (len(heads) - 2) + "---|"
    ranked = rank(rows, target)
    for row, cells in zip(ranked, list_lines(ranked, target), strict=True):
        yield f"| {' | '.join(cells)} | `{row.command}` |"


if __name__ == "__main__":
    print("\n".join(leading(read_board(BOARD))), end="\n\n")
    for name in REPORTS:
        for lines in (standing(report(name)), claims(report(name), SHOWN[name])):
            print("\n".join(lines), end="\n\n")
