"""The contract of musical states: along a piece they agree with its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from composer.music.score import Score, compute_bars
from composer.request import Request
from composer.sampling.batch_state import begin, build_context
from composer.testing.rules import require
from composer.testing.sequences import name_tokens
from composer.tokens.vocabulary import compute_pitches, make_recent_notes
from composer.types import Array, MusicalState, RecentNotes, Tokenizer, Tokens

Notes = list[tuple[int, int, int]]
"""Start, end and pitch of the notes of a score, without drums."""


def check_music(tokenizer: Tokenizer, tokens: Tokens, request: Request) -> None:
    """Check that the musical states along a piece agree with its score: onsets, sounding pitches, key and end."""
    score = tokenizer.decode(tokens)
    rows = replace(begin(tokenizer, [], [request]), recent_notes=make_recent_notes(1, len(tokens)))
    told = []
    for token in tokens:
        context = build_context(tokenizer, rows)
        music = context.music
        require(np.all((music.others >= 0) & (music.bars_left >= 0)), "counts are at least 0")
        told.append(_Told(music, int(compute_pitches(context.token_info, music)[0, token])))
        if told[-1].pitch >= 0:
            _check_place(tokenizer, tokens, score, music)
        rows = rows.advance(tokenizer, np.array([token]), music)
    if score.key_signatures:
        require(music.key[0] == score.key_signatures[0].key.index, "the musical state has the key of the score")
    require(music.bars_left[0] == 1 or request.bars is None, "after the requested number of bars, one bar is left")
    notes = _list_notes(score)
    _check_onsets(tokenizer, tokens, notes, rows.recent_notes)
    _check_sounding(tokenizer, tokens, notes, told)


def _check_place(tokenizer: Tokenizer, tokens: Tokens, score: Score, music: MusicalState) -> None:
    """Check position, beat and bar of a note."""
    require(0 <= music.position[0] < music.bar_ticks[0], "the position of a note is within its bar")
    require(music.beat[0] == music.position[0] // music.beat_ticks[0], "the beat of a note is that of its position")
    begun = int(music.tick[0] - music.position[0])
    require(begun in _find_origins(score, begun), f"a bar begins at tick {begun}: {name_tokens(tokenizer, tokens)}")


def _find_origins(score: Score, tick: int) -> list[int]:
    """List the ticks near `tick` at which bars begin; a pickup counts as if it were whole."""
    return [int(nominal) for nominal in compute_bars(score, max(tick, 0) + 1).nominal[-1:]]


def _list_notes(score: Score) -> Notes:
    return [
        (int(note["start"]), int(note["start"]) + int(note["duration"]), int(note["pitch"]))
        for track in score.tracks
        if not track.is_drum
        for note in track.notes
    ]


# --- onsets -----------------------------------------------------------------------------------------------------------


def _check_onsets(tokenizer: Tokenizer, tokens: Tokens, notes: Notes, recent: RecentNotes) -> None:
    """Check that tokens tell tick and pitch of every note, and of no other."""
    decoded = {(start, pitch) for start, _, pitch in notes}
    meant = {(int(tick), int(pitch)) for tick, pitch in zip(recent.tick[0], recent.pitch[0], strict=True)} - {(-1, -1)}
    sides = {"decode() alone has": decoded - meant, "token_info and interpret() alone tell": meant - decoded}
    off = "; ".join(f"{side} {sorted(those)[:3]}" for side, those in sides.items() if those)
    require(
        not off,
        "a note has the tick `music.tick` and the pitch `token_info.pitch` + `music.shift` of its token; "
        f"not so (tick, pitch): {off}; in {name_tokens(tokenizer, tokens)}",
    )


# --- what sounds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Told:
    """What a grammar tells before a token."""

    music: MusicalState
    pitch: int  # of the note that the token begins, -1 for none


def _check_sounding(tokenizer: Tokenizer, tokens: Tokens, notes: Notes, told: Sequence[_Told]) -> None:
    """Check `sounding` and `written` before each token, from the first bar on."""
    is_metre = tokenizer.token_info.is_time_signature[tokens]
    ticks = [int(one.music.tick[0]) for one in told]
    begun: set[int] = set()
    for place, (one, tick) in enumerate(zip(told, ticks, strict=True)):
        if one.music.bar[0] < 0:
            continue
        if tick != ticks[place - 1]:
            begun = set()
        where = f"at tick {tick}, after {name_tokens(tokenizer, tokens[:place])}"
        _check_within(one.music, {pitch for start, end, pitch in notes if start <= tick <= end}, where)
        _check_all("sounding", one.music, {pitch for start, end, pitch in notes if start < tick < end}, where)
        leaves = ticks[place + 1 : place + 2] not in ([], [tick]) and not is_metre[place - 1]
        if leaves or one.pitch >= 0:
            _check_all("written", one.music, begun, where)
        if one.pitch >= 0:
            begun |= {one.pitch}


def _list_pitches(pitches: Array) -> set[int]:
    return {int(pitch) for pitch in pitches[0] if pitch >= 0}


def _check_within(music: MusicalState, pitches: set[int], where: str) -> None:
    """Check that nothing sounds but these `pitches`: of notes that begin, sound or end here."""
    for name in ("sounding", "written"):
        wrong = _list_pitches(getattr(music, name)) - pitches
        require(not wrong, f"`{name}` has pitches that sound in the score; not so {sorted(wrong)} {where}")


def _check_all(name: str, music: MusicalState, pitches: set[int], where: str) -> None:
    """Check that all `pitches` are told, unless there is no room, or `others` counts as many more as there is room."""
    told = getattr(music, name)
    missing, shown, room = pitches - _list_pitches(told), np.count_nonzero(told >= 0), told.shape[1]
    more = shown == room or (room > 1 and music.others[0] >= shown + room)
    means = {"sounding": "of notes that sound on", "written": "of notes that begin here"}[name]
    require(not missing or more, f"`{name}` has the pitches {means}; it lacks {sorted(missing)} {where}")
