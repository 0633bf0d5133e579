"""Rules for tempos, time signatures, keys, bars and silence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from composer_midifile.conversion import FASTEST, SLOWEST
from composer_midifile.linting.rules import Log
from composer_midifile.linting.scanning import Event, File
from composer_midifile.walking import KEY_SIGNATURE, TEMPO, TIME_SIGNATURE

NAMES = {TEMPO: "tempo", TIME_SIGNATURE: "time signature", KEY_SIGNATURE: "key signature"}

SILENT_QUARTERS, HUGE_QUARTERS = 64, 1024
"""Longer silences are findings."""


@dataclass(frozen=True)
class Bars:
    """Ticks at which the bar length changes, the length from there on, and the number of the bar there, from 1."""

    ticks: list[int]
    lengths: list[int]
    numbers: list[int]

    def find_bar(self, tick: int) -> int:
        """Return the bar that contains a tick."""
        place = bisect_right(self.ticks, tick) - 1
        return self.numbers[place] + (tick - self.ticks[place]) // self.lengths[place]


def check(file: File, log: Log) -> Bars | None:
    """Log breaches of these rules. Returns the bars, or None if time is not counted in quarter notes."""
    for kind in NAMES:
        _check_positions(file, kind, log)
    for number, event in _find_metas(file, TEMPO):
        _check_tempo(number, event, log)
    for number, event in _find_metas(file, KEY_SIGNATURE):
        fifths, mode = decode_key(event.data)
        if not -7 <= fifths <= 7 or mode > 1:
            text = f"There is no key with {abs(fifths)} {'flats' if fifths < 0 else 'sharps'} and mode {mode}."
            log.add("key-signature-value", text, number, event.tick)
    return _build_bars(file, log) if file.division else None


def check_silence(file: File, notes: Sequence[tuple[int, int]], log: Log) -> None:
    """Log long silences before, among and after notes (start, end)."""
    sounded, known = 0, file.division
    end = max((track.end for track in file.tracks), default=0)
    for start, until in [*sorted(notes), (end, end)] if notes and known else []:
        quarters = (start - sounded) / known
        if quarters > SILENT_QUARTERS:
            rule = "huge-silence" if quarters > HUGE_QUARTERS else "silence"
            log.add(rule, f"Nothing sounds for {quarters:,.0f} quarter notes.", None, sounded)
        sounded = max(sounded, until)


def decode_key(data: bytes) -> tuple[int, int]:
    """Decode a key signature: sharps (flats are negative) and mode (1: minor)."""
    return int.from_bytes(data[:1], "big", signed=True), data[1]


def _find_metas(file: File, kind: int) -> Iterator[tuple[int, Event]]:
    """Return track number and event of each meta event of a kind, sorted by tick."""
    found = [(track.number, event) for track in file.tracks for event in track.events if event.kind == kind]
    return iter(sorted(found, key=lambda each: each[1].tick))


def _check_positions(file: File, kind: int, log: Log) -> None:
    """Log events outside the first track, two at a tick, and a late first one."""
    name, rule = NAMES[kind], NAMES[kind].replace(" ", "-")
    before: Event | None = None
    for number, event in _find_metas(file, kind):
        if file.kind == 1 and number > 1:
            text = f"A {name} stands outside the first track, where many programs do not look."
            log.add(f"misplaced-{rule}", text, number, event.tick)
        if before and before.tick == event.tick and before.data != event.data and kind != KEY_SIGNATURE:
            log.add(f"{rule}-twice", f"There are two {name}s at one tick.", number, event.tick)
        elif before is None and event.tick and kind == TEMPO:
            log.add(
                "late-tempo", "The first tempo comes after the beginning, which is played at 120.", number, event.tick
            )
        before = event
    if before is None and kind != KEY_SIGNATURE and file.division:
        meant = "120 quarter notes a minute are" if kind == TEMPO else "4/4 is"
        log.add(f"no-{rule}", f"There is no {name}; {meant} meant.")


def _check_tempo(number: int, event: Event, log: Log) -> None:
    micros = int.from_bytes(event.data, "big")
    if not micros:
        log.add("tempo-value", "A tempo has 0 microseconds to a quarter note.", number, event.tick)
    elif not SLOWEST <= 60_000_000 / micros <= FASTEST:
        text = f"A tempo is {60_000_000 / micros:,.1f} quarter notes a minute."
        log.add("tempo-range", text, number, event.tick)


def _build_bars(file: File, log: Log) -> Bars:
    bars = Bars([0], [file.division * 4], [1])
    for number, event in _find_metas(file, TIME_SIGNATURE):
        numerator, power, clicks, _ = event.data
        if not 1 <= numerator <= 64 or power > 6:
            text = f"There is no time signature {numerator}/2^{power}."
            log.add("time-signature-value", text, number, event.tick)
            continue
        if not clicks:
            log.add("metronome-clicks", "A time signature has 0 clocks to a click.", number, event.tick)
        _change_bars(bars, event.tick, max(1, file.division * 4 * numerator >> power), number, log)
    return bars


def _change_bars(bars: Bars, tick: int, length: int, track: int, log: Log) -> None:
    """Change the length of bars from this tick on."""
    rest = (tick - bars.ticks[-1]) % bars.lengths[-1]
    if rest:
        text = f"The metre changes within bar {bars.find_bar(tick)}, {rest:,} ticks after its beginning."
        log.add("metre-off-bar", text, track, tick)
    if tick == bars.ticks[-1]:
        bars.lengths[-1] = length
        return
    number = bars.find_bar(tick) + (rest > 0)
    bars.ticks.append(tick)
    bars.lengths.append(length)
    bars.numbers.append(number)
