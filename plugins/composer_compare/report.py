"""An experiment as a self-contained page, and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files as package
from math import isfinite
from pathlib import Path
from typing import Any

from composer.errors import CannotWrite, printable
from composer.storage.atomic import write_whole_file
from composer.storage.inside import open_inside
from composer_compare.claims import judge_claims
from composer_compare.cost import count_generation_bytes
from composer_compare.plots import build_figures, plot
from composer_compare.result_store import NAME, ResultStore
from composer_compare.results import Results, compute_gap, compute_last_fifth
from composer_compare.spec import DROPOUT
from composer_compare.statistics import POWER, Estimate, estimate_from_seeds

PAGE, DATA = "report.html", "report.json"


def write(findings: Results, folder: Path, command: str = "") -> None:
    """Write the page and the data into a folder; `command` is the command line shown. Raises CannotWrite."""
    for name, text in (
        (PAGE, render_page(findings, command)),
        (DATA, json.dumps(collect_data(findings, command), indent=1)),
    ):
        with write_whole_file(folder / name) as scratch:
            scratch.write_text(text, encoding="utf-8")


def check_folder(folder: Path) -> None:
    """Check that the folder may be written: raise CannotWrite if a file that no comparison wrote has our name."""
    there = [name for name in (NAME, PAGE, DATA) if os.path.lexists(folder / name)]
    if there and not ResultStore(folder).read() and not _is_report(folder / DATA):
        shown = printable(str(folder))
        raise CannotWrite(
            f"{shown}: contains a '{there[0]}' that no comparison wrote; choose another folder with --out."
        )


def _is_report(path: Path) -> bool:
    """Tell whether a file is the data of a comparison."""
    try:
        with open_inside(path, "read") as file:
            return "verdict" in json.load(file)
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def collect_data(findings: Results, command: str = "") -> dict[str, Any]:
    """Collect the content of the page as plain values."""
    verdict = findings.verdict
    return {
        "command": command,
        "trial": asdict(findings.trial),
        "verdict": {"text": verdict.text, "winner": verdict.winner, "losers": list(verdict.losers)},
        "standing": [{"architecture": name, **_make_interval(estimate)} for name, estimate in verdict.standing],
        "pairs": [
            {
                "better": p.better,
                "worse": p.worse,
                **_make_interval(p.behind),
                "p": p.p,
                "seeds": p.seeds,
                "detectable": _round(p.detectable),
            }
            for p in verdict.pairs
        ],
        "costs": {name: dict(findings.get_cost(name)) for name in findings.names},
        "music": {name: findings.select("music", name) for name in findings.names},
        "plots": {
            title: {name: [asdict(place) for place in places] for name, places in lines.items()}
            for title, _, _, lines, _ in build_figures(findings)
        },
        "claims": [
            {
                "number": claim.number,
                "claim": claim.text,
                "finding": found.state,
                "figure": found.words,
                "detectable": _round(found.detectable),
                "unit": None if found.detectable is None else found.unit,
            }
            for claim, found in judge_claims(findings)
        ],
        "missing": findings.list_missing(),
        "best_at_highest_rate": findings.list_fastest(),
        "last_fifth": {
            name: _round(share.mean if share else None) for name, share in _estimate_last_fifths(findings).items()
        },
    }


def _make_interval(estimate: Estimate) -> dict[str, float | None]:
    """Return a mean and its interval as plain values; an unknown interval is null, as JSON has no infinity."""
    return {
        "nats_per_note": round(estimate.mean, 5),
        "low": _round(estimate.low),
        "high": _round(estimate.high),
    }


def _round(value: float | None) -> float | None:
    """Round a figure; None if it is unknown."""
    return round(value, 5) if value is not None and isfinite(value) else None


def _estimate_last_fifths(findings: Results) -> dict[str, Estimate | None]:
    return {name: findings.estimate_mean("likelihood", name, 1.0, compute_last_fifth) for name in findings.names}


SHADED = (
    "Shaded are the 95 % confidence intervals of each mean by itself. The pairs above are compared over the same seeds "
    "and pieces, which is more precise."
)


def render_page(findings: Results, command: str = "") -> str:
    """Render one self-contained file."""
    style = package("composer_compare").joinpath("report.css").read_text(encoding="utf-8")
    named = findings.trial.named
    title = f"{', '.join(findings.names[:-1])} or {findings.names[-1]}? Measured on {named.get('title', 'music')}"
    plots = "".join(
        plot(heading, across, up, lines, number=number, **scales)
        for number, (heading, across, up, lines, scales) in enumerate(build_figures(findings))
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict">{escape(findings.verdict.text)}</p>',
        _render_missing(findings),
        _render_method(findings, command),
        "<h2>Size, speed and likelihood</h2>",
        _render_costs(findings),
        "<h2>Pairs</h2>",
        _render_pairs(findings),
        _render_music(findings),
        "<h2>Plots</h2>",
        f"<p>{SHADED}</p>",
        plots or "<p>There is nothing to draw yet.</p>",
        "<h2>Common claims about LSTM and GRU, and what was measured here</h2>",
        _render_claims(findings),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _render_missing(findings: Results) -> str:
    holes = "".join(f"<li>{escape(hole)}</li>" for hole in findings.list_missing())
    return f'<section class="missing"><h2>What is missing</h2><ul>{holes}</ul></section>' if holes else ""


def _render_method(findings: Results, command: str) -> str:
    trial, named = findings.trial, findings.trial.named
    pieces = f"{named.get('train')} training, {named.get('valid')} validation and {named.get('test')} test pieces"
    return (
        f"<p>Music: {escape(named.get('dataset', ''))}, {pieces}. "
        f"{trial.seeds} seeds of each, {escape(findings.equal)}. "
        f"The same {trial.trials} learning rates and dropouts were tried for each{_describe_fixed(findings)}, and "
        f"chosen by the validation split; the test split was scored once a run. {_describe_fastest(findings)}"
        f"{_describe_flatness(findings)}"
        "Nats use the natural logarithm; less is better. Intervals are of 95 %, over seeds and pieces "
        "(Student's t); p is adjusted for the number of pairs (Holm). A difference would have been seen if it is found "
        f"with a probability of {100 * POWER:g} %, by the errors measured here; of pairs, at Holm's strictest step.</p>"
        + (f"<p>Made by <code>{escape(command)}</code></p>" if command else "")
        + f"<p>{escape(_describe_machine(findings))}</p>"
    )


def _describe_fixed(findings: Results) -> str:
    """Name the variants that were not searched in full."""
    labels = [one.label for one in findings.trial.contenders if DROPOUT in one.given]
    return escape(f" (the dropout of {', '.join(labels)} is fixed)") if labels else ""


def _describe_fastest(findings: Results) -> str:
    names = ", ".join(findings.list_fastest())
    return f"The highest rate tried was the best for {escape(names)}: a higher one might be better. " if names else ""


def _describe_flatness(findings: Results) -> str:
    """Say how much of what was learned the last fifth of the steps brought."""
    means = [share.mean for share in _estimate_last_fifths(findings).values() if share]
    if not means:
        return ""
    low, high = f"{min(means):.1%}", f"{max(means):.1%}"
    shares = low if low == high else f"{low} to {high}"
    return (
        f"The last fifth of the steps brought {shares} of the gain in validation since its first evaluation: "
        "the less, the flatter the curves were at the end. "
    )


def _describe_machine(findings: Results) -> str:
    """Describe the machine on which times were taken, and its load."""
    costs = [cost for name in findings.names if (cost := findings.get_cost(name))]
    if not costs:
        return "No time was taken."
    where = "; ".join(dict.fromkeys(cost["machine"] for cost in costs))
    loads = [cost["load"] for cost in costs if cost.get("load") is not None]
    busy = (
        f"{costs[0]['processors']} processors, on which {min(loads):g} to {max(loads):g} processes ran at the time"
        if loads
        else "the load is not known"
    )
    return (
        f"Times are of one thread ({where}; {busy}). A step is measured in processor time, which a busy machine "
        "lengthens, too; a written token is the best of three trials. Each was measured once: differences of a few per "
        "cent mean nothing."
    )


def _render_table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "numbers") -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return f'<div class="wide"><table class="{kind}"><tr>{top}</tr>{body}</table></div>'


TOGETHER = 64
"""Batch size of generation."""

COLUMNS: Mapping[str, tuple[str, str]] = {
    "parameters": ("parameters", "{:,}"),
    "gates": ("gates", "{}"),
    "multiply_adds": ("multiply-adds a token", "{:,}"),
    "state_bytes": ("bytes of state", "{:,}"),
    "step_seconds": ("seconds a step", "{:.3f}"),
    "training_bytes": ("bytes held in training", "{:,}"),
    "writing_bytes": (f"bytes held in writing {TOGETHER} at once", "{:,}"),
    "write_seconds": ("seconds a written token", "{:.2g}"),
    "write_seconds_64": (f"… of each of {TOGETHER} at once", "{:.2g}"),
}


def _render_costs(findings: Results) -> str:
    rows, fifths = [], _estimate_last_fifths(findings)
    for name in findings.names:
        cost, estimate = findings.get_cost(name), findings.estimate_likelihood(name)
        cost = {**cost, "writing_bytes": count_generation_bytes(cost, TOGETHER)} if cost else cost
        apart = findings.estimate_mean("likelihood", name, 1.0, compute_gap)
        costs = [form.format(cost[key]) if cost.get(key) is not None else "—" for key, (_, form) in COLUMNS.items()]
        shares = format_estimate(fifths[name], ".1%")
        rows.append([name, format_estimate(estimate), format_estimate(apart), shares, *costs])
    heads = ("nats per note", "valid less train", "gained in the last fifth")
    return _render_table(["", *heads, *(head for head, _ in COLUMNS.values())], rows)


def format_estimate(estimate: Estimate | None, form: str = ".3f") -> str:
    """Format a mean with its interval."""
    if estimate is None:
        return "—"
    known = estimate.half_width != float("inf")
    return f"{estimate.mean:{form}}" + (f" [{estimate.low:{form}}, {estimate.high:{form}}]" if known else "")


def _render_music(findings: Results) -> str:
    """Render the figures of the generated pieces, beside those of real ones."""
    rows, real = [], None
    for name in findings.names:
        if runs := list(findings.select("music", name).values()):
            real = runs[0]
            rows.append([name, *(format_estimate(_estimate_over(runs, figure), form) for _, form, figure in MUSIC)])
    if real is None:
        return ""
    rows.append(
        [
            "real test pieces",
            f"{real['distance']['halves'] or 0:.1f} (halves)",
            "—",
            f"{real['held_out']['share']:.1%}",
            f"{real['held_out']['longest_notes']}",
        ]
    )
    return (
        f"<h2>What each writes</h2><p>{real['pieces']} pieces of each seed, with the dataset's suggestions, beside the "
        "test pieces. Distance is the Fréchet distance over all metrics, in standard deviations of the real pieces. A "
        f"figure (of {real['figures']}) is inside if it lies in the range of 99 in 100 sets of as many real pieces. "
        "Copies are passages of at least 8 notes that occur in training pieces.</p>"
        + _render_table(["", *(head for head, _, _ in MUSIC)], rows)
    )


def _estimate_over(
    runs: Sequence[Mapping[str, Any]], figure: Callable[[Mapping[str, Any]], float | None]
) -> Estimate | None:
    values = [value for run in runs if (value := figure(run)) is not None]
    return estimate_from_seeds(values) if values else None


MUSIC: Sequence[tuple[str, str, Callable[[Mapping[str, Any]], float | None]]] = (
    ("distance", ".1f", lambda run: run["distance"]["value"]),
    ("figures inside", ".0%", lambda run: run["inside"] / max(run["figures"], 1)),
    ("notes in copies", ".1%", lambda run: run["copied"]["share"]),
    ("longest copy, notes", ".0f", lambda run: run["copied"]["longest_notes"]),
)


SEEN = "difference that would have been seen"


def _render_pairs(findings: Results) -> str:
    rows = [
        [
            f"{p.worse} behind {p.better}",
            format_estimate(p.behind),
            f"{p.p:.3g}",
            "beyond chance" if p.decided else "may be chance",
            f"{p.detectable:.2g}" if isfinite(p.detectable) else "—",
        ]
        for p in findings.verdict.pairs
    ]
    return _render_table(["pair", "nats per note", "p", "", SEEN], rows)


def _render_claims(findings: Results) -> str:
    rows = [
        [
            str(claim.number),
            claim.text,
            found.state,
            found.words,
            "—" if found.detectable is None else f"{found.detectable:.2g} {found.unit}",
        ]
        for claim, found in judge_claims(findings)
    ]
    return _render_table(["", "claim", "here", "measured", SEEN], rows, "words")
