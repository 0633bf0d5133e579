"""The rules of the linter by name, their severities, and a log of findings.

Programs refuse an error, or read it differently. A sequencer's user would have to mend a warning. A hint is unusual,
and may be intended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Severity = Literal["error", "warning", "hint"]

ERRORS = (
    "too-large no-header header-length division file-type track-count chunk-length no-end-of-track long-quantity "
    "broken-event running-status data-byte system-message meta-length tempo-value time-signature-value "
    "key-signature-value unclosed-note too-many-events"
)
WARNINGS = (
    "junk-before-header trailing-bytes independent-sequences film-frames after-end-of-track status-across-event "
    "unfinished-sysex tempo-range misplaced-tempo misplaced-time-signature tempo-twice time-signature-twice "
    "metre-off-bar huge-silence text-encoding control-characters long-name no-notes orphan-note-off zero-length-note "
    "overlapping-notes note-order duplicate-note crossing-tracks silent-notes late-program shared-channel "
    "drums-off-channel-10 outside-drum-map hanging-pedal"
)
HINTS = (
    "long-header alien-chunk coarse-division misplaced-key-signature metronome-clicks no-tempo no-time-signature "
    "late-tempo silence late-name second-name no-name empty-track loud-notes duplicate-track program-change no-program "
    "several-channels shared-drums rare-drum-sound late-port hanging-bend all-notes-off sysex"
)

_RULES: Sequence[tuple[Severity, str]] = (("error", ERRORS), ("warning", WARNINGS), ("hint", HINTS))

SEVERITY: Mapping[str, Severity] = {rule: severity for severity, rules in _RULES for rule in rules.split()}

MOST_TRACKS = 5
"""Tracks reported for one rule; the last finding counts the rest."""


@dataclass
class RuleFindings:
    """The findings of one rule in one track: the first tick, and their number."""

    rule: str
    text: str
    track: int | None
    tick: int | None
    times: int = 1
    more_tracks: int = 0


@dataclass
class Log:
    """Findings by rule and track, in the order of their first ticks."""

    found: dict[tuple[str, int | None], RuleFindings] = field(default_factory=dict)
    by_rule: dict[str, list[RuleFindings]] = field(default_factory=lambda: {rule: [] for rule in SEVERITY})

    def add(self, rule: str, text: str, track: int | None = None, tick: int | None = None) -> None:
        """Log one breach of a rule; `text` is a sentence that is safe to print."""
        if there := self.found.get((rule, track)):
            there.times += 1
            return
        self.found[rule, track] = RuleFindings(rule, text, track, tick)
        self.by_rule[rule].append(self.found[rule, track])

    def list_findings(self) -> Iterator[RuleFindings]:
        """Yield the findings, at most `MOST_TRACKS` tracks of each rule."""
        for found in self.by_rule.values():
            yield from found[: MOST_TRACKS - 1]
            if rest := found[MOST_TRACKS - 1 :]:
                yield replace(rest[0], more_tracks=len(rest) - 1)
