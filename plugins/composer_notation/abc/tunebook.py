"""The text of an ABC file, split into tunes, each with its header and the music of its voices."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path

from composer_notation.abc.fields import (
    VoiceState,
    apply_directive,
    apply_field,
    choose_unit_length,
    parse_properties,
    parse_time_signature,
    parse_unit_length,
)
from composer_notation.abc.macros import Macros
from composer_notation.abc.symbols import DEFAULT_LETTERS, Symbol, decode_text, scan_symbols

MOST_CHARACTERS = 4_000_000  # of a tune
MOST_VOICES = 1_000

_BEGIN = re.compile(r"^X:", re.MULTILINE)
_KEY = re.compile(r"^[ \t]*+K:", re.MULTILINE)
_BLOCK = re.compile(r"^%%begin(text|ps|svg|ml|js)\b.*$", re.MULTILINE)
_FIELD = re.compile(r"([A-Za-z+]):(.*)")
_COMMENT = re.compile(r"(?<!\\)%.*")
_INLINE_VOICE = re.compile(r'"[^"]*+"|\[V:([^][]*+)\]')
_GROUPED = re.compile(r"[(){}]|[^][(){}|*\s]++")
_DEFAULTS = "KLMQ"  # fields of a file's header that are defaults for each tune
_LAST_COUNTS = "KLMPQ"  # of several such fields in a header the last counts; of others the first
_IN_THE_MUSIC = "IKLMPQ"
_OF_THE_BODY = "HNORSTUVWXZmrsw"
_LYRICS = {"w": "lines of lyrics", "W": "lines of lyrics", "s": "lines of symbols"}
_MOST_FREE_LINES = 1_000


@dataclass(frozen=True)
class Voice:
    """The music of one voice: lines of text, and fields between them such as `K:D`."""

    number: int  # from 1
    label: str
    name: str
    items: tuple[str | Symbol, ...]
    properties: tuple[str, ...] = ()  # by `V:` fields in the header


@dataclass(frozen=True)
class Tune:
    """One tune as written: its header fields by letter, its directives and its voices."""

    header: Mapping[str, str]
    voices: tuple[Voice, ...]
    directives: tuple[str, ...] = ()
    letters: Mapping[str, str] = field(default_factory=lambda: DEFAULT_LETTERS)
    groups: tuple[frozenset[str], ...] = ()  # labels of voices that share a staff or a brace
    left_out: Mapping[str, int] = field(default_factory=dict)
    fault: str = ""  # the reason why it cannot be read at all

    def scan(self, voice: Voice) -> Iterator[Symbol]:
        """Scan the symbols of a voice, in order. ValueError for invalid music."""
        for item in voice.items:
            if isinstance(item, Symbol):
                yield item
            else:
                yield from scan_symbols(item + "\n", self.letters)

    def build_state(self, voice: Voice, left_out: Counter[str]) -> VoiceState:
        """Build the initial state of a voice. ValueError for an invalid field."""
        its_metre = parse_time_signature(self.header["M"]) if "M" in self.header else None
        unit = parse_unit_length(self.header["L"]) if "L" in self.header else choose_unit_length(its_metre)
        ours = left_out if voice.number == 1 else Counter()  # directives for all voices count once
        force = apply_field(VoiceState(time_signature=its_metre, unit=unit), f"K:{self.header.get('K', '')}", ours)
        for words in (directive.split() for directive in self.directives):
            if _is_for_voice(words, voice):
                force = apply_directive(force, words, ours)
        for text in voice.properties:
            force = apply_field(force, f"V:{text}", left_out)
        return force


def _is_for_voice(words: list[str], voice: Voice) -> bool:
    """Tell whether a directive in the header applies to a voice: it may be for another one, or for all."""
    match words:
        case ["MIDI", "program", channel, _]:
            return channel == str(voice.number)
        case ["MIDI", "voice", label, *_] if "=" not in label:
            return label == voice.label
    return True


# --- files ------------------------------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """Read the text of a file in UTF-8 or, as older ones are, Latin-1; lines end with a line feed."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def count_tunes(text: str) -> int:
    """Count the tunes that `tunes` finds."""
    text = _remove_blocks(text)
    return sum(1 for _ in _BEGIN.finditer(text)) or int(bool(_KEY.search(text)))


