"""Prepare scores for MidiTok: quantise notes, and refuse music that has no tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from composer.errors import CannotExpress
from composer.music.score import Score, TimeSignature
from composer.tokens.bar_encoding import MOST_EMPTY_BARS, find_bars
from composer_miditok.scheme import Scheme
from composer_miditok.sounds import DRUMS, SOUNDS, BarLines, Sounds, check_held, check_onsets, gather_notes, quantise


@dataclass(frozen=True, eq=False)
class PreparedScore:
    """The notes and bars of a score. All times are in MidiTok's ticks, and the first bar is whole."""

    sounds: Sounds
    lines: BarLines
    time_signatures: NDArray[np.int64]  # (bars,) index of each bar's time signature
    end: int  # of the last bar

    def find_changes(self, scheme: Scheme) -> dict[int, TimeSignature]:
        """Return the time signatures by tick, up to the last note."""
        until = int(self.sounds.ends.max()) if scheme.has_note_offs else 0
        until = max(int(self.sounds.starts[-1]) + 1, until)
        return {
            int(start): scheme.metres[metre]
            for bar, (start, metre) in enumerate(zip(self.lines.starts, self.time_signatures, strict=True))
            if start < until and (bar == 0 or metre != self.time_signatures[bar - 1])
        }


def prepare(scheme: Scheme, score: Score, *, lands: bool) -> PreparedScore:
    """Prepare a score for a scheme; with `lands`, moves cannot be added up.

    Raises CannotExpress for music that MidiTok has no tokens for, and would drop or change.
    """
    sounds = gather_notes(score, programs=scheme.programs, tick=scheme.tick)
    _check_range(scheme, sounds)
    found = find_bars(scheme.grid, score, score.end)
    first = scheme.grid.first["TimeSignature"]
    lines, moved = BarLines.build(found, scheme.step, first), -int(found.origins[0])
    sounds = replace(sounds, starts=sounds.starts + moved, ends=sounds.ends + moved)
    sounds = quantise(sounds, lines, None if scheme.has_note_offs else scheme.longest * scheme.steps_per_beat)
    sounds = replace(sounds, velocities=scheme.round_velocities(sounds.velocities))
    _check_silences(sounds, lines)
    (check_held if scheme.has_note_offs else check_onsets)(sounds, SOUNDS)
    if lands and np.diff(np.append(0, sounds.starts)).max() > scheme.longest * scheme.division:
        raise CannotExpress(f"nothing begins for more than {scheme.longest} beats, the longest move.")
    return PreparedScore(sounds, lines, found.time_signatures - first, int(found.starts[-1]) + moved)


def _check_range(scheme: Scheme, sounds: Sounds) -> None:
    """Raise CannotExpress for a pitch out of range."""
    pitches = sounds.pitches[sounds.programs != DRUMS]
    outside = pitches[(pitches < scheme.lowest) | (pitches > scheme.highest)]
    if len(outside):
        reach = f"{scheme.lowest} to {scheme.highest}"
        raise CannotExpress(f"it has the pitch {outside[0]}; there are tokens for {reach}.")


def _check_silences(sounds: Sounds, lines: BarLines) -> None:
    """Raise CannotExpress if no note begins for too many bars."""
    bars = np.append(lines.find_bar(np.append(0, sounds.starts)), lines.find_bar(sounds.ends.max() - 1))
    longest = int(np.diff(bars).max())
    if longest > MOST_EMPTY_BARS:
        raise CannotExpress(f"nothing begins for {longest} bars; at most {MOST_EMPTY_BARS} such can be written.")
