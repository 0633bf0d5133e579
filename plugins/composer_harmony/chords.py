"""The constraint `chords`, and names of chords."""

from __future__ import annotations

import re
import warnings
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from composer.arrays import convert_like, get_namespace
from composer.errors import RequestWarning, printable
from composer.music.keys import ALL_KEYS
from composer.music.score import Score, compute_bars
from composer.tokens.vocabulary import mask_sustained
from composer.types import Array, Context, Occasion
from composer_harmony.scale import SCALES, mask_classes, parse_pitch_class, restrict_keys

QUALITIES = {
    **dict.fromkeys(["", "maj", "M"], (0, 4, 7)),
    **dict.fromkeys(["m", "min", "-"], (0, 3, 7)),
    **dict.fromkeys(["dim", "o", "°"], (0, 3, 6)),
    **dict.fromkeys(["aug", "+"], (0, 4, 8)),
    **dict.fromkeys(["sus", "sus4"], (0, 5, 7)),
    "sus2": (0, 2, 7),
    "5": (0, 7),
    "6": (0, 4, 7, 9),
    **dict.fromkeys(["m6", "min6", "-6"], (0, 3, 7, 9)),
    "7": (0, 4, 7, 10),
    **dict.fromkeys(["maj7", "M7", "Δ", "Δ7", "ma7"], (0, 4, 7, 11)),
    **dict.fromkeys(["m7", "min7", "-7"], (0, 3, 7, 10)),
    **dict.fromkeys(["mM7", "mmaj7", "m(maj7)", "minmaj7"], (0, 3, 7, 11)),
    **dict.fromkeys(["dim7", "o7", "°7"], (0, 3, 6, 9)),
    **dict.fromkeys(["m7b5", "min7b5", "-7b5", "ø", "ø7"], (0, 3, 6, 10)),
    **dict.fromkeys(["aug7", "+7", "7#5"], (0, 4, 8, 10)),
    "7b5": (0, 4, 6, 10),
    **dict.fromkeys(["7sus4", "7sus"], (0, 5, 7, 10)),
    "add9": (0, 2, 4, 7),
    **dict.fromkeys(["madd9", "m(add9)"], (0, 2, 3, 7)),
    "69": (0, 2, 4, 7, 9),
    "9": (0, 2, 4, 7, 10),
    "7b9": (0, 1, 4, 7, 10),
    "7#9": (0, 3, 4, 7, 10),
    **dict.fromkeys(["maj9", "M9"], (0, 2, 4, 7, 11)),
    **dict.fromkeys(["m9", "min9", "-9"], (0, 2, 3, 7, 10)),
    "11": (0, 2, 4, 5, 7, 10),
    **dict.fromkeys(["m11", "min11", "-11"], (0, 2, 3, 5, 7, 10)),
    "13": (0, 2, 4, 7, 9, 10),
}
"""Semitones above the root."""

_NAME = re.compile(r"^([A-G])(#|b)?([^/]*)(?:/([A-G])(#|b)?)?$")

Classes = frozenset[int]


def parse_chord(text: str) -> Classes:
    """Parse the pitch classes of `Am7b5` or `D/F#`, including the bass after the slash. Raises ValueError."""
    found = _NAME.match(text)
    if not found or found[3] not in QUALITIES:
        raise ValueError(f"'{printable(text)}' is not a chord such as C, Dm7, G7, Bdim or D/F#")
    root = parse_pitch_class(found[1], found[2])
    bass = {parse_pitch_class(found[4], found[5])} if found[4] else set()
    return frozenset({(root + above) % 12 for above in QUALITIES[found[3]]} | bass)


NONE = "none"
"""Instead of chords: not even those that a lead sheet names."""


def choose_chords(options: Mapping[str, Any] | None, occasion: Occasion) -> Mapping[str, Any] | None:
    """Choose the options of `chords` for a new request: unasked, the chord symbols of the music that is given."""
    if options is not None:
        text = str(options.get("chords", "")).strip()
        return None if text == NONE else {**options, "chords": _divide_bars(text, occasion.bars_of_one)}
    text = "" if occasion.fixed is None else write_progression(occasion.fixed)
    return {"chords": text, "yields": True} if text else None


