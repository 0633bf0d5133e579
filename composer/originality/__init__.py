"""Originality: what a piece shares with the music that a model learnt from; it knows no model.

lines.py      a score as lines of (interval, ratio of durations), whatever its key and tempo
suffixes.py   a suffix array over whole numbers, and the longest matches in it
index.py      the lines of a corpus, indexed on disk
passages.py   how much of a piece is there, where, and for how many notes in a row
held_out.py   the same of real pieces that the index does not hold, to hold it beside
"""
