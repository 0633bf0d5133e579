"""Originality: the passages that a piece shares with the training music.

suffixes.py  a suffix array over whole numbers, and the longest matches in it
index.py     the lines of a corpus, (interval, ratio of durations), indexed on disk
passages.py  the passages that a piece shares with the indexed music
held_out.py  the same figures of held-out real pieces, and the training music of a model
"""
