"""The reader of Standard MIDI files, and of the text event that stores provenance and pickup."""

from __future__ import annotations

import json
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from composer.errors import LeftOutWarning, ReadingWarning, RoundingWarning, UnreadableFile, printable
from composer.music.score import TICKS_PER_QUARTER, Notes, Score, TimeSignature, Track
from composer.storage.opening import read_bytes
from composer.types import Finding
from composer_midifile import conductor
from composer_midifile.conversion import Conversion, TimedEvent
from composer_midifile.events import OWN_TEXT, Damaged
from composer_midifile.inspection import MOST_BYTES, DecodedFile, decode_file
from composer_midifile.messages import Messages, read_messages
from composer_midifile.omissions import PEDAL, count_omissions
from composer_midifile.pairing import Pairs, build_notes, pair_notes
from composer_midifile.pedal import extend_notes
from composer_midifile.programs import DRUMS, Part, divide_parts
from composer_midifile.walking import KEY_SIGNATURE, MARKER, NOTE_ON, TEMPO, TEXT, TIME_SIGNATURE

# --- the reader -------------------------------------------------------------------------------------------------------


MOST_TICKS = 2**31 - 1
"""Longest track, both in ticks of the file and in those of a Score."""

_DRUM_NAME = re.compile(r"drum|percussion|\bkit\b", re.IGNORECASE)


@dataclass(frozen=True)
class MidiReader:
    """Reads Standard MIDI files of type 0 and 1.

    Ticks become the nearest ones of a Score. Notes of one pitch in a track do not overlap afterwards: of those with one
    onset the longest stays, and an earlier one ends where the next begins. If notes of one pitch and channel overlap in
    the file, the first to begin is the first to end. While the sustain pedal of a channel is down (64 or more), its
    notes are sustained until its release or the next onset of their pitch; drums are not. A track has the program that
    it sets for its channel, or else that of another track. A first bar cut short by a second time signature is a
    pickup. A time signature a tick or two beside a bar line is moved to it. The title is the name of a first track
    without notes, or else the file's.
    """

    is_bounded: ClassVar[bool] = True

    drums_by_name: Annotated[bool, "take a track named for drums as one, on any channel"] = False
    pedal: Annotated[
        Literal["extend", "ignore"], "sustain notes while the sustain pedal is down (extend), or not (ignore)"
    ] = "extend"

    def __call__(self, path: Path) -> Score:
        """Read the score in a file. Raises UnreadableFile; warns with ReadingWarning of anything dropped or mended.

        Contents without a counterpart in a Score raise a LeftOutWarning, notes between its ticks a RoundingWarning.
        """
        try:
            score, to = self._read(read_file(path), path.stem)
        except Damaged as error:
            raise UnreadableFile(f"{printable(str(path))}: {error}") from None
        shown = printable(str(path))
        for text, times in (+to.remarks).items():
            often = f" ({times:,} times)" if times > 1 else ""
            warnings.warn(f"{shown}: {text}{often}.", ReadingWarning, stacklevel=2)
        if to.left_out:
            warnings.warn(LeftOutWarning(shown, to.left_out), stacklevel=2)
        if to.moved:
            text = f"{to.moved:,} of {score.note_count:,} notes are moved by less than a tick"
            text = f"{shown}: {text}, from {to.division} ticks to a quarter note to {TICKS_PER_QUARTER}."
            warnings.warn(text, RoundingWarning, stacklevel=2)
        return score

    def read_provenance(self, path: Path) -> dict[str, Any]:
        """Read the provenance of the piece; `{}` if the file states none. Raises UnreadableFile."""
        return read_provenance(path)

    def lint(self, path: Path) -> Sequence[Finding]:
        """Lint a file from the view of a sequencer's user. Raises UnreadableFile if it cannot be opened."""
        from composer_midifile.linting import lint

        try:
            return lint(read_file(path))
        except Damaged as error:
            return [Finding("error", "too-large", f"The file {error}")]

    def _read(self, data: bytes, stem: str) -> tuple[Score, Conversion]:
        found = decode_file(data)
        messages = read_messages(found.tracks)
        _check_length(found, messages)
        to = Conversion(found.division, found.remarks)
        pairs = pair_notes(messages)
        to.add_remark("a note that never ends was left out", pairs.unfinished)
        if not len(pairs.line):
            to.add_remark("contains no notes")
        events = _group_events(found, messages)
        to.left_out = count_omissions(messages, found.tracks)
        if texts := sum(tick > 0 for tick, _ in events[TEXT]):  # texts at tick 0 are remarks on the file
            to.left_out["texts"] = texts
        signatures, upbeat = _find_time_signatures(
            events[TIME_SIGNATURE], unpack(found.own_text) if found.own_text else {}, to
        )
        score = Score(
            self._build_tracks(found, messages, pairs, to),
            tempos=to.convert_tempos(events[TEMPO]),
            time_signatures=signatures,
            key_signatures=to.convert_key_signatures(events[KEY_SIGNATURE]),
            upbeat=upbeat,
            markers=to.convert_markers(events[MARKER]),
            title=_find_title(found, messages) or stem,
        )
        return score, to

    def _build_tracks(self, found: DecodedFile, messages: Messages, pairs: Pairs, to: Conversion) -> tuple[Track, ...]:
        """Build the tracks that have notes, each sorted and without overlaps of one pitch."""
        if not len(pairs.line):
            return ()
        pairs, parts = divide_parts(pairs, messages, found.tracks)
        begin, end = messages.tick[pairs.begin], messages.tick[pairs.end]
        to.add_remark("a note of no length was given the shortest one", int(np.count_nonzero(end <= begin)))
        if self.pedal == "extend" and to.left_out.pop(PEDAL, 0):
            held = extend_notes(messages, found.tracks, pairs.begin, pairs.end)
            to.add_remark(
                "a sustain pedal that stays down was taken to come up after the last note", held.never_released
            )
            end = held.end
        begin, end = to.scale_ticks(np.array((begin, end)))
        notes = build_notes(pairs.line, begin, end, messages.second[pairs.begin], to.remarks)
        return tuple(
            self._build_track(its, found.tracks[part.track].name, part) for its, part in zip(notes, parts, strict=True)
        )

    def _build_track(self, notes: Notes, name: str, part: Part) -> Track:
        is_drum = part.channel == DRUMS or (self.drums_by_name and _DRUM_NAME.search(name) is not None)
        return Track(notes, name, part.program, is_drum)


