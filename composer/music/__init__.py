"""Music as values: scores, keys, instruments and tempos, and operations on them.

score.py         Score, Track, signatures, tempos, texts; every other module builds on it
keys.py          keys by name, and key estimation
chords.py        chords by name, and bars of them
general_midi.py  instruments and their ranges
tempo_map.py     ticks and seconds
phrases.py       where the music comes to rest
sections.py      the sections of a piece: marked, named, cut out, joined
parts.py         a part by its name or number
transposing.py   a score in another key
merging.py       new notes in the gaps of a score
stretches.py     the chord symbols of two scores, joined
score_json.py    a score as JSON
"""
