"""A Score laid out for paper: measures, staves and the marks above them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from composer.music.keys import Key, estimate_key
from composer.music.score import (
    END,
    Bars,
    ChordSymbol,
    KeySignature,
    Score,
    Tempo,
    Text,
    Track,
    compute_bars,
    concatenate_notes,
)
from composer_notation.unfolding import Signs
from composer_notation.writing.grid import SHORTEST, move_to_grid
from composer_notation.writing.rhythm import Measure
from composer_notation.writing.spelling import Spelled, spell
from composer_notation.writing.staves import Part, make_parts, set_drum_lengths

MOST_TRACKS, MOST_PRINTED_BARS, MOST_NOTES, MOST_MEASURES = 100, 5_000, 200_000, 100_000


class Unwritable(Exception):
    """A score that cannot be put on paper; the text is the reason, in words that follow the file's name."""


@dataclass(frozen=True)
class Pages:
    """A piece as it is written: measures, parts, keys by measure, and tempos, chords and section names by tick."""

    measures: tuple[Measure, ...]
    parts: tuple[Part, ...]
    keys: tuple[Key, ...]  # one a measure
    tempos: tuple[Tempo, ...]
    chords: tuple[ChordSymbol, ...]
    markers: tuple[Text, ...]
    tracks: tuple[Track, ...]  # as written
    moved: int  # ticks by which a note was moved, at most
    signs: Mapping[int, Signs] = field(default_factory=dict)  # repeat signs and endings, by the start of a measure
    fermatas: frozenset[int] = frozenset()  # ticks


def lay_out(score: Score, signs: Mapping[int, Signs] | None = None, fermatas: frozenset[int] = frozenset()) -> Pages:
    """Lay a score out on paper, with the repeat `signs` of its measures, and `fermatas` by tick. Raises Unwritable."""
    _check(score)
    found = _trim_last_bar(_find_bars(score), score.length)
    if len(found.nominal) * len(score.tracks) > MOST_MEASURES:
        size = f"{len(score.tracks)} tracks of {len(found.nominal):,} bars"
        raise Unwritable(f"has {size}; a score holds at most {MOST_MEASURES:,} in all")
    measures = _make_measures(found)
    tracks, moved = _move_to_grid(score.tracks, found)
    signatures = score.key_signatures or (KeySignature(0, _find_key(tracks)),)
    names = _spell_tracks(tracks, signatures)
    ticks = [signature.tick for signature in signatures]
    keys = tuple(signatures[max(bisect_right(ticks, m.start) - 1, 0)].key for m in measures)
    last = measures[-1].end
    return Pages(
        measures,
        make_parts(tracks, names),
        keys,
        tuple(tempo for tempo in score.tempos if tempo.tick < last),
        tuple(chord for chord in score.chords if chord.tick < last),
        tuple(mark for mark in score.markers if mark.tick < last and mark.text != END),
        tuple(tracks),
        moved,
        signs or {},
        fermatas,
    )


def _check(score: Score) -> None:
    if not score.note_count:
        raise Unwritable("contains no notes")
    if len(score.tracks) > MOST_TRACKS:
        raise Unwritable(f"has {len(score.tracks):,} tracks; a score holds at most {MOST_TRACKS}")
    if score.note_count > MOST_NOTES:
        raise Unwritable(f"has {score.note_count:,} notes; a score holds at most {MOST_NOTES:,}")
    for number, track in enumerate(score.tracks, start=1):
        notes = track.notes
        if len(notes) and not (notes["pitch"].min() >= 0 and notes["pitch"].max() <= 127 and notes["start"].min() >= 0):
            raise Unwritable(f"track {number} has a pitch outside 0..127 or a note before the beginning")
        if len(notes) and notes["duration"].min() <= 0:
            raise Unwritable(f"track {number} has a note without a length")


