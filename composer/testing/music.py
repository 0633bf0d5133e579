"""Small scores for the contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from composer.music.keys import parse_key
from composer.music.score import TICKS_PER_QUARTER, KeySignature, Score, Tempo, TimeSignature, Track, make_notes

Line = Sequence[tuple[int, float]]


def make_part(notes: Line, *, name: str = "", program: int = 0) -> Track:
    """Make a track of successive (pitch, quarters); a pitch of 0 is a rest."""
    rows, tick = [], 0
    for pitch, quarters in notes:
        ticks = int(quarters * TICKS_PER_QUARTER)
        if pitch:
            rows.append((tick, ticks, pitch, 80))
        tick += ticks
    return Track(make_notes(rows), name, program)


def _make_score(
    *parts: Track, metre: tuple[int, int] = (4, 4), key: str = "C", bpm: float = 120, upbeat: int = 0
) -> Score:
    return Score(
        parts,
        tempos=(Tempo(0, bpm),),
        time_signatures=(TimeSignature(0, *metre),),
        key_signatures=(KeySignature(0, parse_key(key)),),
        upbeat=upbeat,
    )


TUNE = [(67, 1.0), (64, 1.0), (65, 0.5), (62, 0.5), (60, 1.0), (0, 1.0), (64, 1.0), (67, 1.0), (72, 1.0)]

SAMPLES: Mapping[str, Score] = {
    "one note": _make_score(make_part([(60, 4)])),
    "a tune with a rest": _make_score(make_part(TUNE, name="Flute", program=73), bpm=90),
    "3/4 in D minor": _make_score(make_part([(62, 1), (65, 1), (69, 1), (74, 3)]), metre=(3, 4), key="Dm", bpm=150),
    "an upbeat": _make_score(make_part([(67, 1), (72, 2), (71, 1), (72, 4)]), upbeat=TICKS_PER_QUARTER),
    "two parts": _make_score(
        make_part([(72, 2), (71, 2)], name="Violin", program=40), make_part([(48, 4)], name="Cello", program=42)
    ),
    "four parts": _make_score(*(make_part([(pitch, 2), (pitch, 2)], program=52) for pitch in (72, 67, 64, 48))),
}
"""Scores of one to four single-line parts, a few bars long."""
