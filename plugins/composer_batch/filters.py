"""Gates: which pieces of a job pass, and the metrics that decide it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from composer.errors import BadOption, printable
from composer.generation.finishing import describe_broken, read_rules
from composer.generation.ranking import Ranked, Standard, compute_nats_per_note, find_broken_rules, measure_rules
from composer.generation.tasks import get_request, read_task
from composer.types import Piece

if TYPE_CHECKING:
    from composer.originality.index import Music

COPIED = "copied bars"
"""The metric that needs the training music of the model."""

RULES = "rules"
"""The metric that holds the broken rules of the gates, with what is wrong."""


@dataclass(frozen=True)
class Gates:
    """The conditions a piece must meet before it is written. Raises BadOption for values that no piece can meet."""

    not_degenerate: Annotated[bool, "refuse pieces that loop for longer than real ones"] = False
    rules_broken: Annotated[int | None, "rules of the model's card that may be broken at most"] = None
    nats_per_note: Annotated[tuple[float, ...] | None, "[least, most] nats per note under the model"] = None
    in_key: Annotated[float | None, "share of the notes that lie in the key, at least"] = None
    notes_per_bar: Annotated[tuple[float, ...] | None, "[least, most] notes in a bar, on average"] = None
    pitches: Annotated[tuple[float, ...] | None, "[lowest, highest] MIDI pitch"] = None
    silent_bars: Annotated[float | None, "share of bars in which nothing sounds, at most"] = None
    max_copied_bars: Annotated[int | None, "bars of a passage shared with a training piece, at most"] = None
    rules: Annotated[tuple[str, ...], "rules that a piece keeps, such as leaps:7"] = ()

    def __post_init__(self) -> None:
        """Check every value by itself."""
        for name in ("nats_per_note", "notes_per_bar", "pitches"):
            band = getattr(self, name)
            if band is not None and not (len(band) == 2 and band[0] <= band[1]):
                raise BadOption(f"'{name}' is {printable(str(list(band)))}, and must be [least, most].")
        for name in ("in_key", "silent_bars"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise BadOption(f"'{name}' is {share}, and must be a share from 0 to 1.")
        if self.rules_broken is not None and self.rules_broken < 0:
            raise BadOption(f"'rules_broken' is {self.rules_broken}, and must be 0 or more.")
        if self.max_copied_bars is not None and self.max_copied_bars < 0:
            raise BadOption(f"'max_copied_bars' is {self.max_copied_bars}, and must be 0 or more.")
        read_rules(self.rules)

    def find_fault(self, metrics: Mapping[str, Any]) -> str:
        """Explain why a piece with these metrics does not pass. Return an empty text if it does.

        The text before the colon names the gate, so that rejections can be counted by it. A missing metric is no reason
        to refuse a piece.
        """
        if self.not_degenerate and metrics["degenerate"]:
            return f"degenerate: {metrics['degenerate']}"
        if self.rules_broken is not None and len(metrics["broken"]) > self.rules_broken:
            return f"rules broken: {', '.join(metrics['broken'])}"
        if self.max_copied_bars is not None and metrics[COPIED] > self.max_copied_bars:
            return f"{COPIED}: {metrics[COPIED]:.3g} is more than {self.max_copied_bars}"
        return self._check_bands(metrics) or self._check_shares(metrics) or self._check_rules(metrics)

    def _check_rules(self, metrics: Mapping[str, Any]) -> str:
        return next((f"rule {rule.partition(':')[0]}: {text}" for rule, text in metrics.get(RULES, {}).items()), "")

    def _check_bands(self, metrics: Mapping[str, Any]) -> str:
        held = {
            "nats per note": self.nats_per_note,
            "notes per bar": self.notes_per_bar,
            "lowest pitch": self.pitches,
            "highest pitch": self.pitches,
        }
        for name, band in held.items():
            if band is not None and name in metrics and not band[0] <= metrics[name] <= band[1]:
                return f"{name}: {metrics[name]:.3g} is not from {band[0]:g} to {band[1]:g}"
        return ""

    def _check_shares(self, metrics: Mapping[str, Any]) -> str:
        outside = metrics.get("notes outside the key", 0.0)
        if self.in_key is not None and 1 - outside < self.in_key:
            return f"in key: {1 - outside:.3g} is less than {self.in_key:g}"
        if self.silent_bars is not None and metrics["silent bars"] > self.silent_bars:
            return f"silent bars: {metrics['silent bars']:.3g} is more than {self.silent_bars:g}"
        return ""


def make_gates(values: Mapping[str, Any]) -> Gates:
    """Build the gates from plain values. Raises BadOption."""
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Gates(**plain)


def measure(piece: Piece, standard: Standard, music: Music | None = None, rules: Sequence[str] = ()) -> dict[str, Any]:
    """Measure everything that gates and ranks look at, as plain values. Copies are counted if `music` is given.

    Only broken ones of the `rules` are noted.
    """
    request = get_request(read_task(piece.provenance))
    found = measure_rules(piece.score)
    ranked = Ranked(
        piece, find_broken_rules(piece, standard, found), compute_nats_per_note(piece, request.primer_ticks)
    )
    return {
        "notes": int(piece.score.note_count),
        "nats per note": round(ranked.nats_per_note, 6),
        "broken": list(ranked.broken),
        "rank": [value if isinstance(value, int) else round(value, 6) for value in ranked.get_sort_key(standard)],
        "degenerate": piece.provenance.get("degenerate", ""),
        **{name: round(float(value), 6) for name, value in found.items()},
        **({} if music is None else _measure_copies(piece, music, request.primer_ticks)),
        **({RULES: broken} if (broken := describe_broken(piece.score, read_rules(rules))) else {}),
    }


def _measure_copies(piece: Piece, music: Music, start: int) -> dict[str, float]:
    from composer.originality.passages import compare

    return {COPIED: round(compare(piece.score, music, start=start).copied_bars, 6)}


# --- the best of a job ------------------------------------------------------------------------------------------------

_KEEP = re.compile(r"\s*best\s+([1-9]\d{0,6})(?:\s+by\s+(rules|likelihood))?\s*")


@dataclass(frozen=True)
class Keep:
    """How many pieces of a job are kept, and what ranks them."""

    count: int
    by: str  # rules, then likelihood; or likelihood alone

    @staticmethod
    def parse(text: str) -> Keep:
        """Parse a text such as `best 100 by likelihood`, or `by rules`. Raises BadOption."""
        if not (found := _KEEP.fullmatch(text)):
            raise BadOption(
                f"'keep' is '{printable(text)}', and must be such as 'best 100 by likelihood' or 'by rules'."
            )
        return Keep(int(found[1]), found[2] or "rules")
