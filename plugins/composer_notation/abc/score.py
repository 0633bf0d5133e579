"""An ABC tune as a Score, its repeats played; it knows no file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from composer.score import KeySignature, Score, Tempo, Text, Track, make_notes
from composer_notation.abc.fields import signature, tempo
from composer_notation.abc.melody import Written, measures
from composer_notation.abc.playing import play_order
from composer_notation.abc.tunebook import Tune
from composer_notation.bargrid import Measure, ticks, time_signatures, upbeat_of
from composer_notation.sounding import Sounding, rows

_CHORD = re.compile(r"^[A-G][#b]?(?:maj|min|dim|aug|sus|add|m|M|\+|[0-9]|#|b)*(?:/[A-G][#b]?)?$")


def score_of(tune: Tune) -> Score:
    """The Score of a tune: a track for each voice. ValueError, in words that follow its name, for what is not ABC."""
    written = [measures(tune.header, voice.music) for voice in tune.voices]
    if not any(measure.notes for voice in written for measure in voice):
        raise ValueError("has no notes")
    first = play_order(written[0])
    played = [[voice[index] for index in _order(voice, written[0], first)] for voice in written]
    laid = lay(played[0])
    return Score(
        tracks=tuple(
            Track(make_notes(rows(notes_of(measures))), voice.name)
            for voice, measures in zip(tune.voices, played, strict=True)
        ),
        tempos=tempos(tune.header),
        time_signatures=time_signatures(laid),
        key_signatures=(KeySignature(0, signature(tune.header.get("K", "C")).key),),
        upbeat=upbeat_of(laid),
        chords=tuple(_chords(played[0])),
        title=tune.header.get("T", ""),
    )


def lay(played: Sequence[Written]) -> list[Measure]:
    """Measures in playing order, one after the other."""
    return [Measure(start, m.length, m.numerator, m.denominator) for start, m in _placed(played)]


def notes_of(played: Sequence[Written]) -> list[Sounding]:
    """The notes of measures in playing order, counted from the start of the piece."""
    return [
        Sounding(start + note.start, note.length, note.pitch, note.velocity, note.is_tied)
        for start, measure in _placed(played)
        for note in measure.notes
    ]


def tempos(header: Mapping[str, str]) -> tuple[Tempo, ...]:
    """The tempo that the header states, from the start, if it does."""
    bpm = tempo(header)
    return () if bpm is None else (Tempo(0, bpm),)


def _placed(played: Sequence[Written]) -> Iterator[tuple[Fraction, Written]]:
    start = Fraction(0)
    for measure in played:
        yield start, measure
        start += measure.length


def _order(voice: Sequence[Written], first: Sequence[Written], order: Sequence[int]) -> Sequence[int]:
    """The playing order of a voice: that of the first one, which may alone have the signs, if they are as long."""
    return order if len(voice) == len(first) else play_order(voice)


def _chords(played: Sequence[Written]) -> Iterator[Text]:
    for start, measure in _placed(played):
        for at, text in measure.said:
            if _CHORD.match(text):
                yield Text(ticks(start + at), text)
