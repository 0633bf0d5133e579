"""Merging: new notes in a score whose other notes stay as they are.

A model sees a score encoded: on its grid, and in its own voices. Its answer is in that form. Fixed notes come from the
score itself, with their tracks, velocities and exact times. Only new notes come from the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import (
    END,
    TICKS_PER_QUARTER,
    ChordSymbol,
    KeySignature,
    Notes,
    Score,
    Text,
    TimeSignature,
    Track,
    make_labels,
    make_notes,
)
from composer.music.stretches import alternate, select_symbols
from composer.types import CHORDS, Span

NEAR = TICKS_PER_QUARTER // 2
CLOSE = TICKS_PER_QUARTER // 8
"""Ticks by which encoding may move a note."""

LATEST = 2**40
"""Later than the end of any piece."""

NoteRow = tuple[int, int, int, int]
"""A note: start, duration, pitch, velocity."""

Change = TypeVar("Change", TimeSignature, KeySignature, Text)

NoteIndex = tuple[int, int]
"""A note of a score: its track, and its index there."""


@dataclass(frozen=True)
class Fixed:
    """What stays in a splice: notes, and all that is not new, by the tracks of the score."""

    notes: Sequence[set[tuple[int, int]]]  # (start, pitch)
    new: Sequence[Sequence[tuple[int, int]]]  # (start, end) of what is new; at last, that of tracks that are added

    def find_new(self, track: int) -> Sequence[tuple[int, int]]:
        """Find the spans of a track that are new, as (start, end), sorted."""
        return self.new[min(track, len(self.new) - 1)]

    def mask_new(self, track: int, notes: Notes) -> NDArray[np.bool_]:
        """Mask the notes (N,) of a track that are new: they begin where it is, and are not fixed."""
        kept = self.notes[track] if track < len(self.notes) else set()
        places = ((note[0], (note[0], note[2]) in kept) for note in notes.tolist())
        spans = self.find_new(track)
        return np.array([not there and find_span(spans, start) is not None for start, there in places], dtype=bool)


@dataclass(frozen=True)
class _Voice:
    """A track after encoding: the track of the score that it stands for, if any, and its notes by onset."""

    track: int | None
    notes: dict[
        tuple[int, int], tuple[NoteRow, NoteIndex | None]
    ]  # (start, pitch): the note as encoded, and in the score


def splice(score: Score, encoded: Score, answer: Score, fixed: Sequence[Span]) -> Score:
    """Put the notes of `answer` into `score` wherever no notes are fixed.

    `encoded` is `score` after encoding and decoding, and `fixed` are spans of its tracks. Notes that the tokenizer
    drops (drums, mostly) stay where they are, except pitched ones where no voice is fixed. Labels of `answer` count
    before those of `score`. A fixed note of a line that encoding has shortened ends where a new one begins. If `answer`
    has chord symbols, they are the new ones.
    """
    voices = _match_voices(score, encoded)
    rows = _list_unencoded(score, voices, fixed)
    names = [(track.name, track.program, track.is_drum) for track in encoded.tracks]
    one_loudness = len({int(v) for track in answer.tracks for v in track.notes["velocity"]}) == 1
    added: list[Track] = []
    for track in answer.tracks:
        name = track.name, track.program, track.is_drum
        number = names.index(name) if name in names else None
        owner = None if number is None else voices[number].track
        own: list[NoteRow] = [
            (*note[:3], _choose_velocity(score, owner) if one_loudness else note[3]) for note in _list_notes(track)
        ]
        if number is not None:
            for i, note in enumerate(own):
                if is_fixed(fixed, number, note[0]):
                    own[i] = _restore_note(score, voices[number], note)
        if owner is not None:
            own = _leave_out_doubles(rows[owner], own) if track.is_drum else own
            if number is not None and _is_line(score.tracks[owner]):
                own = _cut_shortened(own, _list_shortened(score, voices[number]))
            rows[owner] += own
        elif own:
            added.append(replace(track, notes=make_notes(own)))
    tracks = [replace(track, notes=make_notes(own)) for track, own in zip(score.tracks, rows, strict=True)]
    chords = _join_symbols(score, answer, fixed) if answer.chords else score.chords
    return replace(score, tracks=(*tracks, *added), chords=chords, labels=make_labels(score.labels, answer.labels))


def _join_symbols(score: Score, answer: Score, fixed: Sequence[Span]) -> tuple[ChordSymbol, ...]:
    """Join the symbols of `score` where they are fixed with those of `answer` elsewhere."""
    spans = sorted((span.start, span.end) for span in fixed if span.track in (None, CHORDS))
    return tuple(select_symbols(list(alternate(spans)), score.chords, answer.chords))


def list_fixed(score: Score, encoded: Score, fixed: Sequence[Span]) -> Fixed:
    """List what stays of `score` in a splice; for the arguments, see `splice`."""
    voices = _match_voices(score, encoded)
    kept = [{(note[0], note[2]) for note in notes} for notes in _list_unencoded(score, voices, fixed)]
    for number, voice in enumerate(voices):
        for note, index in voice.notes.values():
            if index is not None and is_fixed(fixed, number, note[0]):
                start, _, pitch, _ = _list_notes(score.tracks[index[0]])[index[1]]
                kept[voice.track if voice.track is not None else index[0]].add((start, pitch))
    return Fixed(kept, _list_new(len(score.tracks), voices, fixed))


def _list_new(count: int, voices: Sequence[_Voice], fixed: Sequence[Span]) -> list[list[tuple[int, int]]]:
    """List the spans that are new in each of `count` tracks, and in those that are added."""
    new: list[list[tuple[int, int]]] = [[] for _ in range(count + 1)]
    for number, voice in enumerate(voices):
        new[count if voice.track is None else voice.track] += _find_gaps(fixed, number)
    new[count] += _find_gaps(fixed, len(voices))  # a part that the encoded score had not
    return [_join_spans(spans) for spans in new]


def _find_gaps(fixed: Sequence[Span], track: int) -> list[tuple[int, int]]:
    """Find the spans of an encoded track that no fixed span covers."""
    gaps, begin = [], 0
    for span in sorted((span for span in fixed if span.track in (None, track)), key=lambda span: span.start):
        if span.start > begin:
            gaps.append((begin, span.start))
        begin = max(begin, span.end)
    return [*gaps, (begin, LATEST)] if begin < LATEST else gaps


def _join_spans(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans (start, end) that overlap or meet, sorted."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def find_span(spans: Sequence[tuple[int, int]], tick: int) -> tuple[int, int] | None:
    """Find the span (start, end) that holds a tick, if any."""
    return next((span for span in spans if span[0] <= tick < span[1]), None)


def clip_notes(notes: Notes, spans: Sequence[tuple[int, int]], before: Notes) -> tuple[Notes, int]:
    """Cut notes to spans, and leave out those outside. Return the rest, and how many were left out.

    A note may sound after its span as long as one of the notes `before` does that begin in it.
    """
    rows: list[NoteRow] = []
    for begin, length, pitch, velocity in notes.tolist():
        inside = find_span(spans, begin) or next((span for span in spans if begin < span[0] < begin + length), None)
        if inside is not None:
            start, end = max(begin, inside[0]), min(begin + length, _find_latest_end(before, inside))
            rows.append((start, end - start, pitch, velocity))
    return make_notes(rows), len(notes) - len(rows)


def _find_latest_end(notes: Notes, span: tuple[int, int]) -> int:
    """Find the end of a span, or of the last of the notes that begin in it, if that is later."""
    inside = notes[(notes["start"] >= span[0]) & (notes["start"] < span[1])]
    return max(span[1], int((inside["start"] + inside["duration"]).max(initial=0)))


def merge_new_notes(fixed: Notes, new: Notes) -> Notes:
    """Merge fixed notes of a track with new ones, which give way to those of their pitch."""
    there: dict[int, list[NoteRow]] = {}
    for note in fixed.tolist():
        there.setdefault(note[2], []).append(note)
    rows: list[NoteRow] = fixed.tolist()
    for begin, length, pitch, velocity in new.tolist():
        start, end = begin, begin + length
        for other, lasting, *_ in there.get(pitch, ()):
            if other < begin:
                start = max(start, other + lasting)
            else:
                end = min(end, other)
        if start < end:
            rows.append((start, end - start, pitch, velocity))
    return make_notes(rows)


def separate_pitches(notes: Notes) -> Notes:
    """Separate notes of one pitch, as MIDI has to: each ends where the next begins; of one onset the longest stays."""
    notes = notes[np.lexsort((notes["duration"], notes["start"], notes["pitch"]))]
    same = notes["pitch"][:-1] == notes["pitch"][1:]
    notes = notes[np.append(~same | (np.diff(notes["start"]) > 0), True)[: len(notes)]]
    same = notes["pitch"][:-1] == notes["pitch"][1:]
    shorter = np.minimum(notes["duration"][:-1], np.diff(notes["start"]))
    notes["duration"][:-1] = np.where(same, shorter, notes["duration"][:-1])
    return notes[np.lexsort((notes["pitch"], notes["start"]))]


def count_overlaps(score: Score) -> int:
    """Count the notes that the next one of their pitch and part overlaps."""
    count = 0
    for track in score.tracks:
        notes = track.notes[np.lexsort((track.notes["start"], track.notes["pitch"]))]
        ends = notes["start"] + notes["duration"]
        count += int(np.sum((notes["pitch"][:-1] == notes["pitch"][1:]) & (ends[:-1] > notes["start"][1:])))
    return count


def append_continuation(score: Score, encoded: Score, answer: Score, start: int) -> Score:
    """Append to `score`, with its tempos, what `answer` has from the tick `start` on.

    `encoded` is `score` after encoding and decoding, and ends at `start`; `answer` begins with it. Notes that `answer`
    sustains from there are re-articulated. A marker at the end of `score` is left out.
    """
    whole = splice(score, encoded, _split_sustained(encoded, answer, start), (Span(0, start),))
    metres = score.time_signatures or answer.time_signatures[:1]
    return replace(
        whole,
        tracks=tuple(track if track.is_drum else _separate_repeats(track, start) for track in whole.tracks),
        tempos=score.tempos or answer.tempos,
        time_signatures=(*metres, *_select_later(answer.time_signatures, max(start, 1))),
        key_signatures=(*score.key_signatures, *_select_later(answer.key_signatures, start)),
        markers=(*(marker for marker in score.markers if marker.text != END), *_select_later(answer.markers, start)),
    )


def _separate_repeats(track: Track, start: int) -> Track:
    """Delay notes from `start` on until earlier notes of the same pitch have ended."""
    ends: dict[int, int] = {}
    rows: list[NoteRow] = []
    for begin, length, pitch, velocity in _list_notes(track):
        if begin < start:
            ends[pitch] = max(ends.get(pitch, 0), begin + length)
            rows.append((begin, length, pitch, velocity))
        elif (late := max(begin, ends.get(pitch, 0))) < begin + length:
            rows.append((late, begin + length - late, pitch, velocity))
    return replace(track, notes=make_notes(rows))


# --- notes that encoding shortens -------------------------------------------------------------------------------------


def find_last_end(score: Score, encoded: Score) -> int:
    """Find where the music of `encoded` ends in `score`: later where encoding has shortened its notes."""
    kept = [note for voice in _match_voices(score, encoded) for note in _list_shortened(score, voice)]
    return max([encoded.end, *(note[0] + note[1] for note in kept)])


def _list_shortened(score: Score, voice: _Voice) -> list[NoteRow]:
    """List the notes of `score` of which encoding has kept the beginning alone; drums have no lengths."""
    pairs = [(encoded, index) for encoded, index in voice.notes.values() if index is not None]
    notes = [(encoded, _list_notes(score.tracks[track])[n]) for encoded, (track, n) in pairs]
    drums = voice.track is not None and score.tracks[voice.track].is_drum
    return [] if drums else [note for encoded, note in notes if note[1] >= encoded[1] + NEAR]


def _is_line(track: Track) -> bool:
    """Tell whether a track is a single line: no note begins before the one before it has ended, or nearly so."""
    starts = track.notes["start"].astype(np.int64)
    ends = starts + track.notes["duration"]
    return not track.is_drum and bool(np.all(ends[:-1] < starts[1:] + NEAR)) and bool(np.all(np.diff(starts) > 0))


def _cut_shortened(notes: Sequence[NoteRow], shortened: Sequence[NoteRow]) -> list[NoteRow]:
    """Cut those of `notes` that encoding has `shortened` where the next one begins."""
    following = dict(pairwise(sorted({note[0] for note in notes})))
    return [
        (note[0], min(note[1], following[note[0]] - note[0]), *note[2:])
        if note in shortened and note[0] in following
        else note
        for note in notes
    ]


def name_voices(score: Score, encoded: Score) -> Score:
    """Rename the tracks of `score` after the voices that the tokenizer puts them in, with their programs."""
    owners = {voice.track: track for voice, track in zip(_match_voices(score, encoded), encoded.tracks, strict=True)}
    return replace(
        score,
        tracks=tuple(
            replace(track, name=owners[n].name, program=owners[n].program) if n in owners else track
            for n, track in enumerate(score.tracks)
        ),
    )


def _select_later(changes: Sequence[Change], start: int) -> list[Change]:
    return [change for change in changes if change.tick >= start]


def _split_sustained(encoded: Score, answer: Score, start: int) -> Score:
    """Cut sustained notes of `answer` at `start` to their encoded lengths; the rest of each is a new note."""
    lengths = {
        (track.name, note[0], note[2]): note[1]
        for track in encoded.tracks
        for note in _list_notes(track)
        if not track.is_drum
    }
    tracks = []
    for track in answer.tracks:
        rows: list[NoteRow] = []
        for begin, length, pitch, velocity in _list_notes(track):
            kept = lengths.get((track.name, begin, pitch), length) if begin < start else length
            rows.append((begin, kept, pitch, velocity))
            if begin < start < begin + length and kept < length:
                rows.append((start, begin + length - start, pitch, velocity))
        tracks.append(replace(track, notes=make_notes(rows)))
    return replace(answer, tracks=tuple(tracks))


def check_start(score: Score, encoded: Score) -> None:
    """Raise CannotExpress if a tokenizer without pickups has moved the score to begin with a whole bar."""
    begins = [
        min(
            (int(track.notes["start"].min()) for track in of.tracks if len(track.notes) and not track.is_drum),
            default=0,
        )
        for of in (score, encoded)
    ]
    if score.upbeat > 0 and encoded.upbeat == 0 and begins[1] - begins[0] >= NEAR:
        raise CannotExpress(
            "the piece begins with an upbeat, and this model's tokens have none; put a rest before it that makes the "
            "first bar whole."
        )


def is_fixed(fixed: Sequence[Span], track: int, tick: int) -> bool:
    """Tell whether a track is fixed at a tick."""
    return any(span.start <= tick < span.end and span.track in (None, track) for span in fixed)


def _list_notes(track: Track) -> list[NoteRow]:
    return track.notes.tolist()


def _list_unencoded(score: Score, voices: Sequence[_Voice], fixed: Sequence[Span]) -> list[list[NoteRow]]:
    """List, for each track of the score, the notes that were not encoded and stay.

    A hit that is fixed stays also where encoding has moved it over the end of the span.
    """
    matched = {
        index
        for number, voice in enumerate(voices)
        for note, index in voice.notes.values()
        if index is not None and not _is_moved_out(score, index, note, number, fixed)
    }
    some = [(span.start, span.end) for span in fixed]
    return [
        [
            note
            for n, note in enumerate(_list_notes(track))
            if (t, n) not in matched and (track.is_drum or any(start <= note[0] < end for start, end in some))
        ]
        for t, track in enumerate(score.tracks)
    ]


def _is_moved_out(score: Score, index: NoteIndex, encoded: NoteRow, number: int, fixed: Sequence[Span]) -> bool:
    """Tell whether a drum of the score is in a fixed span, and the same note as `encoded` is not."""
    if not score.tracks[index[0]].is_drum or is_fixed(fixed, number, encoded[0]):
        return False
    return is_fixed(fixed, number, int(score.tracks[index[0]].notes["start"][index[1]]))


def _restore_note(score: Score, voice: _Voice, note: NoteRow) -> NoteRow:
    """Return the original note of the score that `note` stands for; its end may differ now."""
    as_encoded, index = voice.notes.get((note[0], note[2]), (note, None))
    if index is None:
        return note
    before: NoteRow = _list_notes(score.tracks[index[0]])[index[1]]
    if as_encoded[1] == note[1]:
        return before
    return before[0], max(note[0] + note[1] - before[0], 1), before[2], before[3]


def _leave_out_doubles(kept: Sequence[NoteRow], new: Sequence[NoteRow]) -> list[NoteRow]:
    """Leave out hits of `new` that fall together with one that is kept."""
    there = {(note[0], note[2]) for note in kept}
    return [note for note in new if (note[0], note[2]) not in there]


def _choose_velocity(score: Score, owner: int | None) -> int:
    """Return the velocity of new notes where the tokenizer has only one: the median of their track, or of all."""
    own = score.tracks[owner].notes["velocity"] if owner is not None else np.zeros(0)
    velocities = own if len(own) else np.concatenate([track.notes["velocity"] for track in score.tracks])
    return int(np.median(velocities))


# --- which note is which ----------------------------------------------------------------------------------------------


def _match_voices(score: Score, encoded: Score) -> list[_Voice]:
    """Match each encoded track to the score; each note of the score is matched once."""
    left = [_group_by_pitch(track) for track in score.tracks]
    owners: list[int | None] = []
    for number, track in enumerate(encoded.tracks):
        owners.append(_find_track(score, track, number, left, owners))
    voices = []
    for owner, track in zip(owners, encoded.tracks, strict=True):
        first = [] if owner is None else [owner]
        tracks = [*first, *(t for t in range(len(score.tracks)) if t != owner)]
        tracks = [t for t in tracks if score.tracks[t].is_drum == track.is_drum]
        notes = _list_notes(track)
        taken = _take_hits(left, tracks, notes) if track.is_drum else [_take_note(left, tracks, note) for note in notes]
        found = {(note[0], note[2]): (note, index) for note, index in zip(notes, taken, strict=True)}
        voices.append(_Voice(owner, found))
    return voices


def _group_by_pitch(track: Track) -> dict[int, list[tuple[int, int]]]:
    """Group notes by pitch, as (start, index)."""
    found: dict[int, list[tuple[int, int]]] = {}
    for n, note in enumerate(_list_notes(track)):
        found.setdefault(note[2], []).append((note[0], n))
    return found


def _find_track(
    score: Score,
    track: Track,
    number: int,
    left: Sequence[dict[int, list[tuple[int, int]]]],
    taken: Sequence[int | None],
) -> int | None:
    """Find the track of the score that holds most of the notes of `track`, preferably one not matched yet."""
    same = [t for t, other in enumerate(score.tracks) if other.is_drum == track.is_drum]
    counts = {
        t: sum(_find_nearest(left[t].get(note[2], []), note[0]) is not None for note in _list_notes(track))
        for t in same
    }
    best = max(same, key=lambda t: (counts[t], t not in taken, -t), default=None)
    if best is not None and counts[best]:
        return best
    empty = number in same and not len(score.tracks[number].notes)
    return number if empty else None


def _find_nearest(notes: Sequence[tuple[int, int]], start: int, reach: int = NEAR) -> int | None:
    """Find the index of the note nearest to `start`, if it is near enough."""
    index = min(range(len(notes)), key=lambda i: abs(notes[i][0] - start), default=None)
    return index if index is not None and abs(notes[index][0] - start) < reach else None


def _take_note(
    left: Sequence[dict[int, list[tuple[int, int]]]], tracks: Sequence[int], note: NoteRow, reach: int = NEAR
) -> NoteIndex | None:
    """Take the note of the score that was encoded as `note`; it is matched once."""
    for t in tracks:
        candidates = left[t].get(note[2], [])
        index = _find_nearest(candidates, note[0], reach)
        if index is not None:
            return t, candidates.pop(index)[1]
    return None


def _take_hits(
    left: Sequence[dict[int, list[tuple[int, int]]]], tracks: Sequence[int], notes: Sequence[NoteRow]
) -> list[NoteIndex | None]:
    """Take the hits that were encoded as `notes`: of the same sound if that is close, or else of any.

    A tokenizer may write all sounds of a class as one, such as an edge of a hi-hat as the hi-hat.
    """
    found: list[NoteIndex | None] = [_take_note(left, tracks, note, CLOSE) for note in notes]
    for place, note in enumerate(notes):
        for t in tracks if found[place] is None else ():
            others = [(start, n, sound) for sound, hits in left[t].items() for start, n in hits]
            index = _find_nearest([(start, n) for start, n, _ in others], note[0], CLOSE)
            if index is not None:
                start, n, sound = others[index]
                left[t][sound].remove((start, n))
                found[place] = t, n
                break
    rest = ((place, note) for place, note in enumerate(notes) if found[place] is None)
    for place, note in rest:
        found[place] = _take_note(left, tracks, note)
    return found
