"""Convert a tune of a book to a monophonic Score, with sections joined on the beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from composer.errors import printable
from composer.music.keys import Key, estimate_key
from composer.music.score import KeySignature, Score, Tempo, TimeSignature, Track, make_notes
from composer_notation.abc.fields import parse_key_field
from composer_notation.abc.melody import WrittenMeasure, read_measures
from composer_notation.abc.playing import find_joints, find_order
from composer_notation.abc.score import lay_voice, list_notes, read_tempo
from composer_notation.abc.tunebook import Tune
from composer_notation.bargrid import find_pickup, find_time_signatures
from composer_notation.sounding import VELOCITY, Sounding, make_rows
from composer_tunes.joints import join_sections

VIOLIN = 40


def make_score(tune: Tune, *, is_mode_known: bool = True) -> Score:
    """Convert a tune to a Score with one monophonic track.

    With `is_mode_known=False` the key is estimated from the notes, and the `K:` field is ignored. Raises ValueError for
    an unreadable tune, and for bars of a wrong length; its text completes a sentence that begins with the tune's name.
    """
    if len(tune.voices) != 1:
        raise ValueError("does not have one voice")
    written = [_keep_highest(measure) for measure in read_measures(tune, tune.voices[0])]
    if not any(measure.notes for measure in written):
        raise ValueError("has no notes")
    if not all(measure.numerator for measure in written):
        raise ValueError(f"has the metre '{printable(tune.header.get('M', ''), 40)}', which gives no bars")
    order = find_order(written)
    played = join_sections([written[index] for index in order], find_joints(written, order))
    signs = find_time_signatures(laid := lay_voice(played))
    check_bars(signs, written)
    track = Track(make_notes(make_rows(list_notes(played))), program=VIOLIN)
    bpm = read_tempo(tune.header) if "=" in tune.header.get("Q", "") else None  # a number alone is far too slow here
    named, _ = parse_key_field(tune.header.get("K", ""))
    key = named.key if is_mode_known and named and named.key else _estimate_key(track)
    title = tune.header.get("T", "")
    tempos = () if bpm is None else (Tempo(0, bpm),)
    return Score((track,), tempos, signs, (KeySignature(0, key),), find_pickup(laid), title=title)


def check_bars(signs: Sequence[TimeSignature], written: Sequence[WrittenMeasure]) -> None:
    """Raise ValueError for a bar whose length is not that of the time signature, since a note length is wrong."""
    metres = {(measure.numerator, measure.denominator) for measure in written}
    for sign in signs:
        if (sign.numerator, sign.denominator) not in metres:
            raise ValueError(f"has a bar of {sign} where the metre is {written[0].numerator}/{written[0].denominator}")


def _keep_highest(measure: WrittenMeasure) -> WrittenMeasure:
    """Return the measure with the highest note of each chord, at one velocity, each cut at the next onset."""
    highest: dict[Fraction, Sounding] = {}
    for note in sorted(measure.notes, key=lambda note: note.start):
        highest[note.start] = max(note, highest.get(note.start, note), key=lambda n: n.pitch)
    ends = [*highest, measure.length][1:]
    notes = (
        replace(note, length=min(note.length, end - note.start), velocity=VELOCITY)
        for note, end in zip(highest.values(), ends, strict=True)
    )
    return replace(measure, notes=tuple(notes))


def _estimate_key(track: Track) -> Key:
    notes = track.notes
    return estimate_key(notes["pitch"], notes["duration"], int(notes["pitch"][-1]))
