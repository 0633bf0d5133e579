"""What lies in a folder, to be held against what lies there later."""

import os
from pathlib import Path


def tree(folder, *without):
    """Mode, and content or aim, of everything in a folder by its path, but of what is in some folders of it."""
    found = {}
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(place, name) not in without or Path(place, name).is_symlink()]
        for path in (Path(place, name) for name in [*folders, *files]):
            mode, content = path.lstat().st_mode, b""
            if path.is_symlink():
                content = str(path.readlink())
            elif path.is_file():
                content = path.read_bytes()
            found[str(path)] = (mode, content)
    return found
