"""Files: read and written by suffix, whole or not at all, and never over another.

formats.py    readers and exporters by suffix, and files that appear whole
objects.py    music from bytes and from objects of other libraries, and back
notebook.py   pieces in a notebook
outputs.py    what a command may write over
lint.py       what other programs would object to in a music file
opening.py    regular files alone
bounds.py     time and memory for one file
isolation.py  a reader in a process of its own
remarks.py    what readers said, added up
paths.py      paths as they are typed
inside.py     paths inside a folder that may come from anybody
seals.py      whether a folder is this user's own
cache.py      where things are kept
toml.py       TOML, bounded
"""
