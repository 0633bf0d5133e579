"""The transform `comp`: a track that plays the chord symbols of a piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np

from composer.errors import CannotExpress
from composer.music.chords import Chord, compute_intervals, find_class
from composer.music.score import (
    TICKS_PER_QUARTER,
    Bars,
    ChordSymbol,
    Score,
    TimeSignature,
    Track,
    compute_bars,
    make_notes,
)

LOWEST_BASS, LOWEST_CHORD = 36, 57
"""The lowest pitches of the bass, C2, and of the chord above it, A3."""

MOST_TONES = 4
"""Tones of a chord above the bass, at most."""

NAME = "Chords"

Note = tuple[int, int, int, int]


@dataclass(frozen=True)
class Comp:
    """Add a track that plays the chord symbols: the bass, and the chord above it in a close position.

    In the pattern `beats`, the bass begins each half of a bar, or each dotted beat of 6/8, and the chord comes after
    it: on the other beats, on the last third of a dotted beat, on the second half of a beat of 2/2. In `held`, all
    tones last until the next symbol. `N.C.`, and a symbol that names no known chord, are silent. Raises CannotExpress
    for a piece without chord symbols.
    """

    pattern: Annotated[Literal["beats", "held"], "beats or held", "held"] = "beats"
    program: Annotated[int, "General MIDI program, 0 to 127", 24] = 0
    velocity: Annotated[int, "loudness, 1 to 127", 50] = 56

    def __post_init__(self) -> None:
        """Refuse a program or velocity that MIDI does not have."""
        if not 0 <= self.program <= 127:
            raise ValueError(f"program is {self.program}, and must be from 0 to 127")
        if not 1 <= self.velocity <= 127:
            raise ValueError(f"velocity is {self.velocity}, and must be from 1 to 127")

    @property
    def samples(self) -> Mapping[str, Score]:
        """A lead sheet, which has something to play."""
        tune = Track(make_notes([(0, 1920, 60, 80), (1920, 1920, 67, 80)]))
        return {"a lead sheet": Score((tune,), chords=(ChordSymbol(0, "C"), ChordSymbol(1920, "G7/B")))}

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Return the score with one more track, after the others."""
        end = max(score.length, 1)
        spans = list(_list_spans(score, end))
        if not spans:
            raise CannotExpress("there are no chord symbols to play; ask for them by --chords.")
        bars = compute_bars(score, end)
        rows: list[Note] = []
        tones: tuple[int, ...] = ()
        for start, stop, chord in spans:
            tones = _voice_chord(chord, tones)
            bass = LOWEST_BASS + ((chord.lowest or 0) - LOWEST_BASS) % 12
            strokes = [(start, stop, (bass, *tones))]
            if self.pattern == "beats":
                strokes = _list_strokes(bars, start, stop, bass, tones)
            rows += [(begin, until - begin, pitch, self.velocity) for begin, until, its in strokes for pitch in its]
        return replace(score, tracks=(*score.tracks, Track(make_notes(rows), NAME, self.program)))


def _list_spans(score: Score, end: int) -> Iterator[tuple[int, int, Chord]]:
    """Yield (start, end, chord) of the symbols that sound, in ticks."""
    ticks = [*(symbol.tick for symbol in score.chords), end]
    for symbol, after in zip(score.chords, ticks[1:], strict=True):
        chord, stop = symbol.chord, min(after, end)
        if chord is not None and chord.root and symbol.tick < stop:
            yield symbol.tick, stop, chord


def _voice_chord(chord: Chord, before: tuple[int, ...]) -> tuple[int, ...]:
    """Choose the pitches above the bass: the inversion in close position that moves least from the one before."""
    root = find_class(chord.root)
    above = compute_intervals(chord.base, chord.degrees)
    if len(above) > MOST_TONES:  # the fifth and then the root say least
        above = tuple(each for each in above if each != 7) if 7 in above else above
        above = above[-MOST_TONES:]
    classes = sorted((root + each) % 12 for each in above)
    found = []
    for turn in range(len(classes)):
        pitches = [LOWEST_CHORD + (classes[turn] - LOWEST_CHORD) % 12]
        for each in (*classes[turn + 1 :], *classes[:turn]):
            pitches.append(pitches[-1] + (each - pitches[-1]) % 12)
        found.append(tuple(pitches))
    centre = sum(before) / len(before) if before else 64.0
    return min(found, key=lambda pitches: abs(sum(pitches) / len(pitches) - centre))


def _list_strokes(
    bars: Bars, start: int, stop: int, bass: int, tones: tuple[int, ...]
) -> list[tuple[int, int, tuple[int, ...]]]:
    """List (start, end, pitches) of a symbol: a bass begins, and chords follow; where none does, both are one."""
    found: list[tuple[int, int, bool]] = []
    first = max(int(np.searchsorted(bars.starts, start, side="right")) - 1, 0)
    last = int(np.searchsorted(bars.starts, stop, side="left"))
    for number in range(first, min(last, len(bars.nominal))):
        places = _list_places(bars.signatures[number])
        ticks = [int(bars.nominal[number]) + tick for tick, _ in places]
        for begin, until, (_, is_bass) in zip(ticks, [*ticks[1:], int(bars.starts[number + 1])], places, strict=True):
            if max(begin, start) < min(until, stop):
                found.append((max(begin, start), min(until, stop), is_bass or not found))
    is_alone = all(is_bass for _, _, is_bass in found)
    return [
        (begin, until, (bass, *tones) if is_alone else (bass,) if is_bass else tones) for begin, until, is_bass in found
    ]


def _list_places(metre: TimeSignature) -> list[tuple[int, bool]]:
    """List the ticks of a bar at which the bass (true) or the chord begins."""
    beat, count = metre.beat_ticks, max(metre.bar_ticks // metre.beat_ticks, 1)
    if beat * metre.denominator != 4 * TICKS_PER_QUARTER:  # a dotted beat
        return [(n * beat + part, not part) for n in range(count) for part in (0, beat * 2 // 3)]
    if metre.denominator < 4:
        return [(n * beat + part, not part) for n in range(count) for part in (0, beat // 2)]
    group = 2 if count % 2 == 0 else count
    return [(n * beat, n % group == 0) for n in range(count)]
