"""Chords by name: one vocabulary for chord symbols on paper, in files and on the command line.

A name is a root, a quality and a bass: `Bbm7b5/E`. Every spelling of a quality has one usual form: `C-7`, `Cmin7` and
`Cmi7` are all `Cm7`. A usual quality is a base (see `BASES`) and degrees that change it: `7b9#11` is the base `7` with
the degrees `b9` and `#11`. There are few of both, so that a model can learn chords as root, base, degrees and bass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from composer.errors import printable
from composer.music.keys import ALL_KEYS, SEMITONES, Key, parse_key

NO_CHORD = "N.C."
"""The symbol for silence in the accompaniment."""

BASES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "5": (0, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "69": (0, 2, 4, 7, 9),
    "m69": (0, 2, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "mM7": (0, 3, 7, 11),
    "dim7": (0, 3, 6, 9),
    "m7b5": (0, 3, 6, 10),
    "aug7": (0, 4, 8, 10),
    "9": (0, 2, 4, 7, 10),
    "maj9": (0, 2, 4, 7, 11),
    "m9": (0, 2, 3, 7, 10),
    "mM9": (0, 2, 3, 7, 11),
    "11": (0, 2, 4, 5, 7, 10),
    "maj11": (0, 2, 4, 5, 7, 11),
    "m11": (0, 2, 3, 5, 7, 10),
    "13": (0, 2, 4, 7, 9, 10),
    "maj13": (0, 2, 4, 7, 9, 11),
    "m13": (0, 2, 3, 7, 9, 10),
}
"""Semitones above the root, by the base of a quality."""

_WITH_DEGREE = {
    ("", "sus4"): "sus4",
    ("", "sus2"): "sus2",
    ("", "#5"): "aug",
    ("m", "b5"): "dim",
    ("7", "#5"): "aug7",
    ("m7", "b5"): "m7b5",
    ("6", "add9"): "69",
    ("m6", "add9"): "m69",
}
"""The base that a base and a degree are together."""

_SHORT = {
    "2": ("", "add9"), "m2": ("m", "add9"), "4": ("sus4",), "m4": ("m", "add11"),
    "mmaj": ("mM7",), "mmaj7": ("mM7",), "mmaj9": ("mM9",), "maj": ("",), "maj6": ("6",), "maj69": ("69",),
    "ø": ("m7b5",), "ø7": ("m7b5",), "ø9": ("m9", "b5"), "ø11": ("m11", "b5"),
    "augmaj7": ("maj7", "#5"), "augmaj9": ("maj9", "#5"), "aug9": ("9", "#5"),
}  # fmt: skip
"""Other names of bases: a base, and the degrees that change it."""

# --- names ------------------------------------------------------------------------------------------------------------


_LETTER = r"[A-G](?:##|bb|#|b)?"
_NAME = re.compile(rf"({_LETTER})(.*?)(?:/([A-Ga-g](?:##|bb|#|b)?))?", re.DOTALL)
_NO_CHORD = re.compile(r"n\.?c\.?", re.IGNORECASE)
_ROUGH = re.compile(r"[A-G][#b]?(?:m(?!aj)|-)?")
_SIGNS = str.maketrans(
    {"♯": "#", "♭": "b", "♮": None, "𝄪": "##", "𝄫": "bb", "△": "Δ", "∆": "Δ", "º": "°", "Ø": "ø", "−": "-", "–": "-"}
)
_WORDS = re.compile(r"major|maj|minor|min|dim|aug|sus|add|alt|omit|ma(?=\d)|mi(?=\d)", re.IGNORECASE)
_ALONE = re.compile(r"Δ(?!\d)")
_QUALITY = re.compile(
    r"(?P<triad>ø|dim|[o°]|aug|\+|minor|min|mi|m(?!a(?!dd|lt))|-|)"
    r"(?P<major>major|maj|ma|[MΔ]|)"
    r"(?P<number>6/?9|1[13]|[24-79]|)(?P<late>M|maj|)"
    r"(?P<degrees>(?:sus[24]?|add[#b]?\d{1,2}|(?:no|omit)[35]|alt|[#b+-]\d{1,2}|\+)*)"
)
_DEGREE = re.compile(r"sus[24]?|add[#b]?\d{1,2}|(?:no|omit)[35]|alt|[#b+-]\d{1,2}|\+")
_TRIADS = {"o": "dim", "°": "dim", "+": "aug", "minor": "m", "min": "m", "mi": "m", "-": "m"}
_OCTAVES = {"2": "9", "4": "11", "6": "13"}
_ALTERED = ("b5", "#5", "b9", "#9")
_ORDER = ("sus2", "sus4", "b5", "#5", "b9", "#9", "#11", "b13")


@dataclass(frozen=True, order=True)
class Chord:
    """A chord by name: the root and the bass are letters with `#` or `b`, "" for none; the quality is the usual form.

    `N.C.` has no root. Make one of any spelling by `parse_chord`.
    """

    root: str
    quality: str = ""
    bass: str = ""  # "" where it is the root

    def __str__(self) -> str:
        if not self.root:
            return NO_CHORD
        quality = f"({self.quality})" if self.quality[:1] in ("#", "b") else self.quality
        return f"{self.root}{quality}{'/' if self.bass else ''}{self.bass}"

    @property
    def base(self) -> str:
        """The base of the quality, one of `BASES`."""
        return _split_quality(self.quality)[0]

    @property
    def degrees(self) -> tuple[str, ...]:
        """The degrees that change the base, such as `b9`, `add9`, `sus4` and `no3`."""
        return _split_quality(self.quality)[1]

    @property
    def tones(self) -> frozenset[int]:
        """Pitch classes, with that of the bass; none for `N.C.`."""
        if not self.root:
            return frozenset()
        root = find_class(self.root)
        above = {(root + each) % 12 for each in compute_intervals(self.base, self.degrees)}
        return frozenset(above | ({find_class(self.bass)} if self.bass else set()))

    @property
    def lowest(self) -> int | None:
        """The pitch class of the bass, or of the root; None for `N.C.`."""
        return find_class(self.bass or self.root) if self.root else None


def find_class(name: str) -> int:
    """Return the pitch class of a letter with any accidentals: 10 for `Bb`."""
    return (SEMITONES[name[0]] + name.count("#") - name.count("b")) % 12


def write_plain_signs(text: str) -> str:
    """Write `#` and `b` for the signs ♯ and ♭, and letters for the like."""
    return text.translate(_SIGNS)


def parse_chord(text: str) -> Chord:
    """Parse a chord in any usual spelling: `Am7b5`, `D♭maj7`, `C6/9`, `G7(b9,#11)`, `D/F#`. Raises ValueError."""
    found = find_chord(text)
    if found is None:
        german = " (the note H is B in English)" if text.startswith("H") else ""
        raise ValueError(f"'{printable(text)}' is not a chord such as C, Dm7, G7, Bdim or D/F#{german}")
    return found


@lru_cache(maxsize=4096)
def find_chord(text: str) -> Chord | None:
    """Find the chord that a text names in any usual spelling; None for a text that names none."""
    plain = write_plain_signs(text).strip()
    if _NO_CHORD.fullmatch(plain):
        return Chord("")
    found = _NAME.fullmatch(plain)
    quality = found and _find_quality(found[2])
    if not found or quality is None:
        return None
    bass = (found[3] or "")[:1].upper() + (found[3] or "")[1:]
    return Chord(found[1], quality, "" if bass == found[1] else bass)


def find_rough_chord(text: str) -> Chord | None:
    """Find the chord that a text names; of an unknown one that of its root and third, and None without a root."""
    if (known := find_chord(text)) is not None:
        return known
    found = _ROUGH.match(write_plain_signs(text))
    return find_chord(found[0].replace("-", "m")) if found else None


def _find_quality(text: str) -> str | None:
    """Find the usual form of a quality; None for an unknown one."""
    signed = text.replace("(-", "(b").replace("(+", "(#")
    plain = _WORDS.sub(lambda word: word[0].lower(), re.sub(r"[\s(),\[\]]", "", signed))
    found = _QUALITY.fullmatch(_ALONE.sub("maj7", plain))
    if not found:
        return None
    triad = _TRIADS.get(found["triad"], found["triad"])
    number = found["number"].replace("/", "")
    if found["late"] and (number != "7" or found["major"]):
        return None
    if triad == "aug" and number == "5":
        number = ""  # `+5`
    base, *degrees = _name_base(triad + ("maj" if found["major"] or found["late"] else "") + number)
    degrees += [_name_degree(each) for each in _DEGREE.findall(found["degrees"])]
    if base not in BASES or "" in degrees:
        return None
    return _join_quality(base, degrees)


def _name_base(text: str) -> tuple[str, ...]:
    return _SHORT.get(text, (text,))


def _name_degree(text: str) -> str:
    """Return the usual form of a degree; "" for an unknown one."""
    if text in ("sus", "+", "alt") or text.startswith("sus"):
        return {"sus": "sus4", "+": "#5"}.get(text, text)
    if text.startswith(("no", "omit")):
        return f"no{text[-1]}"
    kind, sign, number = re.fullmatch(r"(add|)([#b+-]?)(\d+)", text).groups()  # type: ignore[union-attr]
    number = _OCTAVES.get(number, number)
    if number not in ("5", "7", "9", "11", "13") or (number == "7" and not kind):
        return ""
    sign = {"+": "#", "-": "b"}.get(sign, sign)
    return f"{kind}{sign}{number}"


def _join_quality(base: str, degrees: Iterable[str]) -> str:
    """Join a base and its degrees to the usual form of a quality."""
    added = "addb", "add#"
    has_seventh = 10 in BASES[base] or 11 in BASES[base]
    plain = (each[3:] if has_seventh and each.startswith(added) else each for each in degrees)
    left = list(dict.fromkeys(plain))
    for degree in tuple(left):
        if (base, degree) in _WITH_DEGREE:
            base = _WITH_DEGREE[base, degree]
            left.remove(degree)
    if base == "" and left == ["alt"]:
        base = "7"
    if base in ("sus4", "sus2") and "add7" in left:
        left, base = [base, *(each for each in left if each != "add7")], "7"
    for fourth, degree in (("add11", "sus4"), ("add9", "sus2")):
        if fourth in left and "no3" in left:
            left = [degree, *(each for each in left if each not in (fourth, "no3"))]
    ranks = {degree: rank for rank, degree in enumerate(_ORDER)}
    return base + "".join(sorted(left, key=lambda each: ranks.get(each, len(ranks) + each.startswith("no"))))


@lru_cache(maxsize=4096)
def _split_quality(quality: str) -> tuple[str, tuple[str, ...]]:
    """Split the usual form of a quality into its base and degrees. Raises ValueError for another text."""
    for length in range(min(len(quality), 5), -1, -1):
        base, rest = quality[:length], quality[length:]
        degrees = tuple(_DEGREE.findall(rest))
        if base in BASES and "".join(degrees) == rest:
            return base, degrees
    raise ValueError(f"'{printable(quality)}' is not the quality of a chord")


def compute_intervals(base: str, degrees: Iterable[str]) -> tuple[int, ...]:
    """Compute the semitones above the root of a base with degrees, within an octave, in order."""
    tones = set(BASES[base])
    for degree in degrees:
        if degree in ("sus2", "sus4"):
            tones = (tones - {3, 4}) | {2 if degree == "sus2" else 5}
        elif degree == "alt":
            tones = (tones - {7}) | {measure_degree(each) for each in _ALTERED}
        elif degree.startswith("no"):
            tones -= {3, 4} if degree == "no3" else {6, 7, 8}
        else:
            if not degree.startswith("add"):
                tones.discard(measure_degree(degree[1:]))
            tones.add(measure_degree(degree.removeprefix("add")))
    return tuple(sorted(tones))


def measure_degree(degree: str) -> int:
    """Measure a degree in semitones above the root: 1 for `b9`; `7` is the minor seventh, as in a dominant chord."""
    sign = degree.count("#") - degree.count("b")
    return ({"2": 2, "3": 4, "4": 5, "5": 7, "7": 10, "9": 2, "11": 5, "13": 9}[degree.lstrip("#b")] + sign) % 12


def find_nearest_quality(quality: str, among: Sequence[str]) -> str:
    """Find the quality with the most equal tones, the first of equals: `maj7` for `maj9`, the triad for `add9`."""
    wanted = set(compute_intervals(*_split_quality(quality)))
    others = (set(compute_intervals(*_split_quality(each))) for each in among)
    return min(zip(among, others, strict=True), key=lambda pair: (pair[0] != quality, len(wanted ^ pair[1])))[0]


_STEPS = (0, -5, 2, -3, 4, -1, 6, 1, -4, 3, -2, 5)
"""Fifths from a tonic to the usual root at each number of semitones above it; a bass of a flat fifth is -6."""

_LEADING_STEPS = {1: 7, 8: 8}
"""Fifths to the roots of diminished chords that differ: C#dim in C, and not Dbdim."""


