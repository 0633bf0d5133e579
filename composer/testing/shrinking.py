"""Shrinking: the smallest score that still breaks a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from composer.errors import ComposerError
from composer.music.score import Score, Track
from composer.testing.rules import BrokenRule

TRIES = 300
"""Scores that are tried at most."""


def check_smallest(check: Callable[[Score], object], score: Score) -> None:
    """Run a check of a score; a failure is reported with the smallest score that breaks the same rule."""
    broken = _find_broken(check, score)
    if broken is None:
        return
    tries = TRIES
    while tries:
        for smaller in _make_smaller(score):
            tries -= 1
            found = _find_broken(check, smaller)
            if found is not None and found.name == broken.name:
                score, broken = smaller, found
                break
            if not tries:
                break
        else:
            break
    raise broken.add_example(f"with {describe(score)}")


def _find_broken(check: Callable[[Score], object], score: Score) -> BrokenRule | None:
    try:
        check(score)
    except BrokenRule as broken:
        return broken
    except ComposerError:  # a refusal is no broken rule
        return None
    return None


def _make_smaller(score: Score) -> Iterator[Score]:
    """Yield smaller scores, the smallest first."""
    if len(score.tracks) > 1:
        for number in range(len(score.tracks)):
            yield replace(score, tracks=score.tracks[:number] + score.tracks[number + 1 :])
    for part in ("tempos", "time_signatures", "key_signatures", "markers", "chords"):
        if getattr(score, part):
            yield replace(score, **{part: ()})  # type: ignore[arg-type]
    if score.upbeat:
        yield replace(score, upbeat=0)
    for number, track in enumerate(score.tracks):
        for fewer in _remove_notes(track):
            yield replace(score, tracks=(*score.tracks[:number], fewer, *score.tracks[number + 1 :]))


def _remove_notes(track: Track) -> Iterator[Track]:
    count = len(track.notes)
    if count > 3:
        yield replace(track, notes=track.notes[: count // 2])
        yield replace(track, notes=track.notes[count // 2 :])
    if count > 1:
        for place in range(count):
            yield replace(track, notes=np.delete(track.notes, place))


def describe(score: Score, most: int = 6) -> str:
    """Describe a small score in words."""
    metres = ", ".join(f"{metre} at tick {metre.tick}" for metre in score.time_signatures)
    tempos = ", ".join(f"{tempo.bpm:g} a minute at tick {tempo.tick}" for tempo in score.tempos)
    parts = [f"track {number}: {_describe_notes(track, most)}" for number, track in enumerate(score.tracks)]
    upbeat = f"an upbeat of {score.upbeat} ticks" if score.upbeat else ""
    return "; ".join(filter(None, [*parts, metres, tempos, upbeat]))


def _describe_notes(track: Track, most: int) -> str:
    told = [f"({n['start']}, {n['duration']}, {n['pitch']})" for n in track.notes[:most]]
    more = ", …" if len(track.notes) > most else ""
    return f"{len(track.notes)} notes (start, duration, pitch) {', '.join(told)}{more}"
