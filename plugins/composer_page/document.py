"""Builds the page from its template, style, script and values.

Values never become markup: they are one block of JSON without a `<`, from which the script makes text. The policy at
the head of the page forbids all other scripts and styles, and all addresses.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

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
