"""Music as values: scores, keys, instruments and tempos, and operations on them.

score.py         Score, Track and their signs; every other module builds on it
keys.py          keys by name, and the key that a score seems to be in
general_midi.py  instruments and their ranges
tempo_map.py     ticks and seconds
sections.py      the sections of a piece in a form
merging.py       new music put into the gaps of a score
notes.py         notes by voice, as tokenizers see them
score_json.py    a score as JSON
texts.py         texts from outside, cleaned
"""
