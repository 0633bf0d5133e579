"""The contract of a file format: what is written is read back, and files are whole or not there; it knows no format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from composer.errors import CannotWrite
from composer.score import Score
from composer.testing.rules import rule
from composer.types import Exporter, Inspecting, Piece, Reader

NOTES = ("start", "duration", "pitch")


def check_round_trip(
    exporter: Exporter, reader: Reader, score: Score, folder: Path, *, suffix: str, keeps: Sequence[str] = NOTES
) -> Score:
    """`score` written into `folder` and read back: equal in notes, metre and upbeat, and then in all.

    `keeps` are the fields of a note that the format holds. Gives back what was read.
    """
    first = _written_and_read(exporter, reader, score, folder / f"first{suffix}")
    rule(
        len(first.tracks) == len(score.tracks), f"{len(score.tracks)} tracks are written, {len(first.tracks)} are read"
    )
    for number, (written, read) in enumerate(zip(score.tracks, first.tracks, strict=True)):
        for name in keeps:
            same = np.array_equal(written.notes[name], read.notes[name])
            rule(same, f"the {name} of each note is read back; not so in track {number}")
    rule(_metres(first) == _metres(score), f"time signatures {_metres(score)} are read back as {_metres(first)}")
    rule(first.upbeat == score.upbeat, f"an upbeat of {score.upbeat} ticks is read back as {first.upbeat}")
    second = _written_and_read(exporter, reader, first, folder / f"second{suffix}")
    rule(second == first, "what was read is written and read the same")
    _check_refusal(exporter, score, folder / "no such folder" / f"third{suffix}")
    return first


def _written_and_read(exporter: Exporter, reader: Reader, score: Score, path: Path) -> Score:
    exporter([Piece(score)], path)
    rule(path.is_file(), "an exporter writes the file it was asked for")
    leftover = [other.name for other in path.parent.iterdir() if other.name.startswith(".composer-")]
    rule(not leftover, f"nothing is left beside the file: {leftover}")
    if isinstance(reader, Inspecting):
        errors = [finding.text for finding in reader.inspect(path) if finding.severity == "error"]
        rule(not errors, f"a reader that inspects files has no errors to tell of what is written: {errors}")
    return reader(path)


def _metres(score: Score) -> list[tuple[int, str]]:
    return [(signature.tick, str(signature)) for signature in score.time_signatures] or [(0, "4/4")]


def _check_refusal(exporter: Exporter, score: Score, path: Path) -> None:
    try:
        exporter([Piece(score)], path)
    except CannotWrite:
        return
    rule(False, "a file that cannot be written raises CannotWrite")
