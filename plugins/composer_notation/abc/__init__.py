"""Reads ABC tunes as measures and Scores; music21 is slow at it, and may hang on a long bar.

The notation is described at https://abcnotation.com/wiki/abc:standard:v2.1.

reading.py   files
tunebook.py  the text of a file, split into tunes
macros.py    abbreviations, expanded
symbols.py   notes, bar lines, decorations, text strings
fields.py    key, time, tempo, voices
rhythm.py    durations
melody.py    the measures of a voice
playing.py   the playing order
score.py     a tune as a Score
"""
