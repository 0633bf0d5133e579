"""The contract of a file format: what is written is read back, and files are whole or not there; it knows no format."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from composer.errors import CannotWrite, UnreadableFile
from composer.files import read_by
from composer.score import NOTE, Score
from composer.testing.rules import rule
from composer.types import Exporter, Inspecting, Piece, Reader

HOLDS = ("start", "duration", "pitch", "metre", "upbeat", "tempo")
"""What a file keeps of a score, unless its exporter says by `holds` that the format has no place for all of it."""


def check_exporter(exporter: Exporter, score: Score, folder: Path, *, suffix: str) -> None:
    """A file is there, whole, and the same for the same piece; or there is none, and CannotWrite says why."""
    before = copy.deepcopy(score)
    first, second = (_written(exporter, score, folder / f"{name}{suffix}") for name in ("one", "two"))
    rule(score == before, "the argument of an exporter is unchanged")
    rule(first, "a file that is written is not empty")
    rule(first == second, "the same piece makes the same file, byte for byte")
    _check_refusal(exporter, score, folder / "no such folder" / f"three{suffix}")


def check_reader(reader: Reader, folder: Path, *, suffix: str) -> None:
    """Whatever is in a file, it is read, or refused with UnreadableFile; the file stays as it is."""
    noise = np.random.default_rng(0).bytes(512)
    for number, content in enumerate((b"", b"\0", noise, noise.hex().encode(), b"[" * 5000)):
        path = folder / f"{number}{suffix}"
        path.write_bytes(content)
        with suppress(UnreadableFile), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read_by(reader, path)
            rule(isinstance(found, Score), f"a reader gives a Score; it gives {type(found).__name__}")
        rule(path.read_bytes() == content, "a file that is read stays as it is")


def check_round_trip(
    exporter: Exporter, reader: Reader, score: Score, folder: Path, *, suffix: str, holds: Sequence[str] = HOLDS
) -> Score:
    """`score` written into `folder` and read back: equal in what the format `holds`, and then in all.

    It may hold fields of notes, `metre`, `upbeat` and `tempo`. Gives back what was read.
    """
    first = _written_and_read(exporter, reader, score, folder / f"first{suffix}")
    count = len(first.tracks)
    rule(count == len(score.tracks), f"each track is read back; {len(score.tracks)} are written, {count} are read")
    for number, (written, read) in enumerate(zip(score.tracks, first.tracks, strict=True)):
        for name in [field for field in NOTE.names or () if field in holds]:
            same = np.array_equal(written.notes[name], read.notes[name])
            rule(same, f"the {name} of each note is read back; not so in track {number}")
    for name, told in (("metre", _metres), ("upbeat", lambda one: one.upbeat), ("tempo", _tempos)):
        wanted, found = told(score), told(first)
        rule(name not in holds or wanted == found, f"the {name} is read back; {wanted} is written, {found} is read")
    second = _written_and_read(exporter, reader, first, folder / f"second{suffix}")
    rule(second == first, "what was read is written and read the same")
    _check_refusal(exporter, score, folder / "no such folder" / f"third{suffix}")
    return first


def _written(exporter: Exporter, score: Score, path: Path) -> bytes:
    exporter([Piece(score)], path)
    rule(path.is_file(), "an exporter writes the file it was asked for")
    leftover = [other.name for other in path.parent.iterdir() if other.name.startswith(".composer-")]
    rule(not leftover, f"nothing is left beside the file; there is {leftover}")
    return path.read_bytes()


def _written_and_read(exporter: Exporter, reader: Reader, score: Score, path: Path) -> Score:
    _written(exporter, score, path)
    if isinstance(reader, Inspecting):
        errors = [finding.text for finding in reader.inspect(path) if finding.severity == "error"]
        rule(not errors, f"a reader that inspects files has no errors to tell of what is written; it tells {errors}")
    return reader(path)


def _metres(score: Score) -> list[tuple[int, str]]:
    return [(signature.tick, str(signature)) for signature in score.time_signatures] or [(0, "4/4")]


def _tempos(score: Score) -> list[tuple[int, float]]:
    """To a hundredth: formats count microseconds, or whole numbers. Without one, 120 is meant."""
    return [(tempo.tick, round(tempo.bpm, 2)) for tempo in score.tempos] or [(0, 120.0)]


def _check_refusal(exporter: Exporter, score: Score, path: Path) -> None:
    try:
        exporter([Piece(score)], path)
    except CannotWrite:
        return
    rule(False, "a file that cannot be written raises CannotWrite")
