"""Transforms of expression: `dynamics` and `rubato`, which a score on paper does not show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.phrases import Phrase, find_phrases
from composer.music.score import Bars, Notes, Score, Tempo, Track, compute_bars
from composer.music.tempo_map import USUAL_TEMPO
from composer.types import Internal

LEVELS = {"pp": 36, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112}
"""Velocities of dynamic marks, as notation programs play them."""

WIDE = 7
"""Semitones above the middle of a phrase at which a note is as loud as its contour makes it."""

PEAK = 0.6
"""Where in a phrase it is loudest, as a share of its length."""


def _find_phrases(score: Score) -> tuple[Phrase, ...]:
    try:
        return find_phrases(score)
    except ValueError as error:
        raise CannotExpress(f"the piece has {error}, and cannot be divided into phrases.") from None


@dataclass(frozen=True)
class Dynamics:
    """Shape velocities by metre, contour and phrase, in parts whose notes are all equally loud.

    Beats on which a bar begins are louder, and notes off the beat softer. A line grows louder as it rises, and a phrase
    up to the middle. Parts with dynamics of their own stay as they are. With a level, such as `p`, the piece is so
    loud on average, and parts with dynamics of their own are moved by as much. Notes that were typed are shaped as new
    ones are.
    """

    flag: ClassVar[str] = "p"
    is_usual: ClassVar[bool] = True
    spares_primer: ClassVar[bool] = True
    of_notes: ClassVar[bool] = True
    typed_option: ClassVar[str] = "typed"

    level: Annotated[Literal["pp", "p", "mp", "mf", "f", "ff"] | None, "how loud; none: no dynamics", "p"] = None
    accents: Annotated[int, "how much louder a bar begins, in steps of velocity"] = 6
    contour: Annotated[int, "how much louder the highest notes of a phrase are"] = 6
    phrase: Annotated[int, "how much louder the middle of a phrase is, and its ends softer"] = 7
    typed: Annotated[bool, "the notes that are given were typed, and have no dynamics", Internal()] = False

    def __post_init__(self) -> None:
        """Check every value."""
        for name in ("accents", "contour", "phrase"):
            if not 0 <= getattr(self, name) <= 63:
                raise ValueError(f"'{name}' is {getattr(self, name)}, and must be from 0 to 63")

    @property
    def keeps_notes(self) -> bool:
        """Whether it sees the whole piece, of which nothing has dynamics to keep."""
        return self.typed

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Shape a score. Raises CannotExpress for one of too many bars."""
        if not score.note_count:
            return score
        phrases = _find_phrases(score)
        bars = compute_bars(score, score.length + 1)
        return replace(score, tracks=tuple(self._shape(track, bars, phrases) for track in score.tracks))

    def _shape(self, track: Track, bars: Bars, phrases: tuple[Phrase, ...]) -> Track:
        notes = track.notes
        if not len(notes):
            return track
        base = notes["velocity"].astype(np.float64)
        is_flat = bool((base == base[0]).all())
        if self.level is not None:
            base += LEVELS[self.level] - base.mean()
        if is_flat:
            base += self.accents * _weigh_beats(bars, notes["start"])
            if not track.is_drum:
                base += _weigh_phrases(notes, phrases, self.contour, self.phrase)
        notes = notes.copy()
        notes["velocity"] = np.clip(np.floor(base + 0.5), 1, 127)
        return replace(track, notes=notes)


def _weigh_beats(bars: Bars, onsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weigh onsets (n,): 1 where a bar begins, 1/2 at its middle beat, 0 on other beats, -1/2 off the beat."""
    row = np.clip(np.searchsorted(bars.starts, onsets, side="right") - 1, 0, len(bars.nominal) - 1)
    metres = [bars.time_signatures[index] for index in bars.signature_index[row].tolist()]
    beat, bar = (np.array([getattr(one, name) for one in metres]) for name in ("beat_ticks", "bar_ticks"))
    position = onsets - bars.nominal[row]
    is_middle = (position * 2 == bar) & (bar % (2 * beat) == 0)
    return np.select([position == 0, is_middle, position % beat == 0], [1.0, 0.5, 0.0], -0.5)


def _weigh_phrases(notes: Notes, phrases: tuple[Phrase, ...], contour: int, arch: int) -> NDArray[np.float64]:
    """Return what the contour and the arch of its phrase add to the velocity of each note (n,)."""
    starts = np.array([one.start for one in phrases])
    row = np.clip(np.searchsorted(starts, notes["start"], side="right") - 1, 0, None)
    added = np.zeros(len(notes))
    for number in np.unique(row).tolist():
        its, phrase = row == number, phrases[number]
        pitch = notes["pitch"][its].astype(np.float64)
        share = np.clip((notes["start"][its] - phrase.start) / max(phrase.last - phrase.start, 1), 0, 1)
        away = np.where(share < PEAK, (PEAK - share) / PEAK, (share - PEAK) / (1 - PEAK))
        added[its] = contour * np.clip((pitch - pitch.mean()) / WIDE, -1, 1) + arch * (0.5 - away**2)
    return added


@dataclass(frozen=True)
class Rubato:
    """Slow down a little at the end of each phrase, and more at that of the piece.

    The last note of a phrase, and the beat before it, are slower; the next phrase is in tempo again. Phrases in which
    the tempo changes already stay as they are.
    """

    flag: ClassVar[str] = ""
    keeps_notes: ClassVar[bool] = True

    amount: Annotated[float, "how much slower the end of a phrase is; of the piece twice as much", "0.1"] = 0.1

    def __post_init__(self) -> None:
        """Check the amount."""
        if not 0 < self.amount <= 0.4:
            raise ValueError(f"'amount' is {self.amount}, and must be above 0, and 0.4 at most")

    def __call__(self, score: Score, rng: np.random.Generator) -> Score:
        """Add tempos to a score. Raises CannotExpress for one of too many bars."""
        phrases = _find_phrases(score)
        if not phrases:
            return score
        own = score.tempos if score.tempos and score.tempos[0].tick == 0 else (Tempo(0, USUAL_TEMPO), *score.tempos)
        bars = compute_bars(score, score.length)
        found = {tempo.tick: tempo.bpm for tempo in own}
        for phrase in phrases:
            row = max(int(np.searchsorted(bars.starts, phrase.last, side="right")) - 1, 0)
            beat = bars.signatures[min(row, len(bars.nominal) - 1)].beat_ticks
            begin = max(phrase.last - beat, phrase.start)
            if any(begin <= tempo.tick < phrase.end and tempo.tick for tempo in own):
                continue
            bpm = next(tempo.bpm for tempo in reversed(own) if tempo.tick <= begin)
            is_last = phrase.end == phrases[-1].end
            slower = self.amount * (2 if is_last else 1)
            found[begin], found[phrase.last] = _slow_down(bpm, slower / 2), _slow_down(bpm, slower)
            if not is_last:
                found.setdefault(phrase.end, bpm)
        return replace(score, tempos=tuple(Tempo(tick, found[tick]) for tick in sorted(found)))


def _slow_down(bpm: float, share: float) -> float:
    return round(max(bpm * (1 - share), 5.0), 6)
