"""Pieces to MIDI files, beside pretty_midi writing the same notes: processor time of one thread.

The pieces are chorales of 32 bars from the shipped model. Every way writes to a folder in memory where there is one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time

from machine import describe, in_turn

from composer.generation.composer import open_model
from composer.generation.generator import generate
from composer.io.formats import write
from composer.io.outputs import Outputs
from composer.music.score import TICKS_PER_QUARTER
from composer.plugins.registry import registry
from composer.types import Piece
from composer_midifile.linting import lint

BARS, ROUNDS = 32, 7


def pieces_of(count: int) -> list[Piece]:
    """Chorales, as the model suggests them."""
    player = open_model("chorales")
    return generate(player, [replace(player.suggested, seed=1, index=index, bars=BARS) for index in range(count)])


def by_pretty_midi(pieces: Sequence[Piece], folder: Path) -> Callable[[], None]:
    """Writing alone, of objects that are there already, at 120 quarter notes a minute."""
    import pretty_midi

    seconds = 0.5 / TICKS_PER_QUARTER
    objects = []
    for piece in pieces:
        midi = pretty_midi.PrettyMIDI(resolution=TICKS_PER_QUARTER, initial_tempo=120.0)
        for track in piece.score.tracks:
            part = pretty_midi.Instrument(track.program, name=track.name)
            for start, duration, pitch, velocity in track.notes.tolist():
                part.notes.append(pretty_midi.Note(velocity, pitch, start * seconds, (start + duration) * seconds))
            midi.instruments.append(part)
        objects.append(midi)

    def run() -> None:
        for number, midi in enumerate(objects):
            midi.write(str(folder / f"{number}.mid"))

    return run


def main(count: int) -> None:
    """Print pieces per second of each way."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        pieces = pieces_of(count)
        exporter = registry().make("exporters", ".mid")
        outputs = Outputs.of([folder / "x.mid"])

        def alone() -> None:
            for number, piece in enumerate(pieces):
                exporter([piece], folder / f"{number}.mid")

        def with_json() -> None:
            for number, piece in enumerate(pieces):
                outputs.rename(folder / str(number)).write(piece)

        def checked() -> None:
            for number in range(count):
                lint((folder / f"{number}.mid").read_bytes())

        write([pieces[0]], folder / "x.mid")
        ways = {
            "pretty_midi.write": by_pretty_midi(pieces, folder),
            "the exporter": alone,
            "and the JSON beside": with_json,
            "the linter": checked,
        }
        found = in_turn(ways, ROUNDS, min, process_time)
    notes = sum(piece.score.note_count for piece in pieces) / count
    print(describe())
    print(f"{count} pieces of {BARS} bars, {notes:.0f} notes each")
    for way, seconds in found.items():
        ratio = found["pretty_midi.write"] / seconds
        print(f"  {way:20} {count / seconds:8,.0f} pieces/s   {ratio:6.1f} x pretty_midi.write")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
