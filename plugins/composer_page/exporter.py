"""The exporter of pages: `.html`, one file that needs no network.

Pieces become plain values for the page's script: notes, bars, tempos, texts, provenance. Values never become markup:
they are one block of JSON without a `<`, from which the script makes text. The policy at the head of the page forbids
all other scripts and styles, and all addresses.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from composer.errors import CannotWrite, printable
from composer.io.pieces import SELLING
from composer.music.score import END, Bars, Score, Text, Track, clean_text, compute_bars
from composer.storage.atomic import write_whole_file
from composer.types import Piece
from composer_page import forms

# --- the exporter -----------------------------------------------------------------------------------------------------


MOST_NOTES, MOST_TRACKS, MOST_PIECES = 200_000, 200, 500
"""Limits of a page, so that a browser shows it without delay."""
ENGRAVED_PIECES, NOTATED_NOTES = 24, 20_000
"""A page with more pieces has no score, and one with more notes no MusicXML either: writing them takes minutes."""


@dataclass(frozen=True)
class PageExporter:
    """Writes one page that opens from disk: piano roll, score, sound, downloads. Several pieces are a gallery.

    The browser makes the sound itself, note by note (`sound.js`). Recordings of each track, for mute, solo, tempo and
    loops, would make the page thousands of times as large. For better instruments, export `.wav`.

    Other plugins write the score and the downloads (`.svg`, `.musicxml` and `.mid`); formats without an exporter are
    left out. The score is shown as an image: in an image no script runs and nothing is loaded, which no sanitiser can
    promise.
    """

    is_gallery: ClassVar[bool] = True

    score: Annotated[bool, "whether the engraved score is on the page"] = True

    def __call__(self, pieces: Sequence[Piece], path: Path) -> None:
        """Write the file, whole or not at all. Raises CannotWrite."""
        shown = printable(str(path))
        _check(pieces, shown)
        wanted = (
            _choose_forms(pieces) if self.score else [form for form in _choose_forms(pieces) if form != forms.ENGRAVED]
        )
        try:
            values = [_make_values(piece, number, wanted) for number, piece in enumerate(pieces)]
        except ValueError as error:
            raise CannotWrite(f"{shown}: cannot be shown: {printable(str(error), 200)}.") from None
        with write_whole_file(path) as scratch:
            scratch.write_text(build_page(values), encoding="utf-8")


def _choose_forms(pieces: Sequence[Piece]) -> Sequence[str]:
    """Choose the forms that do not take too long to write."""
    if sum(piece.score.note_count for piece in pieces) > NOTATED_NOTES:
        return forms.SOUNDING
    return forms.ALL if len(pieces) <= ENGRAVED_PIECES else forms.PLAIN


def _make_values(piece: Piece, number: int, wanted: Sequence[str]) -> dict[str, Any]:
    values = describe_piece(piece, number)
    found = forms.write_forms(piece, wanted)
    values["forms"] = {suffix: pack(data) for suffix, data in found.data.items()}
    values["missing"] = found.missing
    if engraving := found.data.get(forms.ENGRAVED):
        values["places"] = forms.find_bars(engraving, len(values["bars"]) - 1)
        if narrow := forms.write_narrow_score(piece):
            values["narrow"] = {"score": pack(narrow), "places": forms.find_bars(narrow, len(values["bars"]) - 1)}
    return values


def _check(pieces: Sequence[Piece], shown: str) -> None:
    if not pieces:
        raise CannotWrite(f"{shown}: no piece to show.")
    if len(pieces) > MOST_PIECES:
        raise CannotWrite(f"{shown}: a page holds {MOST_PIECES} pieces at most, and here are {len(pieces):,}.")
    if (tracks := max(len(piece.score.tracks) for piece in pieces)) > MOST_TRACKS:
        raise CannotWrite(f"{shown}: a page shows {MOST_TRACKS} tracks at most, and the piece has {tracks:,}.")
    if (notes := sum(piece.score.note_count for piece in pieces)) > MOST_NOTES:
        raise CannotWrite(f"{shown}: a page holds {MOST_NOTES:,} notes at most, and here are {notes:,}.")


# --- the page, from template, style, script and values ----------------------------------------------------------------


_SCRIPTS = ("music", "sound", "player", "roll", "marks", "steering", "shown", "forms", "gallery", "keys", "page")
"""Parts of one script, in one scope; the last one starts the page."""


def build_page(pieces: Sequence[dict[str, Any]]) -> str:
    """Build the page of these pieces, as `content.describe_piece` and `PageExporter` make them."""
    data = json.dumps({"pieces": pieces}, separators=(",", ":"))
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    title = pieces[0]["title"] if len(pieces) == 1 else f"{len(pieces)} pieces"
    style, script = _read_text("page.css"), "\n".join(_read_text(f"{name}.js") for name in _SCRIPTS)
    parts = {"POLICY": _build_policy(style, script), "TITLE": escape(title), "STYLE": f"<style>{style}</style>"}
    parts |= {
        "DATA": f'<script type="application/json" id="data">{data}</script>',
        "SCRIPT": f'<script type="module">{script}</script>',
    }
    text = _read_text("page.html")
    for name, part in parts.items():  # no part contains such a comment: values contain no `<`
        text = text.replace(f"<!--{name}-->", part)
    return text


def _build_policy(style: str, script: str) -> str:
    rules = (
        "default-src 'none'",
        f"script-src '{_hash(script)}'",
        f"style-src '{_hash(style)}'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{"; ".join(rules)}">'


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@lru_cache
def _read_text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


# --- a piece as values ------------------------------------------------------------------------------------------------


_LONGEST = 20_000  # characters of the provenance as JSON; in a longer one, long values are left out
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def describe_piece(piece: Piece, number: int) -> dict[str, Any]:
    """Describe one piece, the `number`th of its page, as plain values. Raises ValueError for too many bars."""
    score = piece.score
    its = compute_bars(score, max(score.length, 1))
    title = _make_title(piece, number)
    upbeat = 0 < score.upbeat < its.time_signatures[0].bar_ticks
    return {
        "title": title,
        "file": _NOT_IN_NAMES.sub("-", title.lower()).strip("-")[:60].rstrip("-") or "piece",
        "tracks": [_describe_track(track, index) for index, track in enumerate(score.tracks)],
        "tempos": [[int(tempo.tick), float(tempo.bpm)] for tempo in score.tempos],
        "bars": its.starts.tolist(),
        "firstBar": int(its.nominal[0]),
        "upbeat": upbeat,
        "metres": _list_time_signatures(its),
        "key": _name_key(score),
        "end": int(score.length),
        "markers": _list_texts([marker for marker in score.markers if marker.text != END]),
        "chords": _list_texts(score.chords),
        "madeBy": _describe_provenance(piece.provenance),
        "selling": SELLING if piece.provenance.get("model") else "",
    }


def pack(data: bytes) -> str:
    """Pack bytes as gzip in base64. The same bytes always give the same text."""
    return base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()


def _make_title(piece: Piece, number: int) -> str:
    if piece.title:
        return printable(piece.title, 120)
    request = piece.provenance.get("request")
    if not piece.provenance.get("model") or not isinstance(request, Mapping):
        return f"Piece {number + 1}"
    index = f", index {printable(str(request['index']), 24)}" if request.get("index") else ""
    seed = printable(str(request.get("seed", 0)), 24)
    return f"{printable(str(piece.provenance['model']), 60)}, seed {seed}{index}"


def _describe_track(track: Track, number: int) -> dict[str, Any]:
    name = printable(track.name.strip(), 60) or ("Drums" if track.is_drum else f"Track {number + 1}")
    fields = [track.notes[field].astype(np.int64) for field in ("start", "duration", "pitch", "velocity")]
    notes = np.stack(fields, axis=1).ravel().tolist()
    return {"name": name, "program": int(track.program), "drums": bool(track.is_drum), "notes": notes}


def _list_time_signatures(its: Bars) -> list[list[Any]]:
    """List [first bar, text, ticks of a beat] for each stretch of bars with one time signature."""
    changes = np.flatnonzero(np.diff(its.signature_index, prepend=-1)).tolist()
    found = [(bar, its.time_signatures[its.signature_index[bar]]) for bar in changes]
    return [[bar, str(metre), max(metre.beat_ticks, 1)] for bar, metre in found]


def _name_key(score: Score) -> str:
    if not score.key_signatures:
        return ""
    key = score.key_signatures[0].key
    return str(key).removesuffix("m") + (" minor" if key.minor else " major")


def _list_texts(texts: tuple[Text, ...] | list[Text]) -> list[list[Any]]:
    return [[int(text.tick), printable(text.text.strip(), 60)] for text in texts if text.text.strip()]


def _describe_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the provenance of a piece as plain JSON, without values too long to read."""
    plain = _clean_value(json.loads(json.dumps(dict(provenance), default=str)))
    for limit in (_LONGEST, 500):
        if len(json.dumps(plain)) <= _LONGEST:
            return plain
        plain = {key: _cut_value(value, limit) for key, value in plain.items()}
    return {key: value for key, value in plain.items() if key in ("model", "model_hash", "title")}


def _clean_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {clean_text(key): _clean_value(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return list(map(_clean_value, value))
    return clean_text(value) if isinstance(value, str) else value


def _cut_value(value: Any, limit: int) -> Any:
    if isinstance(value, dict):
        return {key: _cut_value(inner, limit) for key, inner in list(value.items())[:200]}
    return value if len(json.dumps(value)) <= limit else "(too long to be shown)"