def write_progression(score: Score) -> str:
    """Write the chord symbols of a score as a progression, with one for each beat; empty if it has none.

    Before the first symbol its chord counts, and before a pickup the last. Warns with RequestWarning of symbols that
    are unknown: of these the root and the third count, and otherwise the symbol before.
    """
    read = [(symbol.tick, _simplify(symbol.text)) for symbol in score.chords]
    if unknown := sorted(
        {symbol.text for symbol, (_, name) in zip(score.chords, read, strict=True) if symbol.text != name}
    ):
        shown = ", ".join(map(printable, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        warnings.warn(f"chord symbols that are taken in part: {shown}.", RequestWarning, stacklevel=2)
    known = [(tick, name) for tick, name in read if name]
    if not known:
        return ""
    ticks, bars = [tick for tick, _ in known], compute_bars(score)
    written = []
    for begin, end, metre in zip(bars.starts[:-1].tolist(), bars.starts[1:].tolist(), bars.signatures, strict=True):
        places = [max(bisect_right(ticks, tick) - 1, 0) for tick in range(begin, end, metre.beat_ticks)]
        written.append(" ".join(known[place][1] for place in places))
    return " | ".join(written[1:] + written[:1] if score.upbeat > 0 else written)


def _divide_bars(text: str, count: int) -> str:
    """Write each bar of a progression as so many, in which its chords last as long together."""
    if count == 1:
        return text
    bars = [[name for name in bar.split() for _ in range(count)] for bar in text.strip("|").split("|")]
    return " | ".join(
        " ".join(bar[n * len(bar) // count : (n + 1) * len(bar) // count]) for bar in bars for n in range(count)
    )


_ROOT = re.compile(r"[A-G][#b]?(?:m(?!aj)|-)?")


def _simplify(text: str) -> str:
    """Return a chord symbol that `parse_chord` knows: itself, or else its root and third; empty for none."""
    with suppress(ValueError):
        parse_chord(text)
        return text
    found = _ROOT.match(text)
    return found[0] if found else ""


@dataclass(frozen=True)
class Chords:
    """Keep to chords: an onset on a beat is a tone of its chord, between beats of any; other notes and drums are free.

    The n-th bar of the progression applies to the n-th whole bar of a piece. A pickup takes the last bar, after which
    the progression begins again. Chords share their bar equally: of k chords in a bar of length L, the chord at t after
    the bar line is number floor(t k / L). An onset on a beat is a tone of that chord, in any octave and voice. An onset
    between two beats is a tone of any chord of the progression. A note sustained into another chord is free. If the
    model writes keys and none was requested, only keys with the most tones of the chords are allowed.
    """

    chords: Annotated[str, 'bars of chords: "Dm7 G7 | Cmaj7 | Am7 D7 | Gmaj7"', "Dm7 G7 | Cmaj7"]

    yields: Annotated[bool, "give way where nothing else could be written"] = False

    choose_options = staticmethod(choose_chords)

    def __post_init__(self) -> None:
        """Refuse an invalid progression."""
        self.bars  # noqa: B018  (for its ValueError)

    @cached_property
    def bars(self) -> tuple[tuple[Classes, ...], ...]:
        """The pitch classes of the chords of each bar; none for `none`."""
        if self.chords.strip() == NONE:
            return ()
        texts = self.chords.strip().strip("|").split("|")
        found = tuple(tuple(parse_chord(name) for name in text.split()) for text in texts)
        if not all(found):
            raise ValueError(f"a bar of '{printable(self.chords)}' has no chord")
        return found

    @cached_property
    def _tables(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """(bars,) the first chord and the number of chords of each bar; (chords + 1, 12) their tones, and all."""
        counts = np.array([len(bar) for bar in self.bars])
        chords = [chord for bar in self.bars for chord in bar]
        tones = [np.isin(np.arange(12), sorted(chord)) for chord in [*chords, frozenset().union(*chords)]]
        return np.cumsum(counts) - counts, counts, np.array(tones)

    @cached_property
    def _keys(self) -> frozenset[int]:
        chords = [chord for bar in self.bars for chord in bar]
        scales = [
            {(key.tonic + degree) % 12 for degree in SCALES["natural minor" if key.minor else "major"]}
            for key in ALL_KEYS
        ]
        held = [sum(len(chord & scale) for chord in chords) for scale in scales]
        return frozenset(key.index for key, count in zip(ALL_KEYS, held, strict=True) if count == max(held))

    def mask(self, context: Context) -> Array:
        """Mask notes outside the progression. Tokens without a pitch are free."""
        if not self.bars:
            return get_namespace(context.allowed).ones_like(context.allowed)
        xp, music = get_namespace(context.allowed), context.music
        first, counts, tones = (convert_like(table, music.bar) for table in self._tables)
        bar = (music.bar - xp.where(music.upbeat > 0, 1, 0)) % len(self.bars)
        length = xp.where(music.bar_ticks > 0, music.bar_ticks, 1)
        count = xp.take(counts, bar)
        chord = xp.take(first, bar) + xp.clip(music.position * count // length, 0, count - 1)
        between = music.position % xp.where(music.beat_ticks > 0, music.beat_ticks, 1) != 0
        admitted = xp.take(tones, xp.where(between, tones.shape[0] - 1, chord), axis=0)
        return restrict_keys(context, mask_classes(context, admitted) | mask_sustained(context), self._keys)
