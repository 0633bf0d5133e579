"""MusicXML files, plain or packed, as trees of elements that are safe to walk.

Refused: archives that unpack to too much, entity declarations (which can grow without end or fetch files), more
elements than a score has, and XML that is no score.
"""

from __future__ import annotations

import zipfile
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError, fromstring
from xml.parsers import expat  # its handlers refuse every entity declaration

from composer.errors import UnreadableFile, printable

MOST_UNPACKED = 64 * 1024 * 1024
MOST_MEMBERS = 1_000
MOST_TAGS = 2_500_000  # four times as many as the largest string quartet has
ROOTS = ("score-partwise", "score-timewise")
_CONTAINER = "META-INF/container.xml"


class _Unsafe(ValueError):
    """A refused text; the message is the reason, in words that follow the file's name."""


def open_document(path: Path) -> Element:
    """Read the root element of the score in a file. Raises UnreadableFile if there is none, or none that is safe."""
    return _parse_score(read_bytes(path), printable(str(path)))


def read_bytes(path: Path) -> bytes:
    """Read the XML in a file, unpacked if need be. Raises UnreadableFile."""
    if path.suffix.lower() != ".mxl":
        return path.read_bytes()
    shown = printable(str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpack(archive, shown)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UnreadableFile(f"{shown}: is not a packed MusicXML file, or is damaged.") from error


def _unpack(archive: zipfile.ZipFile, shown: str) -> bytes:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS or sum(info.file_size for info in members) > MOST_UNPACKED:
        raise UnreadableFile(f"{shown}: unpacks to more than {MOST_UNPACKED // 1024**2} MB; it is not a score.")
    names = archive.namelist()
    named = _find_root_file(archive.read(_CONTAINER)) if _CONTAINER in names else ""
    score = named if named in names else next(filter(_is_score, names), None)
    if score is None:
        raise UnreadableFile(f"{shown}: holds no score; export it again from the program that made it.")
    return archive.read(score)


def _find_root_file(container: bytes) -> str:
    """Find the member that the container names first, which is the score; "" if it names none of MusicXML."""
    try:
        root = _parse_tree(container)
    except (_Unsafe, expat.ExpatError, ParseError, ValueError, LookupError):
        return ""
    for element in root.iter():
        kind = element.get("media-type", "")
        if _strip_namespace(element.tag) == "rootfile" and ("musicxml" in kind or not kind):
            return element.get("full-path", "")
    return ""


def _is_score(name: str) -> bool:
    """Tell whether a member of an archive without a container is its score; macOS adds files of its own."""
    parts = PurePosixPath(name).parts
    is_ours = "META-INF" not in parts and "__MACOSX" not in parts and not parts[-1].startswith("._")
    return is_ours and (PurePosixPath(name).suffix.lower() in (".xml", ".musicxml") or name == ".xml")


def _strip_namespace(tag: str) -> str:
    """Remove the namespace of a tag."""
    return tag.rpartition("}")[2]


def _parse_score(text: bytes, shown: str) -> Element:
    try:
        root = _parse_tree(text)
    except _Unsafe as error:
        raise UnreadableFile(f"{shown}: {error}.") from None
    except (expat.ExpatError, ParseError) as error:
        raise UnreadableFile(f"{shown}: is not well-formed XML ({error}).") from None
    except (ValueError, LookupError):  # of expat, which knows few encodings
        raise UnreadableFile(f"{shown}: is XML in an unsupported encoding; export it as UTF-8.") from None
    if root.tag not in ROOTS:
        raise UnreadableFile(f"{shown}: is XML, but not a MusicXML score (it begins with '{printable(root.tag, 40)}').")
    return root


def _parse_tree(text: bytes) -> Element:
    """Parse the root element. Raises _Unsafe, ParseError or ExpatError, and what expat raises for an encoding."""
    if text.count(b"<") > MOST_TAGS:
        raise _Unsafe(f"holds more than {MOST_TAGS // 2:,} elements; split it into pieces")
    _refuse_entities(text)
    return fromstring(text)  # noqa: S314  (entities are refused before)


def _refuse_entities(text: bytes) -> None:
    """Raise _Unsafe if the document declares entities, which only precede its first element."""
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise _Unsafe("declares entities of its own, which a score never needs; it was not opened")

    def stop(*_: object) -> None:
        raise _Begun

    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = stop
    with suppress(_Begun):
        parser.Parse(text, True)


class _Begun(Exception):
    """The start of the first element of a document."""
