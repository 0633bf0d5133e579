"""Music files: read and written by suffix, within bounds, and never over another.

formats.py    readers and exporters by suffix
pieces.py     a score with its provenance, for files, other libraries and notebooks
objects.py    music from bytes and from objects of other libraries
outputs.py    the files that a command writes, and may replace; locks and music of folders
folders.py    folders of files that a dataset reads
bounds.py     time and memory for one file
isolation.py  a reader in a process of its own
lint.py       faults of music files, and the warnings of readers, added up
"""
