"""Reads MusicXML: parts, measures and signs as written, and the Score that they make.

    document.py   files as trees of elements
    values.py     numbers and chord symbols in elements
    signs.py      bar lines, endings and jumps
    measures.py   measures as written
    parts.py      parts
    score.py      a document as a Score
    movements.py  its movements, each as a Score with a track for each part

The format is described at https://www.w3.org/2021/06/musicxml40/. No library that was tried reads all of a page in
bounded time: see "How notation files are read" in `plugins/README.md`.
"""
