"""Pieces as sound files, in times real time and in seconds of processors, with and without the interpreter's start."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time

import soundfile
from machine import describe

from composer.io import formats
from composer.music.score import Score, Track, make_notes
from composer.types import Piece

LENGTHS = (70, 300)
TRACKS = (1, 4, 10)
FORMATS = (".wav", ".flac", ".ogg", ".mp3")
ROUNDS = 3
PROGRAMS = (0, 48, 32, 73, 19, 25, 56, 40)


def piece(tracks: int, seconds: int) -> Score:
    """So many tracks of quarter notes at 120, each with another instrument beyond four."""
    return Score(
        tuple(
            Track(
                make_notes([(at * 480, 480, 40 + 5 * track % 45 + at % 7, 90) for at in range(2 * seconds)]),
                program=PROGRAMS[track % len(PROGRAMS)] if tracks > 4 else 0,
            )
            for track in range(tracks)
        )
    )


def taken(task: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of the fastest of some runs: on the clock, of this process, and of the others that it started."""
    runs = []
    for _ in range(ROUNDS):
        clock, own, others = perf_counter(), process_time(), _of_others()
        task()
        runs.append((perf_counter() - clock, process_time() - own, _of_others() - others))
    return min(runs)


def _of_others() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(what: str, path: Path, seconds: tuple[float, float, float]) -> None:
    """A line: on a busy machine, the seconds of processors tell more than the clock."""
    clock, own, others = seconds
    speed = soundfile.info(path).duration / clock
    print(
        f"{what:32} {clock:6.2f} s, {speed:5.1f} x real time; processors: {own:5.2f} s here, {others:5.2f} s in others"
    )


def main() -> None:
    """Print seconds and times real time, and the memory that a piece of half an hour takes."""
    print(f"{describe()}; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for seconds in LENGTHS:
            for tracks in TRACKS:
                music = Piece(piece(tracks, seconds))
                for path in [Path(folder) / f"a{suffix}" for suffix in FORMATS]:
                    what = f"{seconds:4} s, {tracks:2} tracks, {path.suffix}"
                    show(what, path, taken(lambda music=music, path=path: formats.write([music], path)))
            source, path = Path(folder) / "a.mid", Path(folder) / "a.wav"
            formats.write([Piece(piece(4, seconds))], source)
            command = [sys.executable, "-m", "composer", "export", str(source), str(path), "--force", "--quiet"]
            show(
                f"{seconds:4} s,  4 tracks, .wav, a command",
                path,
                taken(lambda c=command: subprocess.run(c, check=True)),
            )
        before = process_time()
        formats.write([Piece(piece(4, 1800))], Path(folder) / "long.flac")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"half an hour, 4 tracks, .flac: {process_time() - before:.1f} s of one core, {peak:.0f} MB at most")


if __name__ == "__main__":
    main()