def spell_chord(root: int, quality: str, bass: int, key: Key) -> Chord:
    """Spell a chord in a key, by the pitch classes of its root and its bass: F#dim in G, Abm in Eb minor."""
    above, tonic = (root - key.tonic) % 12, key.fifths + 3 * key.minor
    leads = quality.startswith(("dim", "m7b5"))
    fifths = tonic + (_LEADING_STEPS.get(above, _STEPS[above]) if leads else _STEPS[above])
    name = _name_fifths(fifths + 12 * (fifths <= -7 and fifths <= key.fifths - 4))  # B7 in Eb, and not Cb7
    if bass == root:
        return Chord(name, quality)
    between = (bass - root) % 12
    return Chord(name, quality, _name_fifths(_count_fifths(name) + (-6 if between == 6 else _STEPS[between])))


def _name_fifths(fifths: int) -> str:
    """Name the note so many fifths above C, from Fb to A#: beyond these it is respelled."""
    fifths += 12 * ((fifths < -8) - (fifths > 10))
    sharps, letter = divmod(fifths + 1, 7)
    return "FCGDAEB"[letter] + ("#" * sharps if sharps > 0 else "b" * -sharps)


def _count_fifths(name: str) -> int:
    """Count the fifths from C up to a note."""
    return "FCGDAEB".index(name[0]) - 1 + 7 * (name.count("#") - name.count("b"))


