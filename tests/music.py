"""Small music for tests: scores, written as rows of (pitch, quarters), and piano rolls."""

import json
from pathlib import Path

import numpy as np

from composer.io import formats
from composer.music.keys import parse_key
from composer.music.score import ChordSymbol, KeySignature, Score, TimeSignature, Track, make_notes
from composer.types import Piece

QUARTER, BAR = 480, 1920
ALWAYS = 10**9


def line(*notes, start=0, velocity=80, **track):
    """A track of (pitch, quarters) in a row; a pitch of 0 is a rest, several pitches are a chord."""
    rows, tick = [], start
    for pitches, quarters in notes:
        chord = pitches if isinstance(pitches, tuple) else (pitches,)
        rows += [(tick, int(quarters * QUARTER), pitch, velocity) for pitch in chord if pitch]
        tick += int(quarters * QUARTER)
    return Track(make_notes(rows), **track)


def drums(*hits, velocity=80):
    """A track of (quarter at which it is struck, sound)."""
    return Track(make_notes([(int(at * QUARTER), 40, sound, velocity) for at, sound in hits]), is_drum=True)


def score(*tracks, metres=((0, 4, 4),), key="C", **fields):
    signatures = tuple(TimeSignature(*metre) for metre in metres)
    return Score(tracks, time_signatures=signatures, key_signatures=(KeySignature(0, parse_key(key)),), **fields)


def notes(track):
    """Rows of (start, length, pitch), in quarters."""
    return [(n["start"] / QUARTER, n["duration"] / QUARTER, int(n["pitch"])) for n in track.notes]


def words(tokenizer, tokens):
    """Tokens by name, as one text."""
    return " ".join(tokenizer.vocabulary[token] for token in tokens)


def roll(*frames):
    """A piano roll; each frame is a tuple of the MIDI pitches that are on."""
    found = np.zeros((len(frames), 88), dtype=np.uint8)
    for row, pitches in zip(found, frames, strict=True):
        row[[pitch - 21 for pitch in pitches]] = 1
    return found


def tune_roll(number):
    """A roll of eight frames, another one for each number."""
    pitches = np.random.default_rng(number).integers(60, 72, 8).tolist()
    return roll(*((pitch, 48) for pitch in pitches))


def save_rolls(path, train, valid, test, **more):
    """A MATLAB file of rolls, as the published sets are."""
    from scipy.io import savemat

    cells = {}
    for name, rolls in (("traindata", train), ("validdata", valid), ("testdata", test)):
        cells[name] = np.empty((1, len(rolls)), dtype=object)
        cells[name][0, :] = rolls
    savemat(path, {**cells, **more}, do_compression=True)


def save_chorales(path, train, valid, test):
    """A file of chorales at 16ths, as the published set is: so many pieces of a few bars in each split."""
    random = np.random.default_rng(0)

    def chorale():
        quarters = np.array([67, 64, 60, 48]) + random.integers(0, 5, (12, 4))
        return quarters.repeat(4, axis=0).tolist()

    counts = {"train": train, "valid": valid, "test": test}
    Path(path).write_text(json.dumps({side: [chorale() for _ in range(count)] for side, count in counts.items()}))


def save_openscore(folder, train, valid, test):
    """A folder as OpenScore's songs: so many of four bars in each split, a voice above a piano."""
    sets = {"train": (1, 2, 4, 6), "valid": (11,), "test": (3, 5)}  # by the hashes of their names
    for side, count in {"train": train, "valid": valid, "test": test}.items():
        for number in range(count):
            random = np.random.default_rng((number, len(side)))
            tune = [(int(pitch), 1) for pitch in random.integers(60, 80, 16)]
            chords = [((48, 52 + int(random.integers(3)), 55), 2) for _ in range(8)]
            tracks = line(*tune, name="Voice", program=52), line(*chords, name="Piano")
            path = Path(folder, "Haydn,_Joseph", f"Set_{sets[side][number % len(sets[side])]}", f"{number}.musicxml")
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write([Piece(score(*tracks))], path)


def save_groove(folder, train, valid, test):
    """A folder as the Groove MIDI Dataset: so many takes of two bars in each split, rock beats and funk fills."""
    random, root = np.random.default_rng(0), Path(folder)
    rows = ["style,bpm,beat_type,time_signature,midi_filename,split"]
    for split, count in {"train": train, "validation": valid, "test": test}.items():
        for number in range(count):
            name, about = f"drummer1/{split}{number}.mid", ("rock/halftime,90,beat", "funk,105,fill")[number % 2]
            hits = [(place / 4, int(random.choice([36, 38, 42]))) for place in range(32)]
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            formats.write([Piece(score(drums(*hits, velocity=int(random.integers(20, 120)))))], path)
            rows.append(f"{about},4-4,{name},{split}")
    (root / "info.csv").write_text("\n".join(rows) + "\n")


def save_sheets(folder, count):
    """A folder of so many lead sheets of two bars, as OpenEWLD is."""
    random, root = np.random.default_rng(0), Path(folder)
    root.mkdir()
    for number in range(count):
        tune = line(*[(int(pitch), 1) for pitch in random.integers(60, 73, 8)], name="Lead")
        chords = tuple(ChordSymbol(BAR * bar, text) for bar, text in enumerate(random.choice(["C", "G7", "Am"], 2)))
        formats.write([Piece(score(tune, chords=chords))], root / f"{number}.mxl")


MUSIC = {
    "rests": score(line((60, 1), (62, 2), (0, 2), (64, 3), name="Tune", program=73)),
    "an upbeat, two parts": score(
        line((67, 1), (72, 2), (71, 1), (72, 4), name="Flute", program=73),
        line((0, 1), (48, 4), (43, 3), name="Cello", program=42),
        upbeat=QUARTER,
        key="Dm",
    ),
}
"""Scores of one and of two single lines."""
