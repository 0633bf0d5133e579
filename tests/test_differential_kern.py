"""Kern beside other readers: of the pieces that come with music21, music21 and verovio read the same notes as ours.

Where neither agrees, the reason is one of these:

- A list of sections (`*>[A,A,B]`) is played here. music21 plays repeat signs alone, and verovio not every list.
- Grace notes, trills and turns take time from other notes in verovio; here they are left out, and that is said.
- A tie that is written at its first note alone is one here and in music21, and none in verovio.
"""

import io
import json
import re
import subprocess
import sys
import warnings
from contextlib import redirect_stderr
from pathlib import Path

import music21
import pytest

from composer.errors import ReadingWarning
from composer_notation.reader import NotationReader

CORPUS = Path(music21.__file__).parent / "corpus"
PIECES = sorted(CORPUS.rglob("*.krn"))
SOME = [*(path for path in PIECES if path.parent.name == "bach"), *PIECES[50::190]]
Q = 480  # ticks of a quarter note
TOLERANCE = 8  # ticks: verovio has 120 to a quarter note, and ends each note one early

VEROVIO = """
import base64, json, sys
import symusic, verovio
verovio.enableLog(verovio.LOG_OFF)
for path in sys.argv[1:]:
    toolkit = verovio.toolkit()
    toolkit.setInputFrom("humdrum")
    toolkit.loadData(open(path, encoding="latin-1").read())
    score = symusic.Score.from_midi(base64.b64decode(toolkit.renderToMIDI()))
    ticks = 480 // score.ticks_per_quarter
    tracks = [[(n.time * ticks, (n.duration + 1) * ticks, n.pitch) for n in track.notes] for track in score.tracks]
    tempos = [round(score.tempos[0].qpm, 3)] if score.tempos else []
    metres = [(m.numerator, m.denominator) for m in score.time_signatures[:1]]
    print(json.dumps([tracks, tempos, metres]), flush=True)
"""


def by_ours(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReadingWarning)
        score = NotationReader()(path)
    tracks = [[(int(n["start"]), int(n["duration"]), int(n["pitch"])) for n in t.notes] for t in score.tracks]
    return score, tracks


def by_verovio(paths):
    """Tracks, first tempo and first metre of each piece; None where verovio dies, which it does of some files."""
    found, waiting = {}, list(paths)
    while waiting:
        done = subprocess.run([sys.executable, "-c", VEROVIO, *map(str, waiting)], capture_output=True, text=True)
        read = [json.loads(line) for line in done.stdout.splitlines()]
        found.update(zip(waiting, [*read, None], strict=False))
        waiting = waiting[len(read) + 1 :]
    return found


def by_music21(path):
    """Parts, first tempo and first metre, and the key; None for a piece with repeats."""
    if re.search(r"(?m)^=.*:|^\*>", path.read_text("latin-1")):
        return None
    with redirect_stderr(io.StringIO()):
        stream = music21.converter.parse(path, format="humdrum", forceSource=True)
    first = stream.parts[0].flatten()
    tempos = [mark.getQuarterBPM() for mark in first.getElementsByClass("MetronomeMark")][:1]
    metres = [[mark.numerator, mark.denominator] for mark in first.getElementsByClass("TimeSignature")][:1]
    keys = [(key.sharps, getattr(key, "mode", None)) for key in first.getElementsByClass("KeySignature")][-1:]
    return [list(sounding(part)) for part in stream.parts], tempos, metres, keys


def sounding(part):
    """The notes of a music21 part in ticks, ties joined."""
    begun = {}
    for element in part.flatten().notes:
        for note in getattr(element, "notes", (element,)):
            start, length = (round(time * Q) for time in (element.offset, element.quarterLength))
            if element.duration.isGrace:
                continue
            start = begun.pop((note.pitch.midi, start), start)
            end = round(element.offset * Q) + length
            if note.tie and note.tie.type in ("start", "continue"):
                begun[note.pitch.midi, end] = start
            else:
                yield start, end - start, note.pitch.midi


def alike(ours, theirs, tolerance):
    """Whether notes are the same, track by track where there are as many."""
    if len(ours) != len(theirs):
        ours, theirs = ([[note for track in tracks for note in track]] for tracks in (ours, theirs))
    return all(_same(mine, other, tolerance) for mine, other in zip(ours, theirs, strict=True))


def _same(ours, theirs, tolerance):
    pairs = zip(sorted(ours, key=_by_pitch), sorted(map(tuple, theirs), key=_by_pitch), strict=False)
    close = all(
        a[2] == b[2] and abs(a[0] - b[0]) <= tolerance and abs(sum(a[:2]) - sum(b[:2])) <= tolerance for a, b in pairs
    )
    return len(ours) == len(theirs) and close


def _by_pitch(note):
    start, length, pitch = note
    return pitch, start, length


def same_marks(score, theirs):
    """Whether the first tempo and the first metre are those of another reader."""
    tempos, metres = theirs[1:3]
    has_tempo = not score.tempos or [round(score.tempos[0].bpm, 3)] == [round(bpm, 3) for bpm in tempos]
    first = score.time_signatures[0]
    return has_tempo and (not metres or list(metres[0]) == [first.numerator, first.denominator])


def same_key(path, score, keys):
    """Whether the key has the signature that music21 finds, and its mode; church modes are none to music21."""
    if not keys or re.search(r"(?m)\*[A-Ga-g][#-]*:[a-z]", path.read_text("latin-1")):
        return True
    key, (sharps, mode) = score.key_signatures[0].key, keys[0]
    return (key.fifths - sharps) % 12 == 0 and (mode is None or key.minor == (mode == "minor"))


def agreeing(path, verovio):
    """The names of the readers that agree with ours on a piece. `verovio`: what that one reads."""
    score, tracks = by_ours(path)
    found = []
    if verovio and alike(tracks, verovio[0], TOLERANCE) and same_marks(score, verovio):
        found.append("verovio")
    music = by_music21(path)
    if music and alike(tracks, music[0], 0) and same_marks(score, music) and same_key(path, score, music[3]):
        found.append("music21")
    return found


def test_pieces_are_read_as_others_read_them():
    verovio = by_verovio(SOME)
    for path in SOME:
        expected = ["verovio"] if by_music21(path) is None else ["verovio", "music21"]
        assert agreeing(path, verovio[path]) == expected, path.name


@pytest.mark.soak
def test_the_corpus_is_read_as_others_read_it():
    verovio = by_verovio(PIECES)
    found = {path: agreeing(path, verovio[path]) for path in PIECES}
    alone = [str(path.relative_to(CORPUS)) for path, readers in found.items() if not readers]
    counts = {name: sum(name in readers for readers in found.values()) for name in ("verovio", "music21")}
    print(f"{len(PIECES)} pieces, read alike by {counts}; by neither: {alone}")
    assert len(alone) <= len(PIECES) / 100