def _find_bars(score: Score) -> Bars:
    try:
        found = compute_bars(score, score.length, MOST_PRINTED_BARS)
    except ValueError:
        raise Unwritable(f"has more than {MOST_PRINTED_BARS:,} bars; write it as MIDI, or in parts") from None
    for metre in found.time_signatures:
        if metre.denominator not in (1, 2, 4, 8, 16, 32, 64) or not 1 <= metre.numerator <= 64:
            raise Unwritable(f"has an invalid time signature {metre}")
    odd = np.flatnonzero((found.starts[:-1] - found.nominal) % SHORTEST + np.diff(found.starts) % SHORTEST)
    if len(odd):
        length = int(np.diff(found.starts)[odd[0]])
        raise Unwritable(f"bar {odd[0] + 1} is {length} ticks long, which no note values add up to")
    return found


def _make_measures(found: Bars) -> tuple[Measure, ...]:
    starts = found.starts.tolist()
    return tuple(
        Measure(starts[i], starts[i + 1], nominal, metre.numerator, metre.denominator)
        for i, (nominal, metre) in enumerate(zip(found.nominal.tolist(), found.signatures, strict=True))
    )


def _trim_last_bar(found: Bars, end: int) -> Bars:
    """Trim the last bar by the length of the pickup, if the music allows it: together they are a bar."""
    measures = _make_measures(found)
    first, last = measures[0], measures[-1]
    if len(measures) < 2 or first.is_whole or not last.is_whole or last.numerator < 2:
        return found
    short = last.end - (first.end - first.start)
    return found if end > short else replace(found, starts=np.append(found.starts[:-1], short))


def _move_to_grid(tracks: Sequence[Track], found: Bars) -> tuple[list[Track], int]:
    result, most = [], 0
    end = int(found.starts[-1])
    beats = np.arange(0, end + 480, 480) + int(found.starts[min(1, len(found.nominal) - 1)]) % 480
    stops = np.union1d(beats[beats < end], found.starts)
    for track in tracks:
        notes = set_drum_lengths(track.notes, stops) if track.is_drum and len(track.notes) else track.notes
        notes, moved = move_to_grid(notes, found) if len(notes) else (notes, 0)
        result.append(replace(track, notes=notes))
        most = max(most, moved)
    return result, most


def _find_key(tracks: Sequence[Track]) -> Key:
    notes = concatenate_notes([track.notes for track in tracks if not track.is_drum])
    if not len(notes):
        return Key(0)
    ends = notes["start"] + notes["duration"]
    return estimate_key(notes["pitch"], notes["duration"], int(notes["pitch"][ends == ends.max()].min()))


def _spell_tracks(tracks: Sequence[Track], signatures: Sequence[KeySignature]) -> list[list[Spelled]]:
    """Spell the notes of each track, in the context of all tracks."""
    pitched = [np.zeros(0, dtype=track.notes.dtype) if track.is_drum else track.notes for track in tracks]
    notes = concatenate_notes(pitched)
    order = np.lexsort((notes["pitch"], notes["start"]))
    fifths = np.array([signature.key.fifths for signature in signatures])
    ticks = np.array([signature.tick for signature in signatures])
    which = np.maximum(np.searchsorted(ticks, notes["start"][order], side="right") - 1, 0)
    names = spell(notes["pitch"][order].astype(np.int64), fifths[which])
    back: NDArray[np.int64] = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    all_names = [names[index] for index in back.tolist()]
    result, begin = [], 0
    for track, its in zip(tracks, pitched, strict=True):
        if track.is_drum:
            result.append([spell_drum(int(pitch)) for pitch in track.notes["pitch"]])
        else:
            result.append(all_names[begin : begin + len(its)])
        begin += len(its)
    return result


def spell_drum(sound: int) -> Spelled:
    """Spell the number of a drum sound: the pitch of the spelling is that number."""
    step, alter = ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (5, 0), (5, 1), (6, 0))[
        sound % 12
    ]
    return Spelled(sound // 12 - 1, step, alter)
