"""Whether MusicXML, plain or packed, is safe to hand to a parser; it knows no music.

Refused: archives that unpack to too much, entity declarations (which can grow without end or fetch files), elements
nested beyond reason, and XML that is no score.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from xml.parsers import expat  # its handlers refuse every entity declaration

from composer.errors import UnreadableFile, printable

MOST_UNPACKED = 64 * 1024 * 1024
MOST_MEMBERS = 1_000
DEEPEST = 100
_SMALL = ("beats", "beat-type", "fifths")  # a hundred or more of these, and music21 is never done
ROOTS = ("score-partwise", "score-timewise")


class _Unsafe(ValueError):
    """Why a text is refused, in words that follow the file's name."""


def check_xml(path: Path) -> None:
    """Raise UnreadableFile if the file is not XML with a score in it, or not safe."""
    _check(path.read_bytes(), printable(str(path)))


def check_archive(path: Path) -> None:
    """Raise UnreadableFile if the `.mxl` file is not a zip archive with a safe score in it."""
    shown = printable(str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, shown)
            score = next(filter(_is_score, archive.namelist()), None)  # the one that music21 reads
            if score is None:
                raise UnreadableFile(f"{shown}: holds no score; export it again from the program that made it.")
            _check(archive.read(score), shown)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UnreadableFile(f"{shown}: is not a packed MusicXML file, or is damaged.") from error


def xml_of(path: Path) -> bytes:
    """The MusicXML in a file that was checked, unpacked if need be."""
    if path.suffix.lower() != ".mxl":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(filter(_is_score, archive.namelist())))


def _check_sizes(archive: zipfile.ZipFile, shown: str) -> None:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS or sum(info.file_size for info in members) > MOST_UNPACKED:
        raise UnreadableFile(f"{shown}: unpacks to more than {MOST_UNPACKED // 1024**2} MB; it is no score.")


def _is_score(name: str) -> bool:
    return "META-INF" not in name and (PurePosixPath(name).suffix in (".xml", ".musicxml", ".mxl") or name == ".xml")


def _check(text: bytes, shown: str) -> None:
    parser = expat.ParserCreate()
    open_elements: list[str] = []

    def begin(name: str, _: object) -> None:
        open_elements.append(name)
        if len(open_elements) > DEEPEST:
            raise _Unsafe("is nested too deeply to be a score")
        if len(open_elements) == 1 and name not in ROOTS:
            raise _Unsafe(f"is XML, but no MusicXML score (it begins with '{printable(name, 40)}')")

    def declare(*_: object) -> None:
        raise _Unsafe("declares entities of its own, which a score never needs; it was not opened")

    def read(text: str) -> None:
        if open_elements[-1] in _SMALL and any(len(number) > 2 for number in re.findall(r"[0-9]+", text)):
            raise _Unsafe(f"has a <{open_elements[-1]}> of {printable(text, 20)}; correct it first")

    parser.StartElementHandler = begin
    parser.CharacterDataHandler = read
    parser.buffer_text = True
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.EntityDeclHandler = declare
    try:
        parser.Parse(text, True)
    except _Unsafe as error:
        raise UnreadableFile(f"{shown}: {error}.") from None
    except expat.ExpatError as error:
        raise UnreadableFile(f"{shown}: is not well-formed XML ({error}).") from None
    except (ValueError, LookupError):  # of expat, which knows few encodings
        raise UnreadableFile(f"{shown}: is XML in an encoding that is not read; export it as UTF-8.") from None
