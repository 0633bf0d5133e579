"""Fermatas: where the phrases of four voices come to rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from composer.music.phrases import find_phrases
from composer.music.score import Score, compute_bars, concatenate_notes
from composer.music.sections import list_sections
from composer_notation.unfolding import Signs
from composer_notation.writing.rhythm import Symbol

VOICES = 4

HELD = 1.5
"""Beats, at least, for which a chord is held that has a fermata; at the end of a section one is enough."""


def find_fermatas(score: Score, signs: Mapping[int, Signs], provenance: Mapping[str, Any]) -> frozenset[int]:
    """Find the ticks of chords with a fermata, in four voices that a model wrote; none in other music.

    A phrase ends there, or a section, also before repeat `signs`, and no voice begins a note before the chord has been
    held. With a pickup, sections end before that of the next one.
    """
    voices = [track for track in score.tracks if len(track.notes) and not track.is_drum]
    if "request" not in provenance or len(voices) != VOICES:
        return frozenset()
    onsets = np.unique(concatenate_notes([track.notes for track in voices])["start"])
    bars = compute_bars(score, score.length)
    begins = {marker.tick for marker in list_sections(score)}
    begins |= {end for start, end in pairwise(bars.starts.tolist()) if start in signs and signs[start].times}
    ends = {tick - score.upbeat for tick in begins} | {int(bars.starts[-1])}
    lasts = {phrase.last for phrase in find_phrases(score)}
    lasts |= {int(onsets[np.searchsorted(onsets, end) - 1]) for end in ends if end > onsets[0]}
    found = set()
    for last in lasts:
        row = max(int(np.searchsorted(bars.starts, last, side="right")) - 1, 0)
        following = onsets[onsets > last]
        until = int(following[0]) if len(following) else score.end
        beats = (until - last) / bars.signatures[min(row, len(bars.signatures) - 1)].beat_ticks
        if beats >= (1 if until in ends or until >= score.end else HELD):
            found.add(last)
    return frozenset(found)


def find_held(symbols: Sequence[Symbol], ticks: Iterable[int]) -> frozenset[int]:
    """Find the starts of the symbols that sound at these ticks."""
    return frozenset(
        symbol.start for tick in ticks for symbol in symbols if symbol.pitches and symbol.start <= tick < symbol.end
    )
