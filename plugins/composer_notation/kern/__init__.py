"""Reads Humdrum `**kern`: columns that split and join, their tokens, and the Score that they make.

    spines.py    columns and sections
    tokens.py    tokens, chord symbols and players
    measures.py  measures, in time
    score.py     a file as a Score, ties joined

The syntax is described at https://www.humdrum.org/guide/ and https://www.humdrum.org/rep/kern/. No library that was
tried reads every split and join of columns in bounded time.
"""
