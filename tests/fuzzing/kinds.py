"""The kinds of files that are damaged, by name, with how each is used."""

from filekinds import FILES
from musickinds import MUSIC

KINDS = {**MUSIC, **FILES}
