"""The request for a form: the names of its sections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from composer.errors import BadOption, printable
from composer.generation.infilling import LOOK_AHEAD, Fill
from composer.music.score import Score
from composer.request import Request

BARS = 8
"""Bars of each section by default."""

MOST_SECTIONS = 64

MOST_FORM_BARS = 4096
"""Bars of all sections together, at most."""

PARTICLES = 32
"""Particles of each new section by default."""

_FORM = re.compile(r"\s*(?:[A-Za-z]'*\s*)+")
_SECTION = re.compile(r"[A-Z]'*")
_PRIMES = str.maketrans("’′", "''")


@dataclass(frozen=True)
class Form:
    """The request for one piece in sections. With the model, it determines the piece.

    `request` is that of the first section, its `bars` are those of each. Raises BadOption for an invalid form.
    """

    request: Request
    sections: tuple[str, ...]  # "A", "A", "B", "A'"
    particles: int = PARTICLES
    look_ahead: int = LOOK_AHEAD  # bars after a new section that guide it
    attempts: tuple[tuple[str, int], ...] = ()  # of sections after the first, if not 0
    titles: tuple[str, ...] = ()  # of the sections as they were typed, such as "Verse"; none for letters
    contrasts: bool = False  # retry sections that hardly differ, without figures of the music before

    def __post_init__(self) -> None:
        """Check every value by itself, and the request for values that no form allows."""
        if parse_form("".join(self.sections)) != self.sections:
            raise BadOption(f"'{printable(' '.join(self.sections))}' are no sections such as A, B and A'.")
        if self.titles and len(self.titles) != len(self.sections):
            raise BadOption(f"{len(self.sections)} sections have {len(self.titles)} titles.")
        if self.request.primer:
            raise BadOption("a piece in sections begins with its first one, not with a primer; leave one of them out.")
        count, each = len(self.sections), self.request.bars
        if each is None:
            raise BadOption("a form needs the number of bars of a section.")
        if count * each > MOST_FORM_BARS:
            raise BadOption(
                f"{count} sections of {each} bars are {count * each} bars; a form has {MOST_FORM_BARS} at most."
            )
        if each < 2 and (varied := [name for name in self.sections if "'" in name]):
            raise BadOption(f"{varied[0]} keeps the first half of {varied[0][0]}; ask for sections of 2 bars or more.")
        Fill(self.request, Score(), (), self.particles, self.look_ahead)  # checks these two
        if self.look_ahead is None:
            raise BadOption("'look_ahead' is None, and must be 0 bars or more.")

    @property
    def bars(self) -> int:
        """Bars of each section."""
        return self.request.bars or BARS

    def get_attempt(self, name: str) -> int:
        """Return the attempt at which a section begins."""
        return dict(self.attempts).get(name, 0)

    @staticmethod
    def parse(request: Request, text: str, *, contrasts: bool = True) -> Form:
        """Parse a form (see `parse_form`), of `BARS` bars a section unless the request has a number."""
        asked = request if request.bars is not None else replace(request, bars=BARS)
        if not (words := split_names(text)):
            return Form(asked, parse_form(text), contrasts=contrasts)
        letters, titles = letter_names(words)
        return Form(asked, parse_form(letters), titles=titles, contrasts=contrasts)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as in the provenance of a file: `request` and `form`."""
        form = {"sections": " ".join(self.sections), "particles": self.particles, "look_ahead": self.look_ahead}
        attempts = {"attempts": dict(self.attempts)} if self.attempts else {}
        titles = {"titles": list(self.titles)} if self.titles else {}
        contrasts = {"contrasts": True} if self.contrasts else {}
        return {"request": self.request.to_json(), "form": {**form, **attempts, **titles, **contrasts}}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Form:
        """Make a form from the result of `to_json`. Raises BadOption for anything else."""
        try:
            request, form = Request.from_json(values["request"]), values["form"]
            attempts = tuple((str(name), int(count)) for name, count in form.get("attempts", {}).items())
            titles = tuple(str(title) for title in form.get("titles", ()))
            sections = parse_form(form["sections"])
            contrasts = form.get("contrasts", False) is True
            return Form(request, sections, form["particles"], form["look_ahead"], attempts, titles, contrasts)
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise BadOption(f"invalid form: {printable(str(error))}.") from None


def split_names(text: str) -> list[str]:
    """Split `verse chorus verse 2` into names of sections; [] for a form in letters.

    A name is a word of three letters or more, with a vowel, and a letter that forms do not reach. Between names there
    are spaces, commas, `|`, `+` or `-`; a number belongs to the name before.
    """
    plain = re.sub(r"(?i)\bpre[- ]chorus", "prechorus", text.translate(_PRIMES))
    words = re.findall(r"[^\s,|+-]+", plain)
    if not any(_is_name(word) for word in words):
        return []
    found: list[str] = []
    for word in words:
        if word.isdecimal() and found:
            found[-1] += f" {word}"
        elif _FORM.fullmatch(word) and not _is_name(word):
            found += _SECTION.findall(word.upper())
        else:
            found.append(word)
    return found


def _is_name(word: str) -> bool:
    plain = word.rstrip("'0123456789").upper()
    return plain == "HEAD" or (
        len(plain) > 2 and plain.isalpha() and any(c in "AEIOU" for c in plain) and max(plain) > "H"
    )


def letter_names(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Give names of sections their letters, in order: the same name is the same music, whatever its number.

    Returns the letters, and a title for each section. Raises BadOption for more names than letters.
    """
    letters: dict[str, str] = {}
    found = []
    for word in words:
        name = word.rstrip("' 0123456789").lower()
        if not name.isalpha():
            raise BadOption(f"'{printable(word)}' is no section such as verse, chorus or A'.")
        letters.setdefault(name, chr(ord("A") + min(len(letters), 25)))
        found.append(letters[name] + "'" * word.count("'"))
    if len(letters) > 26:
        raise BadOption(f"a form has 26 different sections at most, and here are {len(letters)}.")
    titles = tuple(f"{word[:1].upper()}{word[1:]}".replace("Prechorus", "Pre-chorus") for word in words)
    return " ".join(found), titles


def parse_form(text: str) -> tuple[str, ...]:
    """Parse the sections of `AABA'`: letters with any number of primes; spaces are ignored. Raises BadOption.

    Lower case letters become capitals, and the typographic primes ’ and ′ become '.
    """
    plain = text.translate(_PRIMES)
    if not plain.strip():
        raise BadOption("a form has a section at least, such as AABA.")
    if not _FORM.fullmatch(plain):
        raise BadOption(
            f"'{printable(text)}' is no form such as AABA or A B A': letters alone, with ' for a variation."
        )
    sections = tuple(_SECTION.findall(plain.upper()))
    if len(sections) > MOST_SECTIONS:
        raise BadOption(f"a form has {MOST_SECTIONS} sections at most, and here are {len(sections)}.")
    for place, name in enumerate(sections):
        if name[0] not in sections[:place] and name != name[0]:
            raise BadOption(f"in '{printable(text)}', {name} comes before the {name[0]} that it varies.")
    return sections
