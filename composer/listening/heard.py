"""One score as it is heard: its pitched notes, its top line, its last chord, its length; it counts nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress, printable
from composer.keys import Key
from composer.measures import key_of
from composer.score import NOTE, Notes, Score, bars


@dataclass(frozen=True, eq=False)
class Heard:
    """What the figures of one score are counted from."""

    notes: Notes  # (N,) of all tracks but drums, by start, then pitch; each lasts at least a tick
    key: Key  # the first key signature's, or else estimated from the notes
    beats: float  # from the first tick to the end of the last note; dotted values in compound metres
    bars: int  # begun at a downbeat: an upbeat is none


def hear(score: Score) -> Heard:
    """`score` ready for counting. Raises CannotExpress for more bars than `composer.score.bars` allows."""
    parts = [notes for track in score.tracks if not track.is_drum for notes in [lasting(track.notes)] if len(notes)]
    notes = np.concatenate(parts) if parts else np.empty(0, NOTE)
    in_order = notes[np.lexsort((notes["pitch"], notes["start"]))]
    return Heard(in_order, key_of(score), *_length(score))


def _length(score: Score) -> tuple[float, int]:
    """The beats and the bars of `score`."""
    try:
        found = bars(score)
    except ValueError as error:
        raise CannotExpress(f"the piece '{printable(score.title)}' cannot be listened to: it has {error}.") from None
    ticks = np.diff(np.minimum(found.starts, score.end))
    beats = float(np.sum(ticks / np.array([signature.beat_ticks for signature in found.signatures])))
    return beats, int(np.sum(found.nominal == found.starts[:-1]))


def lasting(notes: Notes) -> Notes:
    """The notes that last at least a tick."""
    return notes[notes["duration"] > 0]


def ends(notes: Notes) -> NDArray[np.int64]:
    """(N,) the tick at which each note ends."""
    return np.asarray(notes["start"] + notes["duration"])


def top_line(notes: Notes) -> Notes:
    """The notes at whose onset no higher one sounds, by start; of notes struck in unison, one."""
    times = np.unique(notes["start"])
    highest = _highest(notes, times)
    top = notes[notes["pitch"] == highest[np.searchsorted(times, notes["start"])]]
    first = np.unique(top["start"], return_index=True)[1]
    return np.asarray(top[first])


def _highest(notes: Notes, times: NDArray[np.int64]) -> NDArray[np.int64]:
    """(times,) the highest pitch that sounds at each of these onsets."""
    highest = np.full(len(times), -1)
    for pitch in np.unique(notes["pitch"]):  # rising, so that the highest is written last
        own = notes[notes["pitch"] == pitch]
        begun = np.bincount(np.searchsorted(times, own["start"]), minlength=len(times) + 1)
        ended = np.bincount(np.searchsorted(times, ends(own)), minlength=len(times) + 1)
        highest[np.cumsum(begun - ended)[:-1] > 0] = pitch
    return highest


def final_chord(notes: Notes) -> NDArray[np.int64]:
    """The pitches that sound at the last onset, rising; empty for a piece without notes."""
    if not len(notes):
        return np.empty(0, np.int64)
    last = notes["start"].max()
    return np.sort(notes["pitch"][ends(notes) > last].astype(np.int64))
