"""The README's tables of a comparison whose report is kept here; `python tests/benchmarks/compared.py` prints them.

The report is what `composer compare` wrote: `compared/chorales.json`, and the same as a page, `compared/chorales.html`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

REPORT = Path(__file__).parent / "compared" / "chorales.json"


def report() -> dict[str, Any]:
    return json.loads(REPORT.read_text(encoding="utf-8"))


def standing(found: Mapping[str, Any]) -> Iterator[str]:
    """A line for each architecture, the best first."""
    heads = ("parameters", "gates", "bytes of state", "nats per note [95 %]", "ms a step", "µs a token, of 64 at once")
    yield f"| architecture | {' | '.join(heads)} |"
    yield "|---|" + "--:|" * len(heads)
    for row in found["standing"]:
        cost = found["costs"][row["architecture"]]
        written = f"{1e6 * cost['write_seconds']:.0f}, {1e6 * cost['write_seconds_64']:.0f}"
        nats = f"{row['nats_per_note']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        counted = f"{cost['parameters']:,} | {cost['gates']} | {cost['state_bytes']:,}"
        yield f"| `{row['architecture']}` | {counted} | {nats} | {1000 * cost['step_seconds']:.0f} | {written} |"


def claims(found: Mapping[str, Any]) -> Iterator[str]:
    """A line for each claim."""
    yield "| | what is said | here | measured |"
    yield "|--:|---|---|---|"
    for row in found["claims"]:
        yield f"| {row['number']} | {row['claim']} | {row['finding']} | {row['figure']} |"


if __name__ == "__main__":
    for lines in (standing(report()), claims(report())):
        print("\n".join(lines), end="\n\n")
