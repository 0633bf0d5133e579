"""Chords of new requests: those that are asked for as the model reads them, and those of lead sheets unasked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from composer.music.chords import estimate_key, find_rough_chord, parse_progression
from composer.music.keys import Key
from composer.music.parts import warn_of_symbols
from composer.music.score import ChordSymbol, KeySignature, Score, compute_bars
from composer.music.transposing import transpose_score
from composer.types import Occasion

NONE = "none"
"""Instead of chords: not even those that a lead sheet names."""


def choose_chords(options: Mapping[str, Any] | None, occasion: Occasion) -> Mapping[str, Any] | None:
    """Choose the options of `chords` for a new request: unasked, the chord symbols of the music that is given.

    These are on the music already, so that nothing is to be written onto it. A model that writes symbols has them among
    its fixed notes.
    """
    if options is not None:
        text = str(options.get("chords", "")).strip()
        return None if text == NONE else {**options, "chords": _read_bars(text, occasion)}
    text = "" if occasion.fixed is None or occasion.token_info.has_chords else write_progression(occasion.fixed)
    return {"chords": text, "yields": True} if text else None


def write_progression(score: Score) -> str:
    """Write the chord symbols of a score as a progression, with one for each beat; empty if it has none.

    Before the first symbol its chord counts, and before a pickup the last. Warns with RequestWarning of symbols that
    are unknown: of these the root and the third count, and otherwise the symbol before.
    """
    read = [(symbol, find_rough_chord(symbol.text)) for symbol in score.chords]
    warn_of_symbols(score)
    known = [(symbol.tick, str(chord)) for symbol, chord in read if chord is not None]
    if not known:
        return ""
    ticks, bars = [tick for tick, _ in known], compute_bars(score)
    written = []
    for begin, end, metre in zip(bars.starts[:-1].tolist(), bars.starts[1:].tolist(), bars.signatures, strict=True):
        places = [max(bisect_right(ticks, tick) - 1, 0) for tick in range(begin, end, metre.beat_ticks)]
        written.append(" ".join(known[place][1] for place in places))
    return " | ".join(written[1:] + written[:1] if score.upbeat > 0 else written)


def _read_bars(text: str, occasion: Occasion) -> str:
    """Write a progression as the model reads the music: transposed, and each bar as so many, as long together."""
    count, semitones = occasion.bars_of_one, occasion.semitones
    if count == 1 and not semitones:
        return text
    progression = parse_progression(text)
    key = estimate_key(progression)
    bars = [[_transpose(str(chord), semitones, key) for chord in bar for _ in range(count)] for bar in progression]
    return " | ".join(
        " ".join(bar[n * len(bar) // count : (n + 1) * len(bar) // count]) for bar in bars for n in range(count)
    )


def _transpose(name: str, semitones: int, key: Key | None) -> str:
    """Transpose a chord of a progression in a key, spelled as the new key is."""
    signatures = () if key is None else (KeySignature(0, key),)
    return transpose_score(Score(chords=(ChordSymbol(0, name),), key_signatures=signatures), semitones).chords[0].text
