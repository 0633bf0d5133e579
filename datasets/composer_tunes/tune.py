"""An ABC tune as a Score: repeats played, measures laid end to end; it knows no file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from composer.keys import Key, estimate_key
from composer.score import KeySignature, Score, Tempo, TimeSignature, Track, make_notes
from composer_notation.bargrid import Measure, time_signatures, upbeat_of
from composer_notation.sounding import Sounding, rows
from composer_tunes.joints import met
from composer_tunes.melody import Written, measures
from composer_tunes.playing import joints, play_order
from composer_tunes.tunebook import Tune, signature

VIOLIN = 40


def score_of(tune: Tune, *, is_mode_known: bool = True) -> Score:
    """The Score of a tune: one track, one note at a time.

    With `is_mode_known=False` the key is what the notes speak for, whatever the `K:` field says. ValueError, in words
    that follow a tune's name, for what cannot be read.
    """
    written = measures(tune)
    order = play_order(written)
    laid, notes = lay(met([written[index] for index in order], joints(written, order)))
    track = Track(make_notes(rows(notes)), "", VIOLIN)
    key = signature(tune.header["K"]).key if is_mode_known and "K" in tune.header else _estimate(track)
    signs = time_signatures(laid)
    check_bars(signs, written)
    return Score(
        tracks=(track,),
        tempos=tempos(tune.header.get("Q", "")),
        time_signatures=signs,
        key_signatures=(KeySignature(0, key),),
        upbeat=upbeat_of(laid),
        title=tune.header.get("T", ""),
    )


def lay(played: Sequence[Written]) -> tuple[list[Measure], list[Sounding]]:
    """Measures one after the other, with their notes counted from the start of the piece."""
    at = Fraction(0)
    laid: list[Measure] = []
    notes: list[Sounding] = []
    for measure in played:
        laid.append(Measure(at, measure.length, measure.numerator, measure.denominator))
        notes.extend(Sounding(at + n.start, n.length, n.pitch, n.velocity, n.is_tied) for n in measure.notes)
        at += measure.length
    return laid, notes


def check_bars(signs: Sequence[TimeSignature], written: Sequence[Written]) -> None:
    """ValueError for a bar that is longer or shorter than the metre says: somewhere a length is wrong."""
    metres = {(measure.numerator, measure.denominator) for measure in written}
    for sign in signs:
        if (sign.numerator, sign.denominator) not in metres:
            raise ValueError(f"has a bar of {sign} where the metre is {written[0].numerator}/{written[0].denominator}")


def tempos(text: str) -> tuple[Tempo, ...]:
    """A `Q:` field such as `1/4=100`; nothing for one that names no note value."""
    found = re.match(r"^(\d)/(\d{1,2})\s*=\s*(\d{1,3})$", text.strip())
    if not found or not int(found[2]) or not int(found[3]):
        return ()
    return (Tempo(0, int(found[3]) * 4 * int(found[1]) / int(found[2])),)


def _estimate(track: Track) -> Key:
    notes = track.notes
    return estimate_key(notes["pitch"], notes["duration"], int(notes["pitch"][-1]))
