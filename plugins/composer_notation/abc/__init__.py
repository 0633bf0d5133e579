"""ABC tunes as measures and as Scores: read here, since music21 is slow at it and may never end on a long bar.

The notation is described at https://abcnotation.com/wiki/abc:standard:v2.1.
"""
