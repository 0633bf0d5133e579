"""Random scores of everything that notation holds: for tests that write them and read them again."""

from composer.music.keys import ALL_KEYS
from composer.music.score import ChordSymbol, KeySignature, Score, Tempo, Text, TimeSignature, Track, make_notes

GRID = (30, 60, 120, 180, 240, 360, 480, 720, 960, 1440, 1920, 160, 80, 320, 96)
"""Lengths in ticks: from a 64th to a whole note, dotted ones, triplets and a quintuplet."""

METRES = (
    (4, 4), (3, 4), (2, 4), (6, 8), (9, 8), (12, 8), (2, 2), (3, 2), (4, 2), (5, 4), (7, 8), (1, 4), (3, 8), (5, 8),
    (3, 16), (11, 16), (2, 1), (8, 8), (13, 8), (15, 16),
)  # fmt: skip
WORDS = ("Verse", "Chorus 2", "A'", "B & <C>", "Coda?", "Élan vital", "前奏", '"so"', "D.C.", "x" * 200, "1", "&amp;")
CHORDS = ("C", "Am", "F#m7b5", "Bb7", "G/B", "Dsus4", "Ebmaj7", "Cdim", "E7#9", "Abm6", "B+", "C#dim7", "Gm(maj7)")
DRUMS = range(27, 88)


def random_score(choose):
    """A score of up to six tracks; `choose` is a `random.Random`."""
    metres, starts = _metres(choose)
    end = starts[-1]
    upbeat = choose.choice([0, 0, metres[0].bar_ticks // 2 // 120 * 120])
    shift = (upbeat - metres[0].bar_ticks) if upbeat else 0
    metres = tuple(TimeSignature(max(m.tick + shift, 0), m.numerator, m.denominator) for m in metres)
    starts = [0, *(start + shift for start in starts[1:])]
    tracks = [_track(choose, end + shift) for _ in range(choose.randint(1, 5))]
    if choose.random() < 0.4:
        tracks.append(_drums(choose, end + shift))
    end = max(int((track.notes["start"] + track.notes["duration"]).max()) for track in tracks if not track.is_drum)
    starts = [start for start in starts if start < end]
    places = sorted({0, *choose.sample(starts, min(3, len(starts)))})
    keys = choose.sample(ALL_KEYS, len(places))
    bpms = choose.sample([60.0, 120.0, 92.5, 29.36, 281.5, round(choose.uniform(30, 280), 2)], len(places))
    return Score(
        tuple(tracks),
        tempos=tuple(map(Tempo, places, bpms)),
        time_signatures=metres,
        key_signatures=tuple(map(KeySignature, places, keys)),
        upbeat=upbeat,
        markers=tuple(Text(tick, choose.choice(WORDS)) for tick in places[1:]),
        chords=tuple(ChordSymbol(tick, choose.choice(CHORDS)) for tick in places),
        title=choose.choice(WORDS),
    )


def _metres(choose):
    """Time signatures, and where their bars begin, and where the last one ends."""
    metres, starts, tick = [], [], 0
    for _ in range(choose.randint(1, 3)):
        metre = TimeSignature(tick, *choose.choice(METRES))
        metres += [metre] if not metres or str(metre) != str(metres[-1]) else []
        for _ in range(choose.randint(2, 5)):
            starts.append(tick)
            tick += metre.bar_ticks
    return metres, [*starts, tick]


def _track(choose, end):
    rows, tick = [], 0
    low, longer = choose.randint(21, 90), choose.choice([1, 1, 2])
    while tick < end:
        length = min(choose.choice(GRID[: choose.choice([10, 11, 15])]), end - tick)
        if length in (160, 80, 320, 96):  # as many as fill a beat or half of one
            count = 5 if length == 96 else 3
            if tick % 480 or tick + count * length > end:
                continue
            rows += [(tick + n * length, length, choose.randint(low, low + 18), _loud(choose)) for n in range(count)]
            tick += count * length
            continue
        if choose.random() < 0.8:
            loud, held = (
                _loud(choose),
                choose.choice([length, length, max(length // 60 * 30, 30), min(longer * length, end - tick)]),
            )
            pitches = choose.sample(range(low, low + 18), choose.choice([1, 1, 1, 2, 4]))
            rows += [(tick, held, pitch, loud) for pitch in pitches]
        tick += length
    rows = rows or [(0, 30, low, 80)]
    name = choose.choice(["", "Flute", "Violin I", "Piano", "Voix & chœur", "<b>", *WORDS[:4]])
    return Track(make_notes(rows), name, choose.randrange(128))


def _drums(choose, end):
    hits = {(choose.randrange(0, end, 120), choose.choice(DRUMS)) for _ in range(30)}
    return Track(make_notes([(tick, 60, pitch, 80) for tick, pitch in hits]), "Drums", 0, is_drum=True)


def _loud(choose):
    return choose.choice([80, 80, choose.randint(1, 127)])
