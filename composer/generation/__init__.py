"""Generation: pieces from requests, of every kind.

generator.py     a model ready to write, and pieces from requests
tasks.py         requests, infills and forms side by side
infilling.py     new music around notes that are fixed
continuation.py  new music after a primer
primers.py       primers from files and typed notes
form/            pieces in sections
degeneration.py  loops, found and drawn anew
ranking.py       the best of several pieces
streaming.py     a piece while it is written
asking.py        all of these in one call, for Python
options.py       options by the names that the command line and Python share
"""
