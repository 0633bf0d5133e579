"""Metrics of cadences in four parts.

They apply to pieces of four voices, as those of `voices`. Fermatas are not needed: a phrase ends with a chord that is
held. Cadences are those of Aldwell and Schachter, Harmony and Voice Leading, in any key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.metrics.counts import Counts, count_ticks, make_share, pair_counts
from composer.metrics.score_view import ScoreView
from composer.types import Metric

HELD = 1.5
"""Beats, at least, of a chord that ends a phrase."""

TRIADS = ({0, 4, 7}, {0, 3, 7})
MAJOR_THIRD, FOURTH, FIFTH, LEADING_TONE = 4, 5, 7, 11
DOMINANT_BASSES = {2, FIFTH, LEADING_TONE}
"""Degrees of the bass, in semitones, below a dominant chord: V, and VII in root position or as a chord of the sixth."""


@dataclass(frozen=True, eq=False)
class Chords:
    """The pitches (4, M) at each onset of any voice, -1 for silence; the onsets (M,), and the rows they lie in (M,)."""

    pitches: NDArray[np.int64]
    onsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    phrase_ends: NDArray[np.int64]  # indices of those that end a phrase


def find_chords(view: ScoreView) -> Chords:
    """Find the chords of four voices, and those that end a phrase; without four voices there are none."""
    texture = view.texture
    onsets = texture.starts[texture.is_onset]
    pitches = texture.pitches[:, texture.is_onset]
    rows = view.find_bar(onsets)
    lengths = np.diff(onsets, append=view.score.end)
    ends = (lengths >= HELD * view.beat_ticks[rows]) & (pitches >= 0).all(axis=0) if len(onsets) else lengths > 0
    ends[:1] = False  # nothing leads to the first chord
    return Chords(pitches, onsets, rows, np.flatnonzero(ends))


def measure_phrase_ends() -> Metric:
    """Count the ends of phrases: chords of all four voices, after which none begins a note for a beat and a half.

    The first chord of a piece ends no phrase.
    """

    def count(view: ScoreView) -> Counts:
        chords = find_chords(view)
        ends = count_ticks(view, chords.onsets[chords.phrase_ends])
        return pair_counts(ends, view.bar_beats * bool(view.lines))

    return Metric("per 100 beats", count, make_share())


def measure_cadences() -> Metric:
    """Count ends of phrases in a cadence, over all: an authentic one, a plagal one or a half cadence.

    A phrase ends with a chord of all four voices, after which none begins a note for a beat and a half. It is a major
    or minor triad in root position. Authentic: in the beat before, its leading tone sounds, and the bass has the
    dominant, the leading tone or the second degree of the root. Plagal: the bass falls a fourth or rises a fifth to the
    root, without leading tone. Half: the triad is major, and on the dominant of the piece's key, or the bass falls a
    semitone to it (Phrygian).
    """
    return Metric("% of phrase ends", lambda view: _count_cadences(view, _is_cadence), make_share())


def measure_authentic_cadences() -> Metric:
    """Count ends of phrases in an authentic cadence, over all.

    A phrase ends with a chord of all four voices, after which none begins a note for a beat and a half. It is a major
    or minor triad in root position. In the beat before, its leading tone sounds, and the bass has the dominant, the
    leading tone or the second degree of the root.
    """
    return Metric("% of phrase ends", lambda view: _count_cadences(view, _is_authentic), make_share())


def _count_cadences(view: ScoreView, is_one: Callable[[ScoreView, Chords, int], bool]) -> Counts:
    chords = find_chords(view)
    found = [_is_root_position(chords.pitches[:, end]) and is_one(view, chords, int(end)) for end in chords.phrase_ends]
    ends = chords.onsets[chords.phrase_ends]
    return pair_counts(count_ticks(view, ends[np.array(found, dtype=bool)]), count_ticks(view, ends))


def _is_root_position(chord: NDArray[np.int64]) -> bool:
    """Tell whether four pitches are a major or minor triad above its root; its fifth may be missing."""
    degrees = set(((chord - chord.min()) % 12).tolist())
    return any(degrees <= triad for triad in TRIADS)


def _is_cadence(view: ScoreView, chords: Chords, end: int) -> bool:
    return _is_authentic(view, chords, end) or _is_plagal(view, chords, end) or _is_half(view, chords, end)


def _is_authentic(view: ScoreView, chords: Chords, end: int) -> bool:
    degrees, basses = _find_beat_before(view, chords, end)
    return LEADING_TONE in degrees and bool(basses & DOMINANT_BASSES)


def _is_plagal(view: ScoreView, chords: Chords, end: int) -> bool:
    degrees, _ = _find_beat_before(view, chords, end)
    return _find_bass_before(chords, end) == FOURTH and LEADING_TONE not in degrees


def _is_half(view: ScoreView, chords: Chords, end: int) -> bool:
    chord = chords.pitches[:, end]
    is_major = bool(((chord - chord.min()) % 12 == MAJOR_THIRD).any())
    on_dominant = (int(chord.min()) - view.key.tonic) % 12 == FIFTH
    return is_major and (on_dominant or _find_bass_before(chords, end) == 1)


def _find_beat_before(view: ScoreView, chords: Chords, end: int) -> tuple[set[int], set[int]]:
    """Find what sounds in the beat before a chord: all degrees and those of the bass, in semitones above its bass."""
    begin = chords.onsets[end] - view.beat_ticks[chords.rows[end]]
    first = max(int(np.searchsorted(chords.onsets, begin, side="right")) - 1, 0)
    degrees = _measure_above(chords, end, chords.pitches[:, first:end])
    basses = _measure_above(chords, end, _select_lowest(chords.pitches[:, first:end]))
    return set(degrees.tolist()), set(basses.tolist())


def _find_bass_before(chords: Chords, end: int) -> int:
    """Find the degree of the bass just before a chord, in semitones above its own; -1 for silence."""
    bass = _measure_above(chords, end, _select_lowest(chords.pitches[:, end - 1 : end]))
    return int(bass[0]) if len(bass) else -1


def _select_lowest(pitches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Select the lowest pitch (M,) of each chord (4, M), -1 where nothing sounds."""
    lowest = np.where(pitches < 0, np.iinfo(np.int64).max, pitches).min(axis=0)
    return np.where((pitches >= 0).any(axis=0), lowest, -1)


def _measure_above(chords: Chords, end: int, pitches: NDArray[np.int64]) -> NDArray[np.int64]:
    """Compute the semitones, without octaves, of sounding pitches above the bass of a chord."""
    sounding = pitches[pitches >= 0]
    return np.asarray((sounding - chords.pitches[:, end].min()) % 12)


METRICS: dict[str, Callable[[], Metric]] = {
    "phrase-ends": measure_phrase_ends,
    "cadences": measure_cadences,
    "authentic-cadences": measure_authentic_cadences,
}
