"""The tokens of Humdrum columns: notes, rests, bar lines, signatures, keys, tempos, chords, instruments.

Columns of `**mxhm` name chords as MusicXML does. The codes of instruments are listed at
https://www.humdrum.org/guide/append2/.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from composer.music.keys import SEMITONES
from composer_notation.bargrid import MODES, count_fifths
from composer_notation.kern.spines import Time
from composer_notation.musicxml.values import NAMES
from composer_notation.owntracks import CHOIR, find_program

# --- `**kern` ---------------------------------------------------------------------------------------------------------


GRID = 2**10 * 3**3 * 5**2 * 7 * 11 * 13
"""Parts of a quarter note in which time is counted; other lengths are fractions of them."""

GRACE, ORNAMENT, TREMOLO = "grace notes", "ornaments", "tremolos"
UNPITCHED, TOO_HIGH, UNTIMED = "notes without a pitch", "notes beyond the range of MIDI", "notes without a length"
UNKNOWN, TOO_LONG = "tokens that are no notes", "tokens of more than 10,000 characters"

MOST_BEATS = 64
_MOST_DOTS = 8
_LONGEST_TOKEN, _USUAL_TOKEN = 10_000, 64  # characters; usual tokens are cached, since they recur
_LENGTH = re.compile(r"(\d{1,7})(?:%(\d{1,7}))?")
_LETTERS = re.compile(r"a+|b+|c+|d+|e+|f+|g+|A+|B+|C+|D+|E+|F+|G+")
_TREMOLO = re.compile(r"@+\d*@+")
_ORNAMENTS = frozenset("TtMmWwS$O")
_TEMPO = re.compile(r"^\*MM=?(\d{1,4}(?:\.\d{1,6})?)")
_SIGNATURE = re.compile(r"^\*k\[([a-gA-G#\-nXx]{0,40})\]")
_KEY = re.compile(r"^\*([A-Ga-g])([#-]{0,2}):([a-z]{0,12})$")
_TRANSPOSED = re.compile(r"^\*Trd[+-]?\d{1,2}c([+-]?\d{1,2})$")
_MODES = {mode[:3]: mode for mode in MODES}


class Note(NamedTuple):
    """A note of a token. `begins` and `continues`: a tie begins or ends at it; no length: the token states none."""

    pitch: int
    length: Time | None
    begins: bool
    continues: bool


class Token(NamedTuple):
    """A token of notes or rests, and how long it lasts; `length` is None where it takes no time or states none."""

    notes: tuple[Note, ...]
    length: Time | None
    left_out: tuple[str, ...] = ()
    needs_length: bool = False  # it is no grace note, and states no length


class Bar(NamedTuple):
    """The repeat signs at a bar line, and whether it is double."""

    closes: bool
    opens: bool
    is_double: bool


def read_token(text: str) -> Token:
    """Read the notes or rests of one token, which stand apart by spaces."""
    if len(text) > _LONGEST_TOKEN:
        return Token((), None, (TOO_LONG,))
    return _known(text) if len(text) <= _USUAL_TOKEN else _read_token(text)


def _read_token(text: str) -> Token:
    notes: list[Note] = []
    left_out: list[str] = []
    length: Time | None = None
    latest: Time | None = None  # a note of a chord without a length of its own is as long as the one before
    needs_length = False
    for part in text.split(" "):
        if not part:
            continue
        if "q" in part or "Q" in part:
            left_out.append(GRACE)
            continue
        if "@" in part:
            part = _TREMOLO.sub("", part)
            left_out.append(TREMOLO)
        latest = read_length(part) or latest
        length = latest if length is None else length
        kind, note = _read_note(part, latest)
        left_out += kind
        notes += note
        needs_length = needs_length or (latest is None and (bool(note) or "r" in part))
    return Token(tuple(notes), length, tuple(left_out), needs_length)


_known = lru_cache(maxsize=16_384)(_read_token)


def _read_note(part: str, length: Time | None) -> tuple[list[str], list[Note]]:
    """Read what is left out of a note, and the note itself, if it sounds."""
    if "r" in part:
        return [], []
    letters = _LETTERS.search(part)
    if not letters:
        return [UNPITCHED if "R" in part else UNKNOWN], []
    name = letters[0]
    octave = 4 + len(name) if name.islower() else 5 - len(name)
    pitch = 12 * octave + SEMITONES[name[0].upper()] + part.count("#") - part.count("-")
    if not 0 <= pitch <= 127:
        return [TOO_HIGH], []
    begins, continues = "[" in part or "_" in part, "]" in part or "_" in part
    return [] if _ORNAMENTS.isdisjoint(part) else [ORNAMENT], [Note(pitch, length, begins, continues)]


@lru_cache(maxsize=4096)
def read_length(text: str) -> Time | None:
    """Read the first length in a token: `4`, `8.`, `12`, `0` (a breve), `3%2` (two thirds of a whole note)."""
    found = _LENGTH.search(text)
    if not found:
        return None
    digits, divisor, dots = found[1], found[2], min(text.count("."), _MOST_DOTS)  # some put dots before
    if digits.strip("0"):
        length = Fraction(4 * GRID * int(divisor or 1), int(digits))
    elif divisor or len(digits) > 5:
        return None
    else:
        length = Fraction(4 * GRID * 2 ** len(digits))
    length = length * (2 ** (dots + 1) - 1) / 2**dots
    if not length:
        return None
    return length.numerator if length.denominator == 1 else length


def read_bar(text: str) -> Bar:
    """Read the repeat signs of a bar line: those before its strokes close, those after them open."""
    signs, is_double = text.lstrip("="), text.startswith("==") or "||" in text
    strokes = [index for index, sign in enumerate(signs) if sign in "|!"]
    dots = [index for index, sign in enumerate(signs) if sign == ":"]
    if not dots:
        return Bar(False, False, is_double)
    if not strokes:
        return Bar(True, len(dots) > 1, is_double)
    return Bar(dots[0] < strokes[-1], dots[-1] > strokes[0], is_double)


def read_time_signature(text: str) -> tuple[int, int] | None:
    """Read `*M3/4`, `*M2+3/8`, `*M3/8+2/4` or `*M4/0` (breves) as a time signature; None for one that gives no bars."""
    beats, whole, smallest = 0, Fraction(0), Fraction(1)
    for part in text[2:].split("+")[:MOST_BEATS]:
        top, slash, bottom = part.partition("/")
        unit = _read_unit(bottom)
        if not _is_number(top) or (slash and unit is None):
            return None
        beats += int(top)
        if slash and unit is not None:
            whole, beats, smallest = whole + beats * unit, 0, min(smallest, unit)
    lowest = max(smallest.denominator, 1)
    for denominator in (1, 2, 4, 8, 16, 32, 64):
        numerator = whole * denominator
        if denominator >= lowest and numerator.denominator == 1 and 1 <= numerator <= MOST_BEATS:
            return None if beats else (int(numerator), denominator)
    return None


def _read_unit(text: str) -> Fraction | None:
    """Read a note value in whole notes: `4`, `3%2`, or `0` for a breve; None for none."""
    value, _, divisor = text.partition("%")
    if not _is_number(value) or not _is_number(divisor or "1") or not int(divisor or "1"):
        return None
    return Fraction(int(divisor or "1"), int(value)) if int(value) else Fraction(2 ** len(value))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 3


def read_tempo(text: str) -> float | None:
    """Read `*MM96.3` as quarter notes a minute; None for words such as `*MM[Allegro]`."""
    found = _TEMPO.match(text)
    return float(found[1]) if found else None


def read_signature(text: str) -> int | None:
    """Read `*k[f#c#]` as sharps (positive) or flats (negative); None if it is no key signature."""
    found = _SIGNATURE.match(text)
    return found[1].count("#") - found[1].count("-") if found else None


def read_key(text: str) -> tuple[int, str] | None:
    """Read `*G:`, `*b-:` or `*D:dor` as sharps or flats and its mode; None if it names no key."""
    found = _KEY.match(text)
    if not found or found[3][:3] not in ("", *_MODES):
        return None
    major = count_fifths(found[1].upper(), found[2].count("#") - found[2].count("-"))
    usual = "major" if found[1].isupper() else "minor"
    mode = _MODES.get(found[3][:3], usual)
    return major + MODES[mode], mode


def read_transposition(text: str) -> int | None:
    """Read the semitones that notes stand above where they sound (`*Trd1c2`: two); None if it states none."""
    found = _TRANSPOSED.match(text)
    return int(found[1]) if found else None


# --- chord symbols as text, such as `Am7b5` ---------------------------------------------------------------------------


_CHORD = re.compile(r"^([A-G])([#-]{0,2}) ([a-z0-9-]{1,24})(?:/([A-G])([#-]{0,2}))?$")


def convert_chord(text: str) -> str:
    """Convert `B- minor-seventh/D` to `Bbm7/D`; "" if it names no chord."""
    found = _CHORD.match(text)
    if not found or found[3] not in NAMES:
        return "N.C." if text == "none" else ""
    bass = f"/{found[4]}{_convert_flats(found[5])}" if found[4] else ""
    return f"{found[1]}{_convert_flats(found[2])}{NAMES[found[3]]}{bass}"


def _convert_flats(sign: str) -> str:
    return sign.replace("-", "b")


# --- players by instrument code ---------------------------------------------------------------------------------------


_CODES = {
    "soprn": "Soprano", "cant": "Soprano", "mezzo": "Mezzo-Soprano", "calto": "Alto", "alto": "Alto", "tenor": "Tenor",
    "ctenor": "Countertenor", "barit": "Baritone", "bass": "Bass", "vox": "Voice", "feme": "Female Voice",
    "male": "Male Voice", "nfant": "Child's Voice", "recit": "Recitative", "lyrsp": "Lyric Soprano",
    "drmsp": "Dramatic Soprano", "colsp": "Coloratura Soprano", "heltn": "Heldentenor", "lyrtn": "Lyric Tenor",
    "bspro": "Basso Profondo", "bscan": "Basso Cantante", "false": "Falsetto", "castr": "Castrato",
}  # fmt: skip
_PLAYED = {
    "piano": ("Piano", 0), "forte": ("Fortepiano", 0), "rhode": ("Electric Piano", 4), "cemba": ("Harpsichord", 6),
    "clavi": ("Clavichord", 7), "clest": ("Celesta", 8), "glock": ("Glockenspiel", 9), "vibra": ("Vibraphone", 11),
    "marim": ("Marimba", 12), "xylo": ("Xylophone", 13), "campn": ("Church Bells", 14), "caril": ("Church Bells", 14),
    "chime": ("Tubular Bells", 14), "dulc": ("Dulcimer", 15), "psalt": ("Psaltery", 15), "zithr": ("Zither", 15),
    "hammd": ("Electric Organ", 16), "organ": ("Pipe Organ", 19), "porta": ("Portative Organ", 19),
    "reedo": ("Reed Organ", 20), "accor": ("Accordion", 21), "armon": ("Harmonica", 22), "ctina": ("Concertina", 23),
    "guitr": ("Guitar", 24), "liuto": ("Lute", 24), "archl": ("Archlute", 24), "tiorb": ("Theorbo", 24),
    "cetra": ("Cittern", 24), "quitr": ("Gittern", 24), "ukule": ("Ukulele", 24), "mando": ("Mandolin", 25),
    "eguit": ("Electric Guitar", 26), "bguit": ("Electric Bass", 33), "violn": ("Violin", 40), "violp": ("Violin", 40),
    "kit": ("Kit", 40), "rebec": ("Rebec", 40), "viola": ("Viola", 41), "viold": ("Viola d'Amore", 41),
    "viols": ("Treble Viol", 41), "violt": ("Tenor Viol", 42), "violb": ("Bass Viol", 42), "cello": ("Violoncello", 42),
    "cbass": ("Contrabass", 43), "arpa": ("Harp", 46), "timpa": ("Timpani", 47), "tromp": ("Trumpet", 56),
    "cornt": ("Cornet", 56), "corno": ("Cornett", 56), "flugh": ("Flugelhorn", 56), "tromt": ("Trombone", 57),
    "tromb": ("Bass Trombone", 57), "tuba": ("Tuba", 58), "cor": ("Horn", 60), "saxN": ("Sopranino Saxophone", 64),
    "saxS": ("Soprano Saxophone", 64), "saxA": ("Alto Saxophone", 65), "saxT": ("Tenor Saxophone", 66),
    "saxR": ("Baritone Saxophone", 67), "saxB": ("Bass Saxophone", 67), "saxC": ("Contrabass Saxophone", 67),
    "oboe": ("Oboe", 68), "oboeD": ("Oboe d'Amore", 68), "chlms": ("Shawm", 68), "chlma": ("Shawm", 68),
    "chlmt": ("Shawm", 68), "cangl": ("English Horn", 69), "fagot": ("Bassoon", 70), "fag_c": ("Contrabassoon", 70),
    "krums": ("Crumhorn", 70), "kruma": ("Crumhorn", 70), "krumt": ("Crumhorn", 70), "krumb": ("Crumhorn", 70),
    "rackt": ("Racket", 70), "sarus": ("Sarrusophone", 70), "clars": ("Clarinet", 71), "clarp": ("Clarinet", 71),
    "clara": ("Alto Clarinet", 71), "clarb": ("Bass Clarinet", 71), "baset": ("Basset Horn", 71),
    "calam": ("Chalumeau", 71), "picco": ("Piccolo", 72), "fife": ("Fife", 72), "flt": ("Flute", 73),
    "flt_a": ("Alto Flute", 73), "flt_b": ("Bass Flute", 73), "fltds": ("Recorder", 74), "fltdn": ("Recorder", 74),
    "fltda": ("Recorder", 74), "fltdt": ("Recorder", 74), "fltdb": ("Recorder", 74), "panpi": ("Pan Flute", 75),
    "shaku": ("Shakuhachi", 77), "ocari": ("Ocarina", 79), "synth": ("Synthesizer", 81), "sitar": ("Sitar", 104),
    "banjo": ("Banjo", 105), "shami": ("Shamisen", 106), "koto": ("Koto", 107), "bagpS": ("Bagpipes", 109),
    "bagpI": ("Bagpipes", 109), "steel": ("Steel Drum", 114),
}  # fmt: skip
_FAMILIES = {"vox": CHOIR, "str": 48, "bras": 61}


def find_player(name: str, code: str, family: str) -> tuple[str, int]:
    """Find the name and the General MIDI program of a column: by its code, else by its name, else by its family."""
    sung = _CODES.get(code)
    usual, program = (sung, CHOIR) if sung else _PLAYED.get(code, ("", None))
    if program is None:
        by_name = find_program(name)
        program = _FAMILIES.get(family, 0) if by_name is None else by_name
    return name or usual, program
