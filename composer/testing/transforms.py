"""The contracts of transforms and rules, on small scores, odd ones and a long one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

import numpy as np

from composer.errors import CannotExpress
from composer.music.score import NOTE, Score, Tempo, TimeSignature, Track, make_notes
from composer.music.score_json import score_to_json
from composer.testing.rules import rebuild, require
from composer.testing.sequences import SAMPLES, lengthen, list_samples, make_drums, make_part
from composer.testing.shrinking import check_smallest
from composer.types import Rule, Transform

LONG = 1000
"""Bars of the long score."""

WORDS = 200
"""Characters of what a rule says, at most."""

_CHORD = [(0, 480, 60, 1), (0, 470, 64, 127), (3, 500, 67, 90), (481, 1, 60, 64), (482, 950, 60, 64), (700, 90, 72, 80)]
_TRILL = [(tick, 25, 60 + tick // 25 % 2, 80) for tick in range(0, 960, 25)]

ODD: Mapping[str, Score] = {
    "nothing": Score(),
    "a silent part": Score((Track(make_notes([]), "Flute"),)),
    "off the grid": Score((Track(make_notes(_CHORD)), Track(make_notes(_TRILL)))),
    "the highest and the lowest pitch": Score((make_part([(127, 1), (0, 1)]),), tempos=(Tempo(480, 97.3),)),
    "other metres": Score(
        (make_part([(60, 0.5)] * 19),), time_signatures=(TimeSignature(0, 5, 8), TimeSignature(1200, 7, 16))
    ),
    "drums that rush": Score((make_drums(2), Track(make_notes([(1, 30, 38, 100), (250, 30, 38, 40)]), is_drum=True))),
}
"""Scores that may be forgotten."""


def _list_scores(thing: object, samples: Sequence[Score]) -> list[Score]:
    long = lengthen(SAMPLES["a tune with drums"], LONG)
    return [*list_samples(thing).values(), *samples, *SAMPLES.values(), *ODD.values(), long]


def _copy(score: Score) -> Score:
    """Copy a score, with the arrays of its notes."""
    return replace(score, tracks=tuple(replace(track, notes=track.notes.copy()) for track in score.tracks))


# --- transforms -------------------------------------------------------------------------------------------------------


def check_transform(transform: Transform, samples: Sequence[Score] = ()) -> None:
    """Check that changed scores are whole ones, chance comes from the generator, and the argument is unchanged.

    A transform may refuse some scores by CannotExpress, but not all. One that states `idempotent` leaves its own result
    as it is. One that states `of_notes` changes nothing but notes, each part in its place. Drums keep their
    instruments, unless it states `changes_drums`.
    """
    require(is_dataclass(transform), "a transform is a frozen dataclass of its options")
    require(rebuild(transform) == transform, "a transform rebuilt from its fields is equal")
    changing = [score for score in _list_scores(transform, samples) if _can_change(transform, score)]
    for score in changing:
        check_smallest(lambda one: check_change(transform, one), score)
    require(changing, "a transform changes one at least of a few small scores; else give it `samples` of its own")


def _can_change(transform: Transform, score: Score) -> bool:
    try:
        transform(_copy(score), np.random.default_rng(0))
    except CannotExpress:
        return False
    return True


def check_change(transform: Transform, score: Score, seed: int = 0) -> None:
    """Check the change of one score. Raises CannotExpress where the transform does."""
    before = _copy(score)
    found = transform(score, np.random.default_rng(seed))
    require(score_to_json(score) == score_to_json(before), "the argument of a transform is unchanged")
    require(isinstance(found, Score), "a transform returns a score")
    _check_score(found)
    again = rebuild(transform)(score, np.random.default_rng(seed))
    require(found == again, "the same generator makes the same score")
    if getattr(transform, "idempotent", False):
        require(transform(found, np.random.default_rng(seed + 1)) == found, "an idempotent transform does nothing more")
    if getattr(transform, "of_notes", False):
        require(_list_frame(found) == _list_frame(score), "a transform that states `of_notes` changes only notes")
    if not getattr(transform, "changes_drums", False):
        new = _list_instruments(found) - _list_instruments(score)
        require(not new, f"drums keep their instruments; else say `changes_drums`; new are {sorted(new)}")


def _check_score(score: Score) -> None:
    for track in score.tracks:
        notes = track.notes
        require(notes.dtype == NOTE, "notes are an array of `NOTE`")
        require((notes["start"] >= 0).all(), "notes begin at tick 0 or later")
        require((notes["duration"] > 0).all(), "notes last a tick at least")
        require(((notes["pitch"] >= 0) & (notes["pitch"] <= 127)).all(), "pitches are from 0 to 127")
        require(((notes["velocity"] >= 1) & (notes["velocity"] <= 127)).all(), "velocities are from 1 to 127")
        order = np.lexsort((notes["pitch"], notes["start"]))
        in_order = notes[["start", "pitch"]][order] == notes[["start", "pitch"]]
        require(in_order.all(), "notes are sorted by start, then pitch")
        require(0 <= track.program <= 127, "programs are from 0 to 127")
    for name in ("tempos", "time_signatures", "key_signatures", "markers", "chords"):
        ticks = [one.tick for one in getattr(score, name)]
        require(ticks == sorted(ticks) and all(tick >= 0 for tick in ticks), f"{name} are sorted by tick, from 0")
    require(all(0 < tempo.bpm < float("inf") for tempo in score.tempos), "tempos are positive")


def _list_frame(score: Score) -> tuple[Any, ...]:
    """List all of a score but its notes."""
    silent = tuple(replace(track, notes=track.notes[:0]) for track in score.tracks)
    return score_to_json(replace(score, tracks=silent)), score.title


def _list_instruments(score: Score) -> set[int]:
    return {int(pitch) for track in score.tracks if track.is_drum for pitch in track.notes["pitch"]}


# --- rules ------------------------------------------------------------------------------------------------------------


def check_rule(rule: Rule, samples: Sequence[Score] = ()) -> None:
    """Check that a rule judges any score, alike each time, in a few words or none, and that the score is unchanged."""
    require(is_dataclass(rule), "a rule is a frozen dataclass of its options")
    require(rebuild(rule) == rule, "a rule rebuilt from its fields is equal")
    for score in _list_scores(rule, samples):
        check_smallest(lambda one: check_judgement(rule, one), score)


def check_judgement(rule: Rule, score: Score) -> None:
    """Check what a rule says of one score."""
    before = _copy(score)
    found = rule(score)
    require(score_to_json(score) == score_to_json(before), "the argument of a rule is unchanged")
    require(isinstance(found, str), "a rule returns text: what is broken, empty where it is kept")
    fits = found.isprintable() and len(found) <= WORDS and found == found.strip()
    require(fits, f"a rule says what is broken in a few words on one line, {WORDS} characters at most")
    require(rebuild(rule)(score) == found, "the same score is judged alike each time")
