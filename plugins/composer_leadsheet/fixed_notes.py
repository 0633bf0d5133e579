"""Masks of `leadsheet` that keep a melody, chord symbols, or both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from composer.arrays import get_namespace, make_range
from composer.music.score import Score
from composer.tokens.bar_encoding import find_bars
from composer.tokens.fixed_bars import NEVER, check_track, fix_bars, mark_fixed
from composer.types import CHORDS, Array, Span
from composer_leadsheet.grammar import LeadSheetGrammar, Own, Turn
from composer_leadsheet.symbols import ROOTS
from composer_voices.grammar import FixedLines, extract_fixed_lines, list_sounds

MELODY, SYMBOLS = 0, 1
"""The lines of a lead sheet."""


class FixedLeadSheet:
    """A function from states to masks. Where symbols are fixed, those of the score are written, and no others.

    A span of symbols may begin under a chord: then it is stated there, unless it is in force already. The bars are the
    score's up to the last bar with anything fixed.
    """

    def __init__(self, grammar: LeadSheetGrammar, score: Score, spans: Sequence[Span]) -> None:
        for span in spans:
            if span.track != CHORDS:
                check_track(span, 1)
        melody, grid = grammar.melody, grammar.melody.grid
        [line] = extract_fixed_lines(melody, score)
        symbols, tokens = grammar.symbols.encode_score(score, line.shift, grid.step_ticks)
        end = max(int(line.ends.max(initial=1)), int(symbols.max(initial=0)) + 1)
        found = find_bars(grid, score, end * grid.step_ticks)
        steps = int(found.starts[-1])
        of = [(span, _LINES[span.track]) for span in spans]
        fixed = mark_fixed(grid, of, 2, steps)
        sounds, onsets = list_sounds(melody, [line], steps)
        codes, begins = _list_codes(grammar, symbols, tokens, steps)
        self.grammar = grammar
        self.bars = fix_bars(grid, found, fixed)
        self.lines = FixedLines.build(fixed, np.concatenate([sounds, codes]), np.concatenate([onsets, begins]))

    def __call__(self, state: Array) -> Array:
        """Return the mask (B, V)."""
        xp, grammar, size = get_namespace(state), self.grammar, self.grammar.size
        code = compute_code(size, *(grammar.get_own(state, column) for column in (Own.ROOT, Own.QUALITY, Own.BASS)))
        sounding = xp.concat([grammar.melody.get_sounding(state), code[:, None]], axis=1)
        fixed, sounds, moves = self.lines.find_here(state, sounding)
        is_fixed, moves_here = fixed[:, SYMBOLS, None], moves[:, SYMBOLS, None]
        wanted = xp.where(sounds[:, SYMBOLS] == NEVER, 0, sounds[:, SYMBOLS])[:, None]
        root, quality, bass = wanted // size**2, wanted // size % size, wanted % size
        turn = grammar.get_own(state, Own.TURN)[:, None]
        # What is left of a fixed symbol comes before the melody.
        is_due = is_fixed & (((turn == Turn.OPEN) & moves_here) | ((turn == Turn.BASS) & (bass > 0)))
        blocks = [
            self.bars.mask(state, self.lines.find_need(state, sounding)),
            ~is_due & self._mask_melody(state, fixed, sounds, moves),
            ~is_fixed | (moves_here & (self._list_tokens(state, grammar.symbols.first, ROOTS) == root)),
            ~is_fixed | (self._list_tokens(state, grammar.symbols.first_quality) == quality),
            ~is_fixed | (self._list_tokens(state, grammar.symbols.first_bass) == bass),
        ]
        return xp.concat(blocks, axis=1)

    def _mask_melody(self, state: Array, fixed: Array, sounds: Array, moves: Array) -> Array:
        """Mask the tokens of the melody (B, M) to the fixed one."""
        xp, melody = get_namespace(state), self.grammar.melody
        wanted = xp.where(moves[:, MELODY], sounds[:, MELODY], melody.hold)[:, None]
        tokens = make_range(melody.size - melody.hold, state) + melody.hold
        return ~fixed[:, MELODY, None] | (tokens == wanted)

    def _list_tokens(self, state: Array, first: int, count: int = 0) -> Array:
        """List (1, N) the tokens of a kind, from its first one on."""
        symbols = self.grammar.symbols
        ends = {symbols.first_quality: symbols.first_bass, symbols.first_bass: symbols.end}
        return make_range(count or ends[first] - first, state) + first


_LINES = {None: (MELODY, SYMBOLS), 0: (MELODY,), CHORDS: (SYMBOLS,)}


def compute_code(size: int, root: Array, quality: Array, bass: Array) -> Array:
    """Compute a number for each chord (B,) of its tokens, 0 for none of each kind."""
    return (root * size + quality) * size + bass


def _list_codes(
    grammar: LeadSheetGrammar, symbols: NDArray[np.int64], tokens: NDArray[np.int64], steps: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """List the code of the chord in force at each step, (1, steps + 1), `NEVER` before the first, and its onsets."""
    codes = compute_code(grammar.size, *np.maximum(tokens, 0).T)
    place = np.searchsorted(symbols, np.arange(steps + 1), side="right")
    begins = np.zeros(steps + 1, dtype=bool)
    begins[symbols] = True
    return np.append(NEVER, codes)[place][None], begins[None]
