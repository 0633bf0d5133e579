"""Decorations and texts of ABC: dynamics, signs to jump by, and those that are not played.

Velocities are those of section 4.14 of the ABC standard 2.1.
"""

from __future__ import annotations

import re

from composer_notation.abc.symbols import Symbol

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
    return plain if _CHORD.fullmatch(plain) else ""


def is_remark(text: str) -> bool:
    """Tell whether a quoted text is marked as no chord symbol (4.19)."""
    return text[:1] in ("^", "_", "<", ">", "@")


def name_omission(name: str) -> str:
    """Name the kind of a decoration that is not played; "" for one that is inaudible."""
    return _LEFT_OUT_AS.get(name, "unknown decorations")