# --- progressions -----------------------------------------------------------------------------------------------------


Progression = tuple[tuple[Chord, ...], ...]
"""The chords of each bar, which share it equally."""

_INSIDE = re.compile(r"\([^()|]*\)")
_BARLINES = re.compile(r"\|\|+|\|?:|:\|?")


def parse_progression(text: str) -> Progression:
    """Parse bars of chords such as `"Dm7 G7 | Cmaj7"`, where commas are spaces. Raises ValueError.

    `%` is the bar before again, and `/` the chord before. Double bar lines and repeat signs are single bar lines.
    """
    plain = _INSIDE.sub(lambda found: found[0].replace(",", "").replace(" ", ""), text)
    bars = _BARLINES.sub("|", plain.replace(",", " ")).strip().strip("|").split("|")
    found: list[tuple[Chord, ...]] = []
    for bar in bars:
        words = bar.split()
        if not words:
            raise ValueError(f"a bar of '{printable(text)}' has no chord; N.C. is none, % is the bar before again")
        found.append(found[-1] if words == ["%"] and found else _parse_bar(words))
    return tuple(found)


def _parse_bar(words: Sequence[str]) -> tuple[Chord, ...]:
    chords: list[Chord] = []
    for word in words:
        chords.append(chords[-1] if word == "/" and chords else parse_chord(word))
    return tuple(chords)