def split_tunes(text: str, *, ends_at_empty_line: bool = True) -> Iterator[Tune]:
    """Split a file into its tunes: each begins with an `X:` field and ends at an empty line (2.2.1).

    A file without an `X:` field is one tune if it has a key. Fields before the first tune are defaults for all (2.2.2).
    With `ends_at_empty_line=False` a tune ends where the next one begins, for books without a text between them.
    """
    text = _remove_blocks(text.replace("\r\n", "\n").replace("\r", "\n"))
    starts = [found.start() for found in _BEGIN.finditer(text)]
    if not starts and _KEY.search(text):
        starts = [0]
    before = list(_find_file_header(text[: starts[0]])) if starts else []
    for start, end in pairwise([*starts, len(text)]):
        builder = _TuneBuilder(before, _KEY.search(text, start, end) is not None)
        yield builder.build(_split_lines(text, start, end), ends_at_empty_line=ends_at_empty_line)


def _remove_blocks(text: str) -> str:
    """Remove what stands between `%%begintext` and `%%endtext`, and other such blocks."""
    parts, position, endless = [], 0, set()
    for found in _BLOCK.finditer(text):
        if found.start() < position or found[1] in endless:
            continue
        end = text.find(f"\n%%end{found[1]}", found.end())
        if end < 0:
            endless.add(found[1])
            continue
        parts.append(text[position : found.start()])
        position = text.find("\n", end + 1) + 1 or len(text)
    return "".join([*parts, text[position:]]) if position else text


