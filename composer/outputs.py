"""Outputs: the files that one piece goes to, in one form or in several; it knows no format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from composer.errors import BadOption, nearest, printable
from composer.files import check_place, exporter, suffix_of, whole_file
from composer.types import Exporter, Piece


@dataclass(frozen=True)
class Outputs:
    """Files, and what writes each; made before the work, so that nothing is written in vain."""

    paths: tuple[Path, ...]
    exporters: tuple[Exporter, ...]

    @staticmethod
    def of(paths: Sequence[Path], options: Mapping[str, Mapping[str, Any]] | None = None) -> Outputs:
        """Of these files, with options by suffix, which stands without its dot: `{"wav": {"gain": "2"}}`.

        Raises CannotWrite for a place or a format that cannot be written; BadOption for options that their exporter has
        not, or that are for a suffix that no file has.
        """
        options = options or {}
        suffixes = [suffix_of(path).removeprefix(".") for path in paths]
        for suffix in options:
            if suffix not in suffixes:
                raise BadOption(f"no '.{printable(suffix)}' file is to be written: {nearest(suffix, suffixes)}")
        for path in paths:
            check_place(path)
        made = [exporter(path, **options.get(suffix, {})) for path, suffix in zip(paths, suffixes, strict=True)]
        return Outputs(tuple(paths), tuple(made))

    def named(self, stem: Path) -> Outputs:
        """The same forms beside `stem`, a path without a suffix."""
        return replace(self, paths=tuple(stem.with_name(stem.name + suffix_of(path)) for path in self.paths))

    def write(self, piece: Piece) -> None:
        """Write one piece to every file, and beside the first (`piece.mid.json`) what made it. Raises CannotWrite."""
        for path, export in zip(self.paths, self.exporters, strict=True):
            export([piece], path)
        beside = self.paths[0].with_name(self.paths[0].name + ".json")
        if not piece.provenance:
            beside.unlink(missing_ok=True)  # it would tell of another piece
            return
        with whole_file(beside) as scratch:
            scratch.write_text(json.dumps(dict(piece.provenance), indent=1) + "\n", encoding="utf-8")


def write_piece(piece: Piece, path: Path) -> None:
    """Write one piece to one file, and what made it beside it. Raises CannotWrite."""
    Outputs.of([path]).write(piece)


def parse_options(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """`wav.soundfont=mine.sf2` as options by suffix. Raises BadOption."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        suffix, _, option = name.strip().removeprefix(".").rpartition(".")
        if not (equals and suffix and option):
            raise BadOption(f"'{printable(text)}' is no option of an exporter such as wav.soundfont=FILE.")
        found.setdefault(suffix.lower(), {})[option.replace("-", "_")] = value
    return found