def find_keys(progression: Progression) -> tuple[Key, ...]:
    """Find the keys with the most tones of the chords, in the order of `ALL_KEYS`."""
    chords = [chord.tones for bar in progression for chord in bar]
    scales = [{(key.tonic + degree) % 12 for degree in _SCALES[key.minor]} for key in ALL_KEYS]
    held = [sum(len(chord & scale) for chord in chords) for scale in scales]
    return tuple(key for key, count in zip(ALL_KEYS, held, strict=True) if count == max(held))


_SCALES = {False: (0, 2, 4, 5, 7, 9, 11), True: (0, 2, 3, 5, 7, 8, 10)}


_AT_AN_END = 0.6
"""What a tonic chord at the beginning counts for its key, in chords that fit; one at the end counts a little more."""


def estimate_key(progression: Progression, among: Sequence[Key] = ALL_KEYS) -> Key | None:
    """Estimate the one key that a progression is most likely in, spelled as its chords are; None without chords.

    Only the keys in `among` count.

    Chords count as their scale holds them, with the dominant of a minor key; those at the beginning and the end count
    more where they are the tonic.
    """
    chords = [chord for bar in progression for chord in bar if chord.root]
    if not chords:
        return None
    best = max(among, key=lambda key: _rate_key(key, chords))
    root = next((chord.root for chord in reversed(chords) if find_class(chord.root) == best.tonic), None)
    return best if root is None else parse_key(root + "m" * best.minor)


def _rate_key(key: Key, chords: Sequence[Chord]) -> float:
    """Rate a key by the chords that it holds."""
    fits = sum(_rate_chord(key, chord) for chord in chords)
    ends = _is_tonic(key, chords[0]) * _AT_AN_END + _is_tonic(key, chords[-1]) * (_AT_AN_END + 0.1)
    return fits + ends * min(len(chords), 8) / 4


def _rate_chord(key: Key, chord: Chord) -> float:
    """Rate a chord from 0 to 1: the share of its tones in the key's scale, its root counted twice."""
    above = [(find_class(chord.root) + each - key.tonic) % 12 for each in compute_intervals(chord.base, chord.degrees)]
    scale = set(_SCALES[key.minor])
    if key.minor and above[0] in (7, 11):  # the dominant and the chord of the leading tone
        scale.add(11)
    return (sum(each in scale for each in above) + (above[0] in scale)) / (len(above) + 1)


def _is_tonic(key: Key, chord: Chord) -> bool:
    third = key.tonic + (3 if key.minor else 4)
    return find_class(chord.root) == key.tonic and third % 12 in chord.tones