def _find_file_header(text: str) -> Iterator[str]:
    """Yield the lines of the first paragraph with a field or a directive in it."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        lines = paragraph.split("\n")
        if any(_FIELD.match(line) or line.startswith("%%") for line in lines):
            yield from lines
            return


def _split_lines(text: str, start: int, end: int) -> Iterator[str]:
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        yield text[start:stop]
        start = stop + 1


# --- tunes ------------------------------------------------------------------------------------------------------------


class _TuneBuilder:
    """Builder of a tune, line by line."""

    def __init__(self, file_header: list[str], has_key: bool) -> None:
        self.header: dict[str, str] = {}
        self.has_key, self.in_body = has_key, False
        self.directives: list[str] = []
        self.groups: list[frozenset[str]] = []
        self.letters = dict(DEFAULT_LETTERS)
        self.macros = Macros(MOST_CHARACTERS)
        self.names: dict[str, str] = {}
        self.declared: dict[str, list[str]] = {}
        self.items: dict[str, list[str | Symbol]] = {}
        self.common: list[str | Symbol] = []  # before the first voice, and for all
        self.voice: str | None = None
        self.last = ""  # the letter of the field that `+:` continues
        self.left_out: Counter[str] = Counter()
        self.is_broken_by_marks = False  # whether `!` ends a line of the score, and encloses no decoration
        for line in file_header:
            self._read_header_line(line, _FIELD.match(line), are_defaults=True)

    def build(self, lines: Iterator[str], *, ends_at_empty_line: bool) -> Tune:
        size, is_after_gap = 0, False
        for line in lines:
            size += len(line) + 1
            if size > MOST_CHARACTERS:
                return Tune(self.header, (), fault=f"has more than {MOST_CHARACTERS:,} characters")
            if not line.strip():
                if self.items and ends_at_empty_line:
                    break
                is_after_gap = self.in_body and ends_at_empty_line
            elif not is_after_gap or self.items or _is_music(line):  # music may begin after an empty line, a text not
                self._read_line(line)
        after = islice(lines, _MOST_FREE_LINES)
        self.left_out["lines of music after an empty line"] += sum(map(_is_music, after))
        return Tune(
            self.header,
            tuple(self._list_voices()),
            tuple(self.directives),
            self.letters,
            tuple(self.groups),
            self.left_out,
        )

    def _list_voices(self) -> Iterator[Voice]:
        """Yield the voices with music, in the order in which they are declared or begin."""
        order = [*self.declared, *(label for label in self.items if label not in self.declared)]
        filled = [label for label in order if any(isinstance(item, str) for item in self.items.get(label, ()))]
        for number, label in enumerate(filled, start=1):
            properties = tuple(self.declared.get(label, ()))
            yield Voice(number, label, self.names.get(label, ""), tuple(self.items[label]), properties)

    def _read_line(self, line: str) -> None:
        if line.startswith("%%"):
            self._apply_directive(line[2:].strip())
            return
        line = _COMMENT.sub("", line).rstrip() if "%" in line else line.rstrip()
        if not line:
            return
        if self.in_body:
            self._read_body_line(line)
            return
        line = line.lstrip()
        found = _FIELD.match(line)
        if found or self.has_key:
            self._read_header_line(line, found)
        else:
            self.in_body = True
            self._read_body_line(line)

    def _read_header_line(self, line: str, found: re.Match[str] | None, *, are_defaults: bool = False) -> None:
        if line.startswith("%%"):
            self._apply_directive(line[2:].strip())
        if not found:
            return
        letter, value = found[1], _COMMENT.sub("", found[2]).strip()
        if letter == "+":
            if self.last in self.header:
                self.header[self.last] += f" {value}"
            return
        self.last = letter
        if letter == "V":
            label = self._name_voice(value)
            self.declared.setdefault(label, []).append(value)
        elif not self._read_definition(letter, value) and (letter in _DEFAULTS or not are_defaults):
            if letter in _LAST_COUNTS or letter not in self.header:
                self.header[letter] = value
            self.in_body = letter == "K" and not are_defaults

    def _read_body_line(self, line: str) -> None:
        found = _FIELD.match(line)
        if not found:
            self._read_music(line)
            return
        letter, value = found[1], found[2].strip()
        if letter == "+":
            self._extend_field(value)
            return
        self.last = letter
        if letter == "V":
            self._switch_voice(value)
        elif self._read_definition(letter, value):
            return
        elif letter in _IN_THE_MUSIC:
            self._get_items().append(Symbol("field", f"{letter}:{value}"))
        elif letter not in _OF_THE_BODY and value[:1] in ("|", ":", "]"):
            self._read_music(line)

    def _read_definition(self, letter: str, value: str) -> bool:
        """Read a field that defines how to read others, or that is left out; tell whether it is one."""
        if letter == "m":
            self.macros.define(value)
        elif letter == "U":
            letters, _, token_info = (part.strip() for part in value.partition("="))
            if len(letters) == 1:
                self.letters[letters] = token_info
        elif letter == "I":
            self._apply_directive(value)
        elif letter in _LYRICS:
            self.left_out[_LYRICS[letter]] += bool(value)
        else:
            return False
        return True

    def _apply_directive(self, text: str) -> None:
        """Apply a directive, to the whole tune or in the music."""
        words = text.split(maxsplit=1)
        if words[:1] in (["score"], ["staves"]) and len(words) == 2 and not self.groups:
            self.groups = _parse_groups(words[1])
        elif words[:1] == ["linebreak"]:
            self.is_broken_by_marks = "!" in text
        elif self.in_body:
            self._get_items().append(Symbol("field", f"I:{text}"))
        else:
            self.directives.append(text)

    def _extend_field(self, value: str) -> None:
        """Append to the field before."""
        items = self._get_items()
        if self.last in _IN_THE_MUSIC and items and isinstance(items[-1], Symbol):
            items[-1] = Symbol("field", f"{items[-1].text} {value}")

    def _read_music(self, line: str) -> None:
        line = self.macros.expand(line)
        if self.is_broken_by_marks:
            line = line.replace("!", "$")
        if self.voice is None and not line.lstrip().startswith("[V:"):
            self._switch_voice(next(iter(self.declared), "1"))
        position = 0
        for found in _INLINE_VOICE.finditer(line) if "[V:" in line else ():
            if found[1] is not None:
                self._add(line[position : found.start()])
                self._switch_voice(found[1])
                position = found.end()
        self._add(line[position:])

    def _add(self, text: str) -> None:
        if text.strip():
            self._get_items().append(text)

    def _get_items(self) -> list[str | Symbol]:
        """Return the items to which a field or a line of music is added."""
        return self.common if self.voice is None else self.items[self.voice]

    def _switch_voice(self, text: str) -> None:
        """Switch to another voice, and add the properties that the field states."""
        self.voice = self._name_voice(text)
        if self.voice not in self.items:
            self.items[self.voice] = list(self.common)
        if len(text.split()) > 1:
            self.items[self.voice].append(Symbol("field", f"V:{text.strip()}"))

    def _name_voice(self, text: str) -> str:
        """Return the label in a `V:` field, and record the voice's name if it has one."""
        label = (text.split() or [""])[0][:20]
        name = parse_properties(text)[1].name
        if name is not None:
            self.names[label] = decode_text(name.replace("\\n", " "))
        return label


def _parse_groups(text: str) -> list[frozenset[str]]:
    """Parse the voices that share a brace, or else a staff, from `%%score` (11.1)."""
    found: list[frozenset[str]] = []
    group: list[str] = []
    depth = 0
    for part in _GROUPED.findall(text):
        if part in "({":
            depth += 1
        elif part in ")}":
            depth = max(depth - 1, 0)
            if not depth:
                found.append(frozenset(group))
                group = []
        elif depth:
            group.append(part[:20])
    return found


def _is_music(line: str) -> bool:
    """Tell whether a line of free text reads as music: it may belong to the tune."""
    if "|" not in line or _FIELD.match(line):
        return False
    try:
        kinds = [symbol.kind for symbol in islice(scan_symbols(line), 1_000)]
    except ValueError:
        return False
    return "bar" in kinds and ("note" in kinds or "chord" in kinds) and "unknown" not in kinds
