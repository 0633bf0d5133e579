"""The measures of a kern piece: rows of tokens placed in time, each where the notes before it end.

The columns that begin a note in a row determine its time. Where their note values do not fit together, the majority
decides, then the time that completes the bar.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from composer_notation.kern.spines import (
    MANIPULATORS,
    Malformed,
    Path,
    Row,
    SectionPlan,
    Spine,
    Time,
    is_at_end,
    parse_words,
)
from composer_notation.kern.tokens import (
    GRID,
    TOO_HIGH,
    UNTIMED,
    Token,
    convert_chord,
    read_bar,
    read_key,
    read_length,
    read_signature,
    read_tempo,
    read_time_signature,
    read_token,
    read_transposition,
)
from composer_notation.unfolding import MOST_MEASURES

KERN = "kern"
MOST_NOTES = 500_000
MOST_KEYS = MOST_MISFITS = 10_000
SLOWEST, FASTEST = 5, 1000  # quarter notes a minute; others are left out
_LONGEST_NAME = 200
_FINEST = 10**9  # times of a larger denominator are rounded
_KINDS = {  # contents of other columns
    "dynam": "dynamics", "dyn": "dynamics", "text": "lyrics", "silbe": "lyrics", "lyrics": "lyrics",
    "harm": "harmonic analyses", "root": "harmonic analyses", "deg": "harmonic analyses", "fing": "fingerings",
    "fb": "figured basses", "fba": "figured basses", "Bnum": "figured basses",
}  # fmt: skip
_PLAIN = re.compile(r"[^A-Za-z]")  # `text` of `text-en` and of `text:1`
_SILENT = frozenset(("recip", ""))
_ALTERNATIVE = "notes of alternative readings"


class WrittenNote(NamedTuple):
    """A written note, counted from the start of its measure."""

    spine: Spine
    start: Time
    length: Time
    pitch: int
    voice: int
    begins: bool  # a tie to a later note
    continues: bool  # a tie from an earlier one


@dataclass
class Player:
    """The player of a spine, and its transposition."""

    name: str = ""
    code: str = ""  # `violn` of *Ivioln
    family: str = ""  # `str` of *ICstr
    raised: int = 0  # semitones that its notes stand above where they sound


@dataclass
class Measure:
    """The music between two bar lines, labels or changes of metre. Times are counted from its start."""

    start: Time
    time_signature: tuple[int, int]
    labels: tuple[str, ...] = ()
    opens: bool = False
    closes: bool = False
    is_last: bool = False  # a double bar line follows
    length: Time = 0
    signs: dict[str, bool | str] = field(default_factory=dict)
    notes: list[WrittenNote] = field(default_factory=list)
    keys: list[tuple[Time, Spine, int, str]] = field(default_factory=list)  # sharps or flats, and mode
    tempos: list[tuple[Time, float]] = field(default_factory=list)
    chords: list[tuple[Time, str]] = field(default_factory=list)


@dataclass
class Music:
    """A piece as it is written."""

    measures: list[Measure] = field(default_factory=list)
    staves: dict[Spine, Player] = field(default_factory=dict)
    plan: SectionPlan = field(default_factory=SectionPlan)
    has_bars: bool = False
    left_out: Counter[str] = field(default_factory=Counter)
    misfits: int = 0  # rows whose note values do not fit together


def read_music(rows: Iterable[Row]) -> Music:
    """Read the measures of the rows of one piece. Raises Malformed."""
    walk = _Reader()
    for row in rows:
        walk.read(row)
    walk.finish()
    return walk.music


@dataclass
class _Pending:
    """Marks read since the last note, which hold from the next one on."""

    is_new: bool = False  # a measure begins
    opens: bool = False
    closes: bool = False
    is_double: bool = False
    labels: dict[str, None] = field(default_factory=dict)  # in their order, each once
    keys: dict[Spine, tuple[int, str]] = field(default_factory=dict)
    tempo: float | None = None
    signs: dict[str, bool | str] = field(default_factory=dict)


@dataclass
class _Reader:
    """A position in the piece, and the state there."""

    music: Music = field(default_factory=Music)
    here: _Pending = field(default_factory=_Pending)
    now: Time = -1  # the time of the latest row with notes
    reached: Time = 0  # the latest end of all notes so far
    paths: Sequence[Path] = ()
    time_signature: tuple[int, int] = (4, 4)
    count: int = 0  # of notes

    @property
    def measure(self) -> Measure | None:
        """The latest measure."""
        return self.music.measures[-1] if self.music.measures else None

    def read(self, row: Row) -> None:
        """Read one row."""
        first = row.tokens[0].lstrip()[:1]
        if not row.paths or first == "!":
            for text in row.tokens:
                self._read_remark(text)
        elif first == "*":
            for path, text in zip(row.paths, row.tokens, strict=True):
                if path.kind == KERN and text != "*" and text not in MANIPULATORS:
                    self._read_interpretation(path, text)
            self._choose_readings(row)
        elif first == "=":
            self._read_bar_line(row)
        else:
            self._read_notes(row)

    def _read_remark(self, text: str) -> None:
        """Read words in the score, some of which state the playing order."""
        if ":TX" in text and ":t=" in text:
            words = text.partition(":t=")[2].partition(":")[0][:80]
            self.here.signs.update(parse_words(words))

    def _read_bar_line(self, row: Row) -> None:
        self.music.has_bars = True
        self.here.is_new = True
        for path, text in zip(row.paths, row.tokens, strict=True):
            if path.kind == KERN and (":" in text or "||" in text or "==" in text):
                bar = read_bar(text.strip())
                self.here.closes |= bar.closes
                self.here.opens |= bar.opens
                self.here.is_double |= bar.is_double
        self._settle_signs()

    def _settle_signs(self) -> None:
        """Move the signs before a bar line that hold after a measure to the measure that it ends."""
        if self.measure:
            late = {sign: value for sign, value in self.here.signs.items() if is_at_end(sign)}
            self.measure.signs.update(late)
            self.here.signs = {sign: value for sign, value in self.here.signs.items() if sign not in late}

    def _read_interpretation(self, path: Path, text: str) -> None:
        """Read a `*` token of a kern column."""
        if text.startswith("**"):
            self._get_staff(path.spine)
        elif text.startswith("*>"):
            self._read_section(text)
        elif text.startswith("*MM"):
            self._read_tempo(text)
        elif text.startswith("*M") and text[2:3].isdecimal():
            self._read_metre(text)
        elif text.startswith("*I"):
            self._read_instrument(path.spine, text)
        elif text == "*thru":
            self.music.plan.is_through = True
        elif text == "*ped":
            self.music.left_out["pedal marks"] += 1
        else:
            self._read_key(path.spine, text)

    def _read_section(self, text: str) -> None:
        """Read a list of sections, or the label of one that begins."""
        if label := self.music.plan.add(text):
            self.here.labels[label] = None
            self.here.is_new = True

    def _get_staff(self, spine: Spine) -> Player:
        if spine not in self.music.staves:
            self.music.staves[spine] = Player()
        return self.music.staves[spine]

    def _read_instrument(self, spine: Spine, text: str) -> None:
        """Read the name, code or family of a spine; the first of each counts."""
        staff, rest = self._get_staff(spine), text[3:]
        if text.startswith('*I"'):
            staff.name = staff.name or " ".join(rest[:_LONGEST_NAME].split())
        elif text.startswith("*IC"):
            staff.family = staff.family or rest
        elif text[2:3].isalpha() and not text.startswith(("*IG", "*ITr")):
            staff.code = staff.code or text[2:]

    def _read_tempo(self, text: str) -> None:
        bpm = read_tempo(text)
        if bpm is None:
            self.music.left_out["tempos without a number"] += 1
        elif SLOWEST <= bpm <= FASTEST:
            self.here.tempo = bpm

    def _read_metre(self, text: str) -> None:
        metre = read_time_signature(text)
        if metre is None:
            self.music.left_out["time signatures that give no bars"] += 1
        elif metre != self.time_signature:
            self.time_signature = metre
            self.here.is_new = True

    def _read_key(self, spine: Spine, text: str) -> None:
        """Read a transposition, a key signature, or the name of a key, which says more; else words of a jump."""
        if (raised := read_transposition(text)) is not None:
            self._get_staff(spine).raised = raised
        elif named := read_key(text):
            self.here.keys[spine] = named
        elif (fifths := read_signature(text)) is not None:
            self.here.keys.setdefault(spine, (fifths, ""))
        else:
            self.here.signs.update(parse_words(text[1:80]))

    def _choose_readings(self, row: Row) -> None:
        """Choose the first of columns that hold readings of one passage, labelled `*S/...`."""
        chosen: set[Spine] = set()
        for path, text in zip(row.paths, row.tokens, strict=True):
            if text.startswith("*S/") and text != "*S/fin":
                path.is_alternative = path.spine in chosen
                chosen.add(path.spine)
            elif text == "*S-":
                path.is_alternative = False

    def _read_notes(self, row: Row) -> None:
        """Place a row of notes and rests in time, and add them."""
        started: list[tuple[Path, Token]] = []
        chords: list[str] = []
        for path, text in zip(row.paths, row.tokens, strict=True):
            if text == "." or not text or text[0] == "=":
                continue
            if path.kind != KERN:
                chords += self._read_other_column(path.kind, text)
                continue
            token = read_token(text)
            if token.left_out:
                self.music.left_out.update(token.left_out)
            if token.needs_length:
                token = _set_length(token, row)
            if token.length is not None:
                started.append((path, token))
            else:
                self.music.left_out[UNTIMED] += len(token.notes)
        if not started:
            self.music.left_out["chord symbols between notes"] += len(chords)
            return
        measure = self._begin_row(self._find_time(row, [path for path, _ in started]), row)
        at = self.now - measure.start
        measure.chords += [(at, text) for text in chords]
        for path, token in started:
            self._add_notes(measure, path, token, at)

    def _read_other_column(self, kind: str, text: str) -> list[str]:
        """Read a chord symbol; other columns are left out."""
        if kind == "mxhm":
            if name := convert_chord(text):
                return [name]
            self.music.left_out["chord symbols without a name"] += 1
        elif kind not in _SILENT:
            self.music.left_out[_KINDS.get(_PLAIN.split(kind)[0], "entries of other columns")] += 1
        return []

    def _add_notes(self, measure: Measure, path: Path, token: Token, at: Time) -> None:
        """Add the notes of a token that begins at the current row."""
        if token.length is None:
            return
        path.ends = (self.now + token.length,)
        self.reached = max(self.reached, path.ends[0])
        if path.is_alternative:
            self.music.left_out[_ALTERNATIVE] += len(token.notes)
            return
        staff = self._get_staff(path.spine)
        self.count += len(token.notes)
        if self.count > MOST_NOTES:
            raise Malformed(f"has more than {MOST_NOTES:,} notes; split it into pieces")
        for note in token.notes:
            length = token.length if note.length is None else note.length
            pitch = note.pitch - staff.raised
            if 0 <= pitch <= 127:
                measure.notes.append(
                    WrittenNote(path.spine, at, length, pitch, path.voice, note.begins, note.continues)
                )
            else:
                self.music.left_out[TOO_HIGH] += 1

    def _find_time(self, row: Row, started: Sequence[Path]) -> Time:
        """Find the time of a row: where the notes end that it follows, in the columns that begin new ones."""
        found = [end for end in map(self._find_end, started) if end is not None]
        if not found:
            ends = [end for path in row.paths if path.kind == KERN and (end := self._find_end(path)) is not None]
            time = min(ends, default=self.reached)
        else:
            time = found[0] if len(set(found)) == 1 else self._choose_time(found)
        return round(time) if isinstance(time, Fraction) and time.denominator > _FINEST else time

    def _find_end(self, path: Path) -> Time | None:
        """Return the end of the note of a column that sounds after the latest row; None if there is none."""
        if len(path.ends) == 1:
            return path.ends[0] if path.ends[0] > self.now else None
        return min((end for end in path.ends if end > self.now), default=None)

    def _choose_time(self, found: Sequence[Time]) -> Time:
        """Choose among times that differ: that of most columns, or that completes the bar, or the first."""
        self.music.misfits += 1
        if self.music.misfits > MOST_MISFITS:
            raise Malformed(
                f"has more than {MOST_MISFITS:,} rows whose note values do not fit together; correct it first"
            )
        counts = Counter(found)
        most = max(counts.values())
        often = [time for time, times in counts.items() if times == most]
        full = self._find_bar_end()
        return full if full in often else min(often)

    def _find_bar_end(self) -> Time:
        """Return the time at which the current measure is complete."""
        start = self.measure.start if self.measure else 0
        numerator, denominator = self.measure.time_signature if self.measure else self.time_signature
        return start + 4 * GRID * numerator // denominator

    def _begin_row(self, at: Time, row: Row) -> Measure:
        """Advance to a row, and begin a measure if one starts with it."""
        here, latest = self.here, self.measure
        self.now, self.paths = at, row.paths
        if latest is None or here.is_new:
            if latest is not None:
                latest.length, latest.closes, latest.is_last = at - latest.start, here.closes, here.is_double
            if len(self.music.measures) == MOST_MEASURES:
                raise Malformed(f"has more than {MOST_MEASURES:,} measures; split it into pieces")
            latest = Measure(at, self.time_signature, tuple(here.labels), here.opens)
            self.music.measures.append(latest)
        latest.signs.update(here.signs)
        latest.keys += [(at - latest.start, spine, *key) for spine, key in here.keys.items()]
        if here.tempo is not None:
            latest.tempos.append((at - latest.start, here.tempo))
        self.here = _Pending()
        return latest

    def finish(self) -> None:
        """End the last measure where most columns end."""
        if not self.measure:
            return
        ends = Counter(end for path in self.paths if path.kind == KERN and (end := self._find_end(path)) is not None)
        full = self._find_bar_end()
        end = max(ends, key=lambda end: (ends[end], end == full, end), default=self.reached)
        self.measure.length, self.measure.closes = end - self.measure.start, self.here.closes
        self._settle_signs()


def _set_length(token: Token, row: Row) -> Token:
    """Give a token the length in the `**recip` column beside it."""
    lengths = (read_length(text) for path, text in zip(row.paths, row.tokens, strict=True) if path.kind == "recip")
    return token._replace(length=next(lengths, None))