def _check_length(found: DecodedFile, messages: Messages) -> None:
    """Raise Damaged for a track that is too long."""
    ends = (messages.compute_tick(i, len(track.stretches), track.ticks) for i, track in enumerate(found.tracks))
    longest = max(ends, default=0)
    if longest > min(MOST_TICKS, MOST_TICKS * found.division // TICKS_PER_QUARTER):
        quarters = longest // found.division
        raise Damaged(f"lasts {quarters:,} quarter notes, which is too long; split it, or cut its rests.")


def _group_events(found: DecodedFile, messages: Messages) -> Mapping[int, list[TimedEvent]]:
    """Group events by kind, with their ticks, in the order of the file."""
    events: dict[int, list[TimedEvent]] = defaultdict(list)
    for number, track in enumerate(found.tracks):
        for stretches, others, kind, content in track.events:
            events[kind].append((messages.compute_tick(number, stretches, others), content))
    return events


def _find_title(found: DecodedFile, messages: Messages) -> str:
    """Return the name of the first track if it has no notes, or else an empty string."""
    if not found.tracks or not (title := found.tracks[0].name):
        return ""
    its = slice(0, messages.count_before(1, 0))
    begins = (messages.status[its] & 0xF0 == NOTE_ON) & (messages.second[its] > 0)
    return "" if begins.any() else title


def _find_time_signatures(
    found: Iterable[TimedEvent], own: dict[str, Any], to: Conversion
) -> tuple[tuple[TimeSignature, ...], int]:
    """Determine the time signatures and the pickup: stated by a file of ours, guessed for any other."""
    signatures = to.convert_time_signatures(found)
    if not own:
        return conductor.guess_pickup(to.align_to_bar_lines(signatures))
    upbeat = own.get(PICKUP, 0)
    folded = conductor.fold_pickup(signatures, upbeat) if type(upbeat) is int else signatures
    first = folded[0] if folded else TimeSignature(0, 4, 4)
    if type(upbeat) is int and 0 <= upbeat < first.bar_ticks:
        return folded, upbeat
    to.add_remark("the upbeat that it states does not fit its first bar, and was left out")
    return signatures, 0


# --- provenance and pickup --------------------------------------------------------------------------------------------


PICKUP = "upbeat"
"""The key of the pickup in the text event, in ticks of a Score."""


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance of the piece in a MIDI file; `{}` if the file states none.

    Raises UnreadableFile for anything but a readable MIDI file. The values are untrusted: check them.
    """
    shown = printable(str(path))
    try:
        found = unpack(decode_file(read_file(path)).own_text)
    except Damaged as error:
        raise UnreadableFile(f"{shown}: {error}") from None
    return {key: value for key, value in found.items() if key != PICKUP}


def read_file(path: Path) -> bytes:
    """Read a file. Raises UnreadableFile for more than `MOST_BYTES`, and for a file that cannot be opened."""
    return read_bytes(path, MOST_BYTES)


def pack(values: Mapping[str, Any]) -> str:
    """Encode values as the text of the event, ASCII, equal for equal values. Raises TypeError or ValueError."""
    return OWN_TEXT.decode() + json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))


def unpack(raw: bytes) -> dict[str, Any]:
    """Decode the values after the first word of the text event; `{}` for anything but a JSON object."""
    try:
        values = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
