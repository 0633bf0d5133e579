"""Pieces as plain values for the page's script: notes, bars, tempos, texts, provenance."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from composer.errors import printable
from composer.music.score import END, Bars, Score, Text, Track, compute_bars
from composer.music.texts import clean_text
from composer.types import Piece

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
