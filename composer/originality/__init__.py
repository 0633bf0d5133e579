"""Originality: the passages that a piece shares with the training music.

lines.py      a score as lines of (interval, ratio of durations), whatever its key and tempo
suffixes.py   a suffix array over whole numbers, and the longest matches in it
index.py      the lines of a corpus, indexed on disk
passages.py   the passages that a piece shares with the indexed music
held_out.py   the same figures of held-out real pieces, for reference
training_music.py   the training music of a model
"""
