"""Music files: read and written by suffix, within bounds, and never over another.

formats.py    readers and exporters by suffix
pieces.py     a score with its provenance, written to files and other libraries
objects.py    music from bytes and from objects of other libraries
notebook.py   pieces in a notebook
outputs.py    the files that a command writes, and may replace
folders.py    the music files of a folder
bounds.py     time and memory for one file
isolation.py  a reader in a process of its own
remarks.py    warnings of readers, added up
lint.py       faults of music files that other programs would object to
"""
