"""Reads Humdrum `**kern`: columns that split and join, their tokens, and the Score that they make.

The syntax is described at https://www.humdrum.org/guide/ and https://www.humdrum.org/rep/kern/. No library that
was tried reads every split and join of columns in bounded time.
"""
