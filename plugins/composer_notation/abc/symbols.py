"""Symbols of an ABC tune: notes, rests, bar lines, modifiers, decorations and text strings.

No repetition in the patterns backtracks, so that any line is scanned in linear time. Section numbers are those of the
ABC standard 2.1. Velocities of dynamics are those of section 4.14.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from composer.errors import printable
from composer.music.chords import find_chord

# --- symbols ----------------------------------------------------------------------------------------------------------


_ACCIDENTAL = r"(?:[_^]\d?/\d?|[_^=]{0,2}+)"  # the first are quarter tones
_PITCH = rf"{_ACCIDENTAL}[A-Ga-g][,']*+"
_LENGTH = r"\d*+/*+\d*+"
_NUMBERS = r"[1-9]\d?(?:[,-][1-9]\d?)*+"
_SYMBOL = re.compile(
    rf"""(?P<note>(?:{_PITCH}|[xz]){_LENGTH})
      |(?P<skipped>[\s`\\$]++|y{_LENGTH}|\.(?=[|(-])|\((?!\d)|\)|=(?:20)?\ *$)
      |(?P<ending>(?<=[|:\]]){_NUMBERS}|\[{_NUMBERS})
      |(?P<bar>(?:[|:\]]|\[(?=[|\]]))++)
      |(?P<text>"[^"\n]*+")
      |(?P<field>\[[A-Za-z]:[^\]\n]*+\])
      |(?P<chord>\[(?:"[^"\n]*+"|![^!\n]*+!|[^][|"!\n])*+\]{_LENGTH})
      |(?P<named>\["[^"\n]*+")
      |(?P<oldchord>\+(?:{_PITCH}{_LENGTH})++\+{_LENGTH})
      |(?P<tuplet>\(\d{{1,2}}(?::\d{{0,2}}(?::\d{{0,2}})?)?)
      |(?P<tie>-)
      |(?P<broken><{{1,3}}|>{{1,3}})
      |(?P<grace>\{{[^}}\n]*+\}})
      |(?P<decoration>![^!|\s]{{1,30}}!|!(?:D\.[CS]\.|Da\ |Dal\ |To\ )[A-Za-z.\ ]{{0,24}}!|\+[A-Za-z().]{{2,20}}\+)
      |(?P<letter>[.~H-Wh-w])
      |(?P<rests>[ZX]\d*+)
      |(?P<overlay>&++)
      |(?P<reserved>[#*;?@])
      |(?P<linebreak>!)
    """,
    re.VERBOSE | re.MULTILINE,
)
_NOTE = re.compile(
    rf"(?P<accidental>{_ACCIDENTAL})(?P<letter>[A-Ga-gxz])(?P<octaves>[,']*+)(?P<length>{_LENGTH})(?P<tie>-?)"
)
_IN_CHORD = re.compile(
    rf"""(?P<note>(?:{_PITCH}|[xz]){_LENGTH}-?)|(?P<text>"[^"]*+")|(?P<decoration>![^!]*+!)|(?P<letter>[.~H-Wh-w])
      |(?P<skipped>[-\s`()#*;?@]|\{{[^}}]*+\}})
    """,
    re.VERBOSE,
)
_LENGTHS = re.compile(r"(\d*)(/*)(\d*)")
_BESIDE_NOTES = re.compile(r'["!.~H-Wh-w]')
_FINEST = 512  # parts of a unit length

DEFAULT_LETTERS: Mapping[str, str] = {
    ".": "!.!", "~": "!roll!", "H": "!fermata!", "L": "!accent!", "M": "!lowermordent!", "O": "!coda!",
    "P": "!uppermordent!", "S": "!segno!", "T": "!trill!", "u": "!upbow!", "v": "!downbow!",
}  # fmt: skip
"""Default meanings of letters, which `U:` fields change (4.16)."""

_AS_WRITTEN = frozenset({"note", "ending", "bar", "tuplet", "tie", "broken", "grace", "rests", "overlay"})

MOST_SYMBOLS = 200_000


@dataclass(frozen=True)
class Symbol:
    """A piece of music text.

    Its kind: `note`, `chord`, `rests` (whole bars), `tuplet`, `tie`, `broken`, `bar`, `ending`, `overlay`, `field`
    (as in `K:C`), `text` (a chord symbol or a remark, without its quotes), `decoration` (its name), `grace`, `line`
    (the end of a line), `unknown` (without a meaning, and left out).
    """

    kind: str
    text: str


class Head(NamedTuple):
    """A note as written: accidental, letter (`z`, `x` for a rest), octave marks, and its length in units."""

    accidental: str
    letter: str
    octaves: str
    length: Fraction
    is_tied: bool = False


def scan_symbols(music: str, defined: Mapping[str, str] = DEFAULT_LETTERS) -> Iterator[Symbol]:
    """Scan music text for its symbols, in order. ValueError at an unexpected character.

    `defined` maps letters such as `T` to the decoration or text that they stand for.
    """
    position = 0
    while position < len(music):
        found = _SYMBOL.match(music, position)
        if not found or _is_word(found, defined):
            raise ValueError(_describe_misfit(music, position))
        position = found.end()
        kind, text = str(found.lastgroup), found[0]
        if kind in _AS_WRITTEN:
            yield Symbol(kind, text)
        elif kind in ("text", "decoration", "field"):
            yield Symbol(kind, text[1:-1])
        else:
            yield from _convert(kind, text, defined)


def _is_word(found: re.Match[str], defined: Mapping[str, str]) -> bool:
    """Tell whether two undefined letters follow each other: that is prose, not music."""
    if found.lastgroup != "letter" or found[0] in defined:
        return False
    following = found.string[found.end() : found.end() + 1]
    return "h" <= following <= "w" and following not in defined


def _convert(kind: str, text: str, defined: Mapping[str, str]) -> Iterator[Symbol]:
    match kind:
        case "skipped" if "\n" in text:
            yield Symbol("line", "")
        case "letter":
            yield _make_symbol(defined.get(text, ""))
        case "chord":
            yield from _scan_chord(text, defined)
            yield Symbol("chord", text)
        case "named":
            yield Symbol("ending", text)
        case "oldchord":
            yield Symbol("chord", f"[{text[1:].replace('+', ']')}")
        case "reserved":
            yield Symbol("unknown", text)


def _make_symbol(text: str) -> Symbol:
    """Make the symbol that a letter stands for."""
    if text[:1] == text[-1:] == "!" and len(text) > 2:
        return Symbol("decoration", text[1:-1])
    if text[:1] == text[-1:] == '"' and len(text) > 2:
        return Symbol("text", text[1:-1])
    return Symbol("unknown", text)


def _describe_misfit(music: str, position: int) -> str:
    shown = printable(music[position : position + 8].strip())
    if music[position] == "[":
        return f"has a chord that is never closed, '{shown}'"
    if music[position] == '"':
        return f"has a text without its closing quotation mark, '{shown}'"
    return f"has '{shown}' where a note was expected"


def _scan_chord(text: str, defined: Mapping[str, str]) -> Iterator[Symbol]:
    """Yield the texts and decorations inside a chord, which belong to the whole of it."""
    if not _BESIDE_NOTES.search(text):
        return
    for part in _IN_CHORD.finditer(text, 1):
        if part.lastgroup in ("text", "decoration"):
            yield Symbol(part.lastgroup, part[0][1:-1])
        elif part.lastgroup == "letter":
            yield _make_symbol(defined.get(part[0], ""))


@lru_cache(maxsize=4096)  # a book repeats the same few
def parse_heads(symbol: Symbol) -> tuple[Head, ...]:
    """Parse the note of a `note`, or the notes of a `chord`, whose own length multiplies theirs."""
    if symbol.kind == "note":
        return (_parse_head(symbol.text, Fraction(1)),)
    inside, _, after = symbol.text[1:].rpartition("]")
    factor, found, position = _parse_length(after), [], 0
    while position < len(inside):
        part = _IN_CHORD.match(inside, position)
        if not part:
            raise ValueError(_describe_misfit(inside, position))
        if part.lastgroup == "note":
            found.append(_parse_head(part[0], factor))
        position = part.end()
    if not found:
        raise ValueError(f"has '{printable(symbol.text, 20)}' where a chord was expected")
    return tuple(found)


def find_octave(note: str) -> int:
    """Return the octave of a letter with its marks: 0 for `C`, 1 for `c` and `C'`."""
    return note[0].islower() + note.count("'") - note.count(",")


def count_grace_notes(symbol: Symbol) -> int:
    """Count the notes in a `grace`."""
    return sum(letter in "ABCDEFGabcdefg" for letter in symbol.text)


def count_rest_bars(symbol: Symbol) -> int:
    """Count the bars of a `rests` symbol. ValueError for more than six digits."""
    digits = symbol.text[1:]
    if len(digits) > 6:
        raise ValueError(f"has a rest of '{printable(digits, 20)}' bars")
    return int(digits or 1)


def _parse_head(text: str, factor: Fraction) -> Head:
    found = _NOTE.fullmatch(text)
    if not found:
        raise ValueError(f"has '{printable(text, 20)}' where a note was expected")
    accidental, letter, octaves, length, tie = found.groups()
    return Head(accidental, letter, octaves, factor * _parse_length(length), bool(tie))


def _parse_length(text: str) -> Fraction:
    """Parse a length such as `3/2`, `/`, `//` or `/4`. ValueError for zero, and for lengths too long or fine."""
    found = _LENGTHS.fullmatch(text)
    over, slashes, under = found.groups() if found else ("", "", "")
    if max(len(over), len(slashes), len(under)) <= 6:
        top, bottom = int(over or 1), int(under) if under else 2 ** len(slashes)
        if top and 0 < bottom <= _FINEST:
            return Fraction(top, bottom)
    raise ValueError(f"has an invalid length '{printable(text, 20)}'")


# --- decorations and chord symbols ------------------------------------------------------------------------------------


VELOCITIES = {
    "pppp": 30, "ppp": 30, "pp": 45, "p": 60, "mp": 75, "mf": 90, "f": 105, "ff": 120, "fff": 127, "ffff": 127,
}  # fmt: skip

_NOT_PLAYED = {
    "ornaments": (
        "trill", "trill(", "trill)", "mordent", "lowermordent", "uppermordent", "pralltriller", "roll", "turn", "turnx",
        "invertedturn", "invertedturnx", "arpeggio", "slide", "tremolo", "/", "//", "///",
    ),
    "accents, staccato dots and fermatas": (
        ".", ">", "^", "accent", "emphasis", "marcato", "tenuto", "wedge", "staccato", "fermata", "invertedfermata",
        "sf", "sfz", "fz", "fp", "rf", "rfz", "snap", "breath",
    ),
    "crescendos and diminuendos": (
        "crescendo(", "crescendo)", "<(", "<)", "diminuendo(", "diminuendo)", ">(", ">)", "cresc", "dim", "decresc",
    ),
    "octave marks": ("8va(", "8va)", "8vb(", "8vb)", "15ma(", "15ma)", "15mb(", "15mb)"),
    "": (  # inaudible
        "0", "1", "2", "3", "4", "5", "+", "plus", "upbow", "downbow", "open", "thumb", "shortphrase", "mediumphrase",
        "longphrase", "nil", "none", "editorial", "courtesy", "xstem", "beamon", "beambr1", "beambr2",
    ),
}  # fmt: skip
_LEFT_OUT_AS = {name: kind for kind, names in _NOT_PLAYED.items() for name in names}

_SIGNS = {
    **dict.fromkeys(("dc", "dacapo", "dcalfine", "dacapoalfine", "dcalcoda", "dacapoalcoda"), "da capo"),
    **dict.fromkeys(("ds", "dalsegno", "dsalfine", "dalsegnoalfine", "dsalcoda", "dalsegnoalcoda"), "dal segno"),
    "fine": "fine",
    "segno": "segno",
    "coda": "coda",
    **dict.fromkeys(("tocoda", "dacoda"), "to coda"),
}
_NOT_A_LETTER = re.compile(r"[^a-z]++")
_LONGEST_SIGN = 32

_CHORD = re.compile(
    r"[A-G][#b]?+"
    r"(?:maj|min|ma|mi|dim|aug|sus|add|alt|omit|no|[mM+Δ°øo#b-]|1?\d|\((?:maj|[#b]|add|no|omit|sus)?+\d{0,2}+\))*+"
    r"(?:/[A-Ga-g][#b]?)?"
)
_ALTERNATE = re.compile(r"\([A-G][^)]*\)")
_UNICODE = str.maketrans({"♭": "b", "♯": "#", "♮": None})


def find_sign(symbol: Symbol) -> str:
    """Return the sign to jump by that a decoration or a text is: `fine`, `segno`, `da capo` …; "" for none."""
    if symbol.kind not in ("decoration", "text") or len(symbol.text) > _LONGEST_SIGN:
        return ""
    return _SIGNS.get(_NOT_A_LETTER.sub("", symbol.text.lower()), "")


def parse_chord(text: str) -> str:
    """Parse the chord symbol at the start of a quoted text, without alternatives in brackets; "" for none."""
    first = re.split(r"[;\n]|\\n", text.strip(), maxsplit=1)[0].translate(_UNICODE)
    plain = _ALTERNATE.sub("", first).strip()
    return plain if find_chord(plain) or _CHORD.fullmatch(plain) else ""


def is_remark(text: str) -> bool:
    """Tell whether a quoted text is marked as no chord symbol (4.19)."""
    return text[:1] in ("^", "_", "<", ">", "@")


def name_omission(name: str) -> str:
    """Name the kind of a decoration that is not played; "" for one that is inaudible."""
    return _LEFT_OUT_AS.get(name, "unknown decorations")


# --- accents, entities and numbers in text (8.2) ----------------------------------------------------------------------


_COMBINING = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308", "c": "\u0327", "u": "\u0306",
              "v": "\u030c", "H": "\u030b"}  # fmt: skip
_WHOLE = {"AA": "Å", "aa": "å", "/O": "Ø", "/o": "ø", "ss": "ß", "AE": "Æ", "ae": "æ", "OE": "Œ", "oe": "œ",
          "DH": "Ð", "dh": "ð", "TH": "Þ", "th": "þ"}  # fmt: skip
_CODE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([\\%&])|(..))|(&(?:[A-Za-z]{2,8}|#\d{1,7});)")


def decode_text(text: str) -> str:
    """Decode mnemonics, entities and numbers, and put the text on one line."""
    if "&" in text or "\\" in text:
        text = _CODE.sub(_decode_match, text)
    return " ".join(text.split())


def _decode_match(found: re.Match[str]) -> str:
    number, long, sign, accented, entity = found.groups()
    if sign:
        return sign
    if entity:
        return html.unescape(entity)
    if number or long:
        code = int(number or long, 16)
        return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else ""
    if accented in _WHOLE:
        return _WHOLE[accented]
    if accented and accented[0] in _COMBINING:
        joined = unicodedata.normalize("NFC", accented[1] + _COMBINING[accented[0]])
        return joined if len(joined) == 1 else accented[1]
    return found[0]
