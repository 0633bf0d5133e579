"""Pieces as sound files, beside the synthesiser alone and in times real time, by format and by number of tracks."""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from time import process_time

from machine import describe, in_turn

from composer import files
from composer.score import Score, Track, make_notes
from composer.types import Piece
from composer_sound import soundfonts, synthesis, takes

SECONDS = 100
PROGRAMS = (0, 48, 32, 73, 19, 25, 56, 40)


def piece(tracks: int, seconds: int = SECONDS) -> Score:
    """So many tracks of quarter notes at 120, each with another instrument."""
    return Score(
        tuple(
            Track(
                make_notes([(at * 480, 480, 40 + 5 * track % 45 + at % 7, 90) for at in range(2 * seconds)]),
                program=PROGRAMS[track % len(PROGRAMS)] if tracks > 4 else 0,
            )
            for track in range(tracks)
        )
    )


def main() -> None:
    """Print seconds, times real time and sizes, and the memory that a piece of half an hour takes."""
    print(describe())
    soundfont = soundfonts.find("")
    with tempfile.TemporaryDirectory() as folder:
        for tracks in (1, 4, 10):
            music = piece(tracks)

            def write(suffix: str, music: Score = music) -> None:
                files.write([Piece(music)], Path(folder) / f"a{suffix}")

            def play(music: Score = music) -> None:
                for _ in synthesis.sound(takes.by_window(music), soundfont):
                    pass

            tasks = {suffix: lambda suffix=suffix: write(suffix) for suffix in (".wav", ".flac", ".ogg", ".mp3")}
            for name, seconds in in_turn({"played only": play, **tasks}, 3).items():
                size = f"{(Path(folder) / f'a{name}').stat().st_size / 1e6:5.1f} MB" if name in tasks else ""
                print(f"{tracks:3} tracks  {name:12} {seconds:6.2f} s   {SECONDS / seconds:6.1f} x real time  {size}")
        before = process_time()
        files.write([Piece(piece(4, 1800))], Path(folder) / "long.flac")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"half an hour, 4 tracks, .flac: {process_time() - before:.1f} s of one core, {peak:.0f} MB at most")


if __name__ == "__main__":
    main()
