"""Ranking: which of many pieces to keep, by rules and by likelihood; it knows no file and no network.

A rule is a range of one simple measure of a piece (`measures`), in which 98 in 100 pieces of the training split lie; a
piece that is degenerate (`composer.generation.degeneration`) breaks one, too. Pieces that break fewer rules come first.
Among these, the nearer a piece's nats per note are to those of a real piece the earlier it comes: to the median of
pieces that the model was not trained on. The likeliest piece is not the best one: it is the dullest. Music carries
about as much information as listeners expect of it (Meister et al., Locally Typical Sampling, TACL 2023, say so of
language). Where a chain makes pieces likelier than real ones, the livelier of them are kept. Of a model whose card is
silent, pieces that are not degenerate come first, and of these the likeliest per note.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from composer.errors import BadModelFile, ComposerError
from composer.generation.degeneration import MOST_BARS
from composer.generation.generator import Generator
from composer.generation.tasks import Asked, each, in_order
from composer.metrics import counting
from composer.metrics.heard import hear
from composer.metrics.textures import FIFTH, UNISON, parallels
from composer.music.score import Score, bars, joined
from composer.types import Piece

CARD = "ranking"
"""Where a model's card keeps its standard, as `nats_per_note` and `rules`."""

REACH = (0.01, 0.99)
"""The quantiles of real pieces between which a rule is kept."""

FAULTS = ("silent bars", "notes outside the key", "parallel fifths", "parallel octaves")
"""The measures of which none is too little."""


@dataclass(frozen=True)
class Standard:
    """What pieces are held to."""

    nats_per_note: float = 0.0  # of real pieces; 0: the likeliest come first
    rules: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # the least and the most of each measure


@dataclass(frozen=True)
class Ranked:
    """A piece with what ranks it."""

    piece: Piece
    broken: tuple[str, ...]  # the rules that it breaks, by name
    nats_per_note: float  # of its new music: under the model, within grammar and constraints

    def place(self, standard: Standard) -> tuple[int, float]:
        """What pieces are sorted by: the rules that are broken, and how far the nats per note are from the real."""
        return len(self.broken), abs(self.nats_per_note - standard.nats_per_note)


Lost = Callable[[int, ComposerError], None]
"""Is told of a piece that cannot be made, by its place."""


def _raise(_: int, error: ComposerError) -> None:
    raise error


def best(player: Generator, asked: Iterable[Asked], count: int, *, lost: Lost = _raise) -> list[Ranked]:
    """The best `count` of the pieces asked for, best first; of equal ones, the one that was asked for earlier.

    No more of them are kept than are wanted. Unless somebody is told of pieces that are `lost`, the error of the first
    is raised. Raises BadModelFile for a card that states no standard where there should be one.
    """
    standard = standard_of(player.model.card)
    return heapq.nsmallest(count, _ranked(player, asked, standard, lost), key=lambda ranked: ranked.place(standard))


def _ranked(player: Generator, asked: Iterable[Asked], standard: Standard, lost: Lost = _raise) -> Iterator[Ranked]:
    for place, piece in enumerate(in_order(each(player, asked))):
        if isinstance(piece, ComposerError):
            lost(place, piece)
        else:
            start = piece.provenance.get("request", {}).get("primer_ticks", 0)
            yield Ranked(piece, broken(piece, standard), nats_per_note(piece, start))


def broken(piece: Piece, standard: Standard, found: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """The names of the rules that a piece breaks, by its measures; a measure that it does not have breaks none."""
    found = measures(piece.score) if found is None else found
    outside = [name for name, (least, most) in standard.rules.items() if not least <= found.get(name, least) <= most]
    return ("repetition", *outside) if "degenerate" in piece.provenance else tuple(outside)


def nats_per_note(piece: Piece, start: int) -> float:
    """The nats of a piece over its notes from the tick `start` on, where its primer ends."""
    new = sum(int(np.sum(track.notes["start"] >= start)) for track in piece.score.tracks)
    notes = piece.provenance.get("written_notes", new)  # of a form, whose sections come again
    return float(piece.provenance["nats"]["model"]) / max(notes, 1)


def measures(score: Score) -> dict[str, float]:
    """What the rules are about, by name; those of pitches are without drums, and only where there are pitches.

    `notes per bar`; `lowest pitch` and `highest pitch` (MIDI); `notes outside the key` (share of notes) and, of four
    single-line voices, `parallel fifths` and `parallel octaves` (for a beat), all three as `composer.metrics` defines
    them; `silent bars` (share of bars in which nothing sounds).
    """
    heard = hear(score)
    found = {"notes per bar": score.note_count / max(heard.bars, 1), "silent bars": _silent_bars(score)}
    if len(heard.notes):
        pitches = heard.notes["pitch"]
        found |= {"lowest pitch": float(pitches.min()), "highest pitch": float(pitches.max())}
        found["notes outside the key"] = float(np.mean(counting.outside(pitches, heard.key)))
    if heard.lines:
        beats = max(heard.beats, 1e-9)
        found |= {
            name: len(parallels(heard.texture, interval)) / beats
            for name, interval in (("parallel fifths", FIFTH), ("parallel octaves", UNISON))
        }
    return found


def _silent_bars(score: Score) -> float:
    """The share of bars in which nothing sounds."""
    starts, notes = bars(score, score.length, MOST_BARS).starts, joined([track.notes for track in score.tracks])
    begun, ended = np.sort(notes["start"]), np.sort(notes["start"] + notes["duration"])
    # A bar is silent if all notes that begin before its end have ended by its beginning.
    before, over = np.searchsorted(begun, starts[1:]), np.searchsorted(ended, starts[:-1], side="right")
    return float(np.mean(before <= over)) if len(starts) > 1 else 0.0


# --- the standard -----------------------------------------------------------------------------------------------------


def standard(scores: Sequence[Score], nats_per_note: NDArray[np.float64]) -> Standard:
    """The standard of real pieces: rules from these scores, and the median of the nats per note of held-out pieces."""
    found = [measures(score) for score in scores]
    names = dict.fromkeys(name for values in found for name in values)
    rules = {name: _reach(name, [values[name] for values in found if name in values]) for name in names}
    return Standard(round(float(np.median(nats_per_note)), 5), rules)


def _reach(name: str, values: Sequence[float]) -> tuple[float, float]:
    """The least and the most of what lies between the quantiles `REACH`, both of them values of real pieces."""
    least, most = np.quantile(values, REACH, method="nearest").tolist()
    return 0.0 if name in FAULTS else least, most


def standard_of(card: Mapping[str, Any]) -> Standard:
    """The standard that a model's card states, an empty one if it is silent. Raises BadModelFile for what is none."""
    if CARD not in card:
        return Standard()
    try:
        stated = card[CARD]
        rules = {str(name): (float(least), float(most)) for name, (least, most) in stated["rules"].items()}
        return Standard(float(stated["nats_per_note"]), rules)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise BadModelFile("the card of this model holds no standard of ranking; measure it anew.") from None
