"""Text strings of ABC: accents by mnemonics, HTML entities and numbers (8.2 of the standard 2.1)."""

from __future__ import annotations

import html
import re
import unicodedata

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
