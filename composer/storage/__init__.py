"""Files and folders on disk, whatever their content.

atomic.py   files and folders that appear whole or not at all
opening.py  regular files only
inside.py   paths as users type them, and paths in a folder from anybody
seals.py    proof that a user wrote a text
cache.py    the cache folder
toml.py     TOML, bounded
"""
