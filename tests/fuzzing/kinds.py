"""The kinds of files that are damaged, by name, with how each is used."""

from filekinds import FILES
from folderkinds import FOLDERS
from modelkinds import MODELS
from musickinds import MUSIC
from resultkinds import RESULTS

OURS = {**FILES, **RESULTS}


class Ours:
    """All kinds of our own files in turn, so that a few of each take one process."""

    foreign = False

    def __init__(self, folder):
        self.folder, self.kinds = folder, []
        for name, kind in OURS.items():
            (folder / name).mkdir()
            self.kinds.append(kind(folder / name))
        self.kind = self.kinds[0]

    @property
    def data(self):
        return self.kind.data

    def put(self, draw):
        self.kind = draw.choice(self.kinds)
        path = self.kind.put(draw)
        (self.folder / "now").write_bytes(self.data)
        return path

    def use(self, path):
        self.kind.use(path)

    def learn(self, said):
        """Nothing leads these."""


KINDS = {**MUSIC, **MODELS, **OURS, **FOLDERS, "ours": Ours}
