"""Bar lines of measures that are laid end to end, short measures among them, and keys of signatures.

A written measure need not be a bar: a repeat sign cuts a bar in two, and an encoder may leave a beat out. Short
measures that add up to a bar are one. An odd one gets a time signature of its own length, so that later bars stay
where they were written. A key signature may state its mode; otherwise the notes under it decide.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from composer.music.keys import Key, estimate_key, get_signature_key
from composer.music.score import TICKS_PER_QUARTER, KeySignature, Notes, TimeSignature, Track, concatenate_notes

# --- bar lines --------------------------------------------------------------------------------------------------------


MOST_TICKS = 100_000 * 4 * TICKS_PER_QUARTER
"""Most ticks of a piece; a longer one has a wrong number in it."""


@dataclass(frozen=True)
class Measure:
    """A measure as it is played: start and length in quarter notes, and its time signature."""

    start: Fraction
    length: Fraction
    numerator: int = 4
    denominator: int = 4

    @property
    def bar(self) -> Fraction:
        """Length of a complete bar of its time signature."""
        return Fraction(4 * self.numerator, self.denominator)


def lay_measures(
    lengths: Sequence[Sequence[Fraction]], signatures: Sequence[tuple[int, int] | None], order: Sequence[int]
) -> list[Measure]:
    """Lay measures end to end in playing order, each as long as in most parts.

    `lengths` has a list for each part, 0 where nothing is written; `signatures` has those that begin with a measure.
    """
    signature, written = (4, 4), []
    for index, new in enumerate(signatures):
        signature = new or signature
        full = Measure(Fraction(0), Fraction(0), *signature)
        found = [part[index] for part in lengths if index < len(part) and part[index]]
        written.append(replace(full, length=_choose_length(found, full.bar)))
    start, played = Fraction(0), []
    for index in order:
        played.append(replace(written[index], start=start))
        start += written[index].length
    return played


def _choose_length(lengths: Sequence[Fraction], bar: Fraction) -> Fraction:
    """Return the length that most parts have; of several, a full bar, or else the longest."""
    counts = Counter(lengths)
    return max(counts, key=lambda length: (counts[length], length == bar, length), default=bar)


def round_to_ticks(quarters: Fraction) -> int:
    """Round quarter notes to whole ticks, halves to the even one."""
    whole, rest = divmod(quarters.numerator * TICKS_PER_QUARTER, quarters.denominator)
    return whole + (2 * rest > quarters.denominator - (whole & 1))


def find_pickup(measures: Sequence[Measure]) -> int:
    """Return the length in ticks of the pickup, a first measure that is shorter than its bar; else 0."""
    if len(measures) < 2 or not 0 < measures[0].length < measures[0].bar:
        return 0
    return round_to_ticks(measures[0].length)


def find_time_signatures(measures: Sequence[Measure]) -> tuple[TimeSignature, ...]:
    """Find time signatures whose bars begin where these measures do, each where it changes."""
    found: list[TimeSignature] = []
    starts = [*(measure.start for measure in measures), *(m.start + m.length for m in measures[-1:])]
    same = _find_metre_ends(measures)
    index = 0
    while index < len(measures):
        count = 1 if index == 0 and find_pickup(measures) else _count_joined(measures, starts, index, same[index])
        signature = _choose_signature(measures, index, count)
        if not found or (found[-1].numerator, found[-1].denominator) != (signature.numerator, signature.denominator):
            found.append(signature)
        index += count
    return tuple(found)


def _count_joined(measures: Sequence[Measure], starts: Sequence[Fraction], index: int, same: int) -> int:
    """Count the measures from `index` on that make one bar: several if short ones add up to it exactly.

    `starts` has the start of each measure and the end of the last. Measures before `same` have the same metre.
    """
    bar_end = starts[index] + measures[index].bar
    end = bisect_left(starts, bar_end, index + 1)
    return end - index if end <= same and starts[end] == bar_end else 1


def _find_metre_ends(measures: Sequence[Measure]) -> list[int]:
    """Find, for each measure, the first later one with bars of another length."""
    ends = [len(measures)] * len(measures)
    for index in range(len(measures) - 2, -1, -1):
        is_same = measures[index].bar == measures[index + 1].bar
        ends[index] = ends[index + 1] if is_same else index + 1
    return ends


def _choose_signature(measures: Sequence[Measure], index: int, count: int) -> TimeSignature:
    """Return the written time signature if bars of it fit, as they always do at the ends, else one that fits."""
    first = measures[index]
    written = TimeSignature(round_to_ticks(first.start), first.numerator, first.denominator)
    is_end = index + count == len(measures) and first.length <= first.bar
    if count > 1 or is_end or first.length % first.bar == 0 or (index == 0 and find_pickup(measures)):
        return written
    return _find_signature(first.length, written) or written


def _find_signature(quarters: Fraction, near: TimeSignature) -> TimeSignature | None:
    """Find a time signature of that bar length, in the note value of `near` or a smaller one; None for none."""
    denominator = near.denominator
    while denominator <= 64:
        numerator = quarters * denominator / 4
        if numerator.denominator == 1 and 1 <= numerator <= 64:
            return TimeSignature(near.tick, int(numerator), denominator)
        denominator *= 2
    return None


# --- keys of signatures -----------------------------------------------------------------------------------------------


MODES = {
    "lydian": 1, "major": 0, "ionian": 0, "mixolydian": -1, "dorian": -2, "minor": -3, "aeolian": -3, "phrygian": -4,
    "locrian": -5,
}  # fmt: skip
"""Sharps (positive) or flats of a mode, compared with the major key of its tonic."""

_ORDER_OF_SHARPS = "FCGDAEB"


def has_minor_third(mode: str) -> bool:
    """Tell whether a mode is minor, or a church mode with a minor third."""
    return MODES[mode] < MODES["mixolydian"]


def count_fifths(letter: str, alter: int = 0) -> int:
    """Count the sharps (positive) or flats of the major key on a letter that is altered by semitones."""
    return _ORDER_OF_SHARPS.index(letter) - 1 + 7 * alter


def find_alteration(letter: str, fifths: int) -> int:
    """Return the semitones by which a signature of so many sharps, or flats if negative, alters a letter."""
    return (fifths - _ORDER_OF_SHARPS.index(letter) + 6) // 7


def transpose_fifths(fifths: int, semitones: int) -> int:
    """Transpose a signature to the usual one of its new key, of six sharps or five flats at most."""
    return get_signature_key(fifths, minor=False).transpose(semitones).fifths if semitones else fifths


@dataclass(frozen=True)
class Signature:
    """A key signature from `tick` on: sharps (positive) or flats, and its mode, "" if it states none."""

    tick: int
    fifths: int
    mode: str = ""


def find_keys(signatures: Sequence[Signature], tracks: Sequence[Track]) -> tuple[KeySignature, ...]:
    """Find the key of each signature, and list the keys where they change.

    A church mode becomes the major or minor key with its tonic and third. Without a mode, the notes under the signature
    decide between its major and its minor key.
    """
    found: list[KeySignature] = []
    latest = {signature.tick: signature for signature in signatures}
    begins = sorted(latest)
    notes = concatenate_notes([track.notes for track in tracks if not track.is_drum])
    notes = notes[np.argsort(notes["start"], kind="stable")]
    indices = np.searchsorted(notes["start"], begins).tolist()
    for tick, first, last in zip(begins, indices, [*indices[1:], None], strict=False):
        its = latest[tick]
        key = _find_key_by_mode(its) or _find_key_by_notes(its, notes[first:last])
        if not found or found[-1].key != key:
            found.append(KeySignature(tick, key))
    return tuple(found)


def _find_key_by_mode(signature: Signature) -> Key | None:
    if signature.mode not in MODES:
        return None
    minor = has_minor_third(signature.mode)
    return get_signature_key(signature.fifths - MODES[signature.mode] - 3 * minor, minor)


def _find_key_by_notes(signature: Signature, its: Notes) -> Key:
    pair = [get_signature_key(signature.fifths, minor) for minor in (False, True)]
    if not len(its):
        return pair[0]
    ends = its["start"] + its["duration"]
    return estimate_key(its["pitch"], its["duration"], int(its["pitch"][ends == ends.max()].min()), pair)
