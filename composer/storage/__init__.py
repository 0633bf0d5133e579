"""Files and folders on disk, whatever their content.

atomic.py   files and folders that appear whole or not at all
opening.py  regular files alone
paths.py    paths as they are typed
inside.py   paths inside a folder that may come from anybody
seals.py    whether a folder is this user's own
cache.py    where things are kept
toml.py     TOML, bounded
"""
