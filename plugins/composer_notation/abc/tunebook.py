"""The text of an ABC file cut into tunes, each with its header and the music of its voices; it knows no note."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_FIELD = re.compile(r"^([A-Za-z]):(.*)$")
_INLINE_VOICE = re.compile(r"^\s*\[V:([^\]]*)\](.*)$")
_IN_THE_MUSIC = "KLM"
_SKIPPED_IN_THE_MUSIC = "HINOPQRSTUWXZmrsw"
_NAME = re.compile(r'(?:name|nm)="([^"]*)"')


@dataclass(frozen=True)
class Voice:
    """The music of one voice, as written, with fields inside it as `[K:…]`."""

    name: str
    music: str


@dataclass(frozen=True)
class Tune:
    """One tune as written: its header fields by letter, the first of each, and its voices."""

    header: Mapping[str, str]
    voices: tuple[Voice, ...]


def text_of(path: Path) -> str:
    """The text of a file in UTF-8 or, as older ones are, Latin-1."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def tunes(text: str) -> Iterator[Tune]:
    """The tunes of a file, in order: each begins with an `X:` field and its header ends with the first `K:`."""
    for block in re.split(r"^(?=X:)", text.replace("\r\n", "\n").replace("\r", "\n"), flags=re.MULTILINE):
        if block.startswith("X:"):
            yield _tune(block)


def _tune(block: str) -> Tune:
    header: dict[str, str] = {}
    names: dict[str, str] = {}
    music: dict[str, list[str]] = {}
    voice = ""
    for line in block.split("\n"):
        line = line.partition("%")[0].rstrip()
        field = _FIELD.match(line)
        if inline := _INLINE_VOICE.match(line):
            voice, line = _named(inline[1], names), inline[2]
        if field and field[1] == "V":
            voice = _named(field[2], names)
        elif "K" not in header:
            if field:
                header.setdefault(field[1], field[2].strip())
        elif field and field[1] in _IN_THE_MUSIC:
            music.setdefault(voice, []).append(f"[{line}]")
        elif not (field and field[1] in _SKIPPED_IN_THE_MUSIC):
            music.setdefault(voice, []).append(line)
    texts = {name: "\n".join(lines) for name, lines in music.items()}
    return Tune(header, tuple(Voice(names.get(name, ""), text) for name, text in texts.items() if text.strip()))


def _named(text: str, names: dict[str, str]) -> str:
    """The voice that a `V:` field speaks of, its name put down in `names` if it is given one."""
    voice = (text.split() or [""])[0]
    if found := _NAME.search(text):
        names[voice] = " ".join(found[1].split())
    return voice
