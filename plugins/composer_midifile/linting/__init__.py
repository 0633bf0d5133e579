"""A linter of Standard MIDI files, from the view of a sequencer's user.

rules.py        the rules by name, and a log of findings
scanning.py     bytes to events; decoding goes on after a fault
sounding.py     notes
timing.py       tempos, time signatures, keys, bars and silence
instruments.py  ports, channels, programs, drums and controllers
texts.py        names and other texts
"""

from __future__ import annotations

from composer.types import Finding
from composer_midifile.inspection import MOST_BYTES
from composer_midifile.linting import instruments, sounding, texts, timing
from composer_midifile.linting.rules import SEVERITY, Log, RuleFindings
from composer_midifile.linting.scanning import scan

__all__ = ["lint"]

_GRAVEST_FIRST = ("error", "warning", "hint")


def lint(data: bytes) -> list[Finding]:
    """Lint the bytes of a MIDI file. Findings are sorted by severity, then by track and tick. Never raises."""
    log = Log()
    bars = None
    if len(data) > MOST_BYTES:
        log.add("too-large", f"The file is larger than {MOST_BYTES // 2**20} MiB, and was not looked at.")
    elif file := scan(data, log):
        notes = [sounding.pair_notes(track, log) for track in file.tracks]
        names = texts.check(file, notes, log)
        instruments.check(file, notes, names, log)
        every = [note for its in notes for note in its]
        sounding.check_velocities(every, log)
        sounding.check_copies(notes, log)
        timing.check_silence(file, [(note.start, note.end) for note in every], log)
        bars = timing.check(file, log)
    shown = [_make_finding(found, bars) for found in log.list_findings()]
    return sorted(shown, key=lambda its: (_GRAVEST_FIRST.index(its.severity), its.track or 0, its.tick or 0))


def _make_finding(found: RuleFindings, bars: timing.Bars | None) -> Finding:
    text = found.text.removesuffix(".")
    if found.more_tracks:
        text += f", and so it is in {found.more_tracks:,} more tracks"
    bar = bars.find_bar(found.tick) if bars and found.tick is not None else None
    return Finding(SEVERITY[found.rule], found.rule, f"{text}.", found.track, found.tick, bar, found.times)
