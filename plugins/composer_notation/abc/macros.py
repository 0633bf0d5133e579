"""Macros of ABC (section 9 of the standard 2.1): abbreviations that are expanded before the music is read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from composer.music.keys import LETTERS
from composer_notation.abc.symbols import find_octave

_LONGEST_TARGET, _LONGEST, _MOST = 31, 200, 64
_NOTE = r"([A-Ga-g][,']*+)"
_RELATIVE = re.compile(r"![^!\s]{1,30}!|[h-z]")


@dataclass
class Macros:
    """Macros by target. The text of a whole tune may grow by `room` characters."""

    room: int
    texts: dict[str, str] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None

    def define(self, text: str) -> None:
        """Define a macro such as `~G3 = G{A}G{F}G`, or with `n` for any note; invalid ones are ignored."""
        target, equals, token_info = (part.strip() for part in text.partition("="))
        fits = 0 < len(target) <= _LONGEST_TARGET and len(token_info) <= _LONGEST
        if equals and fits and (target in self.texts or len(self.texts) < _MOST):
            self.texts[target] = token_info
            self.pattern = None

    def expand(self, line: str) -> str:
        """Expand all macros in a line of music, once."""
        if not self.texts or self.room <= 0:
            return line
        if self.pattern is None:
            targets = sorted(self.texts, key=len, reverse=True)
            self.pattern = re.compile("|".join(f"(?:{_make_pattern(target)})" for target in targets))
            self._targets = targets
        longer = self.pattern.sub(self._expand_match, line)
        self.room -= max(len(longer) - len(line), 0)
        return longer

    def _expand_match(self, found: re.Match[str]) -> str:
        note = found[found.lastindex] if found.lastindex else ""
        if not note:
            return self.texts[found[0]]
        begin, end = found.span(found.lastindex or 0)
        target = f"{found[0][: begin - found.start()]}n{found[0][end - found.start() :]}"
        return _RELATIVE.sub(lambda part: _transpose_note(part[0], note), self.texts[target])


def _make_pattern(target: str) -> str:
    """Make the pattern of a target; a length at its end must be complete."""
    whole = r"(?![\d/])" if target[-1] not in "|]" else ""
    before, n, after = target.partition("n")
    return re.escape(before) + (_NOTE if n else "") + re.escape(after) + whole


def _transpose_note(letter: str, note: str) -> str:
    """Return the note that a letter stands for: `n` is the note itself, `o` the next one above it."""
    if len(letter) > 1:
        return letter
    step = LETTERS.index(note[0].upper()) + 7 * find_octave(note) + ord(letter) - ord("n")
    name, octave = LETTERS[step % 7], step // 7
    return name.lower() + "'" * (octave - 1) if octave >= 1 else name + "," * -octave
