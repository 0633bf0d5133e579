"""Music as values: scores, keys, instruments and tempos, and operations on them.

score.py         Score, Track, signatures and tempos; every other module builds on it
keys.py          keys by name, and key estimation
general_midi.py  instruments and their ranges
tempo_map.py     ticks and seconds
sections.py      the sections of a piece in a form
merging.py       new notes in the gaps of a score
notes.py         notes of tokens, for samplers
score_json.py    a score as JSON
texts.py         texts from outside, cleaned
"""
