"""Reads ABC tunes as measures and Scores; music21 is slow at it, and may hang on a long bar.

The notation is described at https://abcnotation.com/wiki/abc:standard:v2.1.
"""
