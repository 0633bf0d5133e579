"""Ranking: the best of many pieces, by rules and by likelihood.

A rule is a range of one simple measure of a piece (`measures`), which holds for 98 in 100 pieces of the training split.
A degenerate piece (`composer.generation.degeneration`) breaks another one; the rules of a request count as well. Pieces
with fewer broken rules come first. Among equals, pieces come first whose nats per note are nearest to the median of
held-out real pieces. The likeliest piece is not the best one: it is the dullest. Listeners expect a certain amount of
information (Meister et al., Locally Typical Sampling, TACL 2023, for language). If the sampler chain makes pieces
likelier than real ones, the livelier of them win. If a model's card states no standard, pieces that are not degenerate
come first, and of these the likeliest per note.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadModelFile, ComposerError
from composer.generation.degeneration import UNLIMITED
from composer.generation.finishing import BROKEN, count_new_notes
from composer.generation.generator import Generator
from composer.generation.tasks import Task, generate_each, put_in_order
from composer.metrics import counts
from composer.metrics.score_view import FIFTH, UNISON, find_parallels, view_score
from composer.music.score import Score, compute_bars, concatenate_notes
from composer.types import Piece

CARD = "ranking"
"""Key of a model's card for its standard, `nats_per_note` and `rules`."""

REACH = (0.01, 0.99)
"""The quantiles of real pieces that bound a rule."""

FAULTS = ("silent bars", "notes outside the key", "parallel fifths", "parallel octaves")
"""The measures without a lower bound."""


@dataclass(frozen=True)
class Standard:
    """The figures of real pieces."""

    nats_per_note: float = 0.0  # of real pieces; 0: likelier is better
    rules: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # range of each measure


@dataclass(frozen=True)
class Ranked:
    """A piece and its figures."""

    piece: Piece
    broken: tuple[str, ...]  # names of broken rules
    nats_per_note: float  # of new notes: under the model, within grammar and constraints

    def get_sort_key(self, standard: Standard) -> tuple[int, float]:
        """Return the sort key: broken rules, and the distance of the nats per note from real pieces."""
        return len(self.broken), abs(self.nats_per_note - standard.nats_per_note)


Lost = Callable[[int, ComposerError], None]
"""A function that takes the index of a failed piece and its error."""


def _raise(_: int, error: ComposerError) -> None:
    raise error


def find_best(generator: Generator, tasks: Iterable[Task], count: int, *, lost: Lost = _raise) -> list[Ranked]:
    """Find the best `count` pieces, best first; of equal pieces, the earlier request wins.

    No more than `count` pieces are kept in memory. `lost` is called for failed pieces; by default, it raises the error.
    Raises BadModelFile for a card with an invalid standard.
    """
    standard = read_standard(generator.model.card)
    return heapq.nsmallest(
        count, _rank_each(generator, tasks, standard, lost), key=lambda ranked: ranked.get_sort_key(standard)
    )


def _rank_each(
    generator: Generator, tasks: Iterable[Task], standard: Standard, lost: Lost = _raise
) -> Iterator[Ranked]:
    for place, piece in enumerate(put_in_order(generate_each(generator, tasks))):
        if isinstance(piece, ComposerError):
            lost(place, piece)
        else:
            start = piece.provenance.get("request", {}).get("primer_ticks", 0)
            yield Ranked(piece, find_broken_rules(piece, standard), compute_nats_per_note(piece, start))


def find_broken_rules(piece: Piece, standard: Standard, found: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """Name the rules that a piece breaks, those of its request last; a rule without a measure is not broken."""
    found = measure_rules(piece.score) if found is None else found
    outside = [name for name, (least, most) in standard.rules.items() if not least <= found.get(name, least) <= most]
    loops = ["repetition"] if "degenerate" in piece.provenance else []
    return (*loops, *outside, *piece.provenance.get(BROKEN, ()))


def compute_nats_per_note(piece: Piece, start: int) -> float:
    """Compute the nats per note of a piece from the tick `start` on, the end of its primer."""
    new = count_new_notes(piece.score, start)
    notes = piece.provenance.get("written_notes", new)  # of a form, with repeated sections, or before transforms
    return float(piece.provenance["nats"]["model"]) / max(notes, 1)


def measure_rules(score: Score) -> dict[str, float]:
    """Measure a score for the rules, by name; pitches without drums, and only if there are any.

    `notes per bar`; `lowest pitch` and `highest pitch` (MIDI); `silent bars` (share of bars); and as `composer.metrics`
    defines them, `notes outside the key` (share of notes) and, of four single-line voices, `parallel fifths` and
    `parallel octaves` (per beat).
    """
    heard = view_score(score)
    found = {"notes per bar": score.note_count / max(heard.bars, 1), "silent bars": _measure_silent_bars(score)}
    if len(heard.notes):
        pitches = heard.notes["pitch"]
        found |= {"lowest pitch": float(pitches.min()), "highest pitch": float(pitches.max())}
        found["notes outside the key"] = float(np.mean(counts.is_outside_scale(pitches, heard.key)))
    if heard.lines:
        beats = max(heard.beats, 1e-9)
        found |= {
            name: len(find_parallels(heard.texture, interval)) / beats
            for name, interval in (("parallel fifths", FIFTH), ("parallel octaves", UNISON))
        }
    return found


def _measure_silent_bars(score: Score) -> float:
    """Compute the share of silent bars."""
    starts, notes = (
        compute_bars(score, score.length, UNLIMITED).starts,
        concatenate_notes([track.notes for track in score.tracks]),
    )
    begun, ended = np.sort(notes["start"]), np.sort(notes["start"] + notes["duration"])
    # A bar is silent if all notes that begin before its end have ended by its beginning.
    before, over = np.searchsorted(begun, starts[1:]), np.searchsorted(ended, starts[:-1], side="right")
    return float(np.mean(before <= over)) if len(starts) > 1 else 0.0


# --- the standard -----------------------------------------------------------------------------------------------------


def compute_standard(scores: Sequence[Score], nats_per_note: NDArray[np.float64]) -> Standard:
    """Compute the standard: rules from real scores, and the median nats per note of held-out pieces."""
    found = [measure_rules(score) for score in scores]
    names = dict.fromkeys(name for values in found for name in values)
    rules = {name: _find_range(name, [values[name] for values in found if name in values]) for name in names}
    return Standard(round(float(np.median(nats_per_note)), 5), rules)


def _find_range(name: str, values: Sequence[float]) -> tuple[float, float]:
    """Return the values of real pieces at the quantiles `REACH`."""
    least, most = np.quantile(values, REACH, method="nearest").tolist()
    return 0.0 if name in FAULTS else least, most


def read_standard(card: Mapping[str, Any]) -> Standard:
    """Read the standard of a model's card, an empty one if it states none. Raises BadModelFile for an invalid one."""
    if CARD not in card:
        return Standard()
    try:
        stated = card[CARD]
        rules = {str(name): (float(least), float(most)) for name, (least, most) in stated["rules"].items()}
        return Standard(float(stated["nats_per_note"]), rules)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise BadModelFile("the card of this model holds no standard of ranking; measure it again.") from None
