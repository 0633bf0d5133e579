"""MusicXML read twice: by our reader and by music21, over the corpus that music21 brings.

Both read every measure once, as written. Where they differ, it is in one of these ways:

- `places`: the same notes, but music21 makes an irregular measure as long as its metre says.
- `ties`: each pitch sounds as long in all, but a tie from one voice to another is none in music21.
- `a few notes`: 3 % of the notes or fewer. music21 joins notes of different pitch by a tie, lets cues sound, and takes
  a drawn accidental for a sounding one.
"""

import random
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from composer.music.score import TICKS_PER_QUARTER
from composer_notation.musicxml.document import open_document
from composer_notation.musicxml.parts import read_parts
from composer_notation.musicxml.score import make_score

pytestmark = pytest.mark.filterwarnings("ignore")
CORPUS = Path(find_spec("music21").origin).parent / "corpus"
PIECES = sorted(path for path in CORPUS.rglob("*") if path.suffix in (".mxl", ".xml", ".musicxml"))
SMALL = [path for path in PIECES if path.stat().st_size < 8_000]  # nearly all are chorales
ROUNDED = 2  # ticks: music21 rounds tuplets


def by_ours(path):
    """Notes as (pitch, start, duration) in ticks, and metres."""
    score = make_score(read_parts(open_document(path)), repeats=False)
    notes = [(int(n["pitch"]), int(n["start"]), int(n["duration"])) for t in score.tracks for n in t.notes]
    return sorted(notes), {f"{mark.numerator}/{mark.denominator}" for mark in score.time_signatures}


def by_music21(path):
    from music21 import converter, harmony, instrument, meter

    stream = converter.parse(path, forceSource=True)
    if any(its.transposition for its in stream.recurse().getElementsByClass(instrument.Instrument)):
        stream = stream.toSoundingPitch()
    stream = stream.stripTies()
    notes = []
    for element in stream.recurse().notes:
        if not (element.duration.isGrace or isinstance(element, harmony.Harmony)):
            at = ticks(element.getOffsetInHierarchy(stream)), ticks(element.quarterLength)
            singles = [single for single in getattr(element, "notes", (element,)) if hasattr(single, "pitch")]
            notes += [(round(single.pitch.ps), *at) for single in singles]
    return sorted(notes), {sign.ratioString for sign in stream.recurse().getElementsByClass(meter.TimeSignature)}


def ticks(quarters):
    return round(float(quarters) * TICKS_PER_QUARTER)


def difference(ours, theirs):
    """In which way two readings of a piece differ; "" if they do not."""
    if len(ours) == len(theirs) and all(
        abs(a - b) <= ROUNDED for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True)
    ):
        return ""
    if anywhere(ours) == anywhere(theirs):
        return "places"
    if sounding(ours) == sounding(theirs):
        return "ties"
    only = max(sum((anywhere(a) - anywhere(b)).values()) for a, b in ((ours, theirs), (theirs, ours)))
    return "a few notes" if only <= max(0.03 * len(theirs), 20) else "others"


def anywhere(notes):
    return Counter((pitch, round(duration / 10)) for pitch, _, duration in notes)


def sounding(notes):
    found = Counter()
    for pitch, _, duration in notes:
        found[pitch] += duration
    return {pitch: round(total / 240) for pitch, total in found.items()}


def test_some_pieces_are_read_as_music21_reads_them():
    for path in random.Random(3).sample(SMALL, 12):
        (ours, metres), (theirs, other_metres) = by_ours(path), by_music21(path)
        assert difference(ours, theirs) in ("", "places", "ties"), path
        assert other_metres <= metres, path


@pytest.mark.soak
def test_the_corpus_is_read_as_music21_reads_it():
    found = {path: difference(by_ours(path)[0], by_music21(path)[0]) for path in PIECES}
    print(Counter(found.values()), [path.name for path, how in found.items() if how == "others"])
    assert sum(how != "others" for how in found.values()) >= 0.99 * len(PIECES)
    assert sum(how == "" for how in found.values()) >= 0.85 * len(PIECES)
