"""A piece in the forms that other plugins write, as bytes. Any of them may be missing."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from composer.errors import ComposerError, printable
from composer.plugins.registry import registry
from composer.types import Piece

ENGRAVED = ".svg"
SOUNDING = (".mid",)
PLAIN = (*SOUNDING, ".musicxml")
ALL = (*PLAIN, ENGRAVED)


@dataclass(frozen=True)
class Forms:
    """The written files by suffix, and the reason for each missing one."""

    data: Mapping[str, bytes]
    missing: Mapping[str, str]


def write_forms(piece: Piece, suffixes: Sequence[str]) -> Forms:
    """Write the piece in each of these forms that has an exporter."""
    data, missing = {}, {}
    with tempfile.TemporaryDirectory(prefix="composer-page-") as folder:
        for suffix in suffixes:
            if suffix not in registry().offers["exporters"]:
                continue
            try:
                data[suffix] = _write_form(piece, suffix, Path(folder) / f"piece{suffix}")
            except ComposerError as error:
                missing[suffix] = printable(str(error).removeprefix(str(Path(folder) / f"piece{suffix}: ")), 200)
            except Exception as error:  # a fault of another plugin costs one form, and not the page
                missing[suffix] = printable(f"{type(error).__name__}: {error}", 200)
    return Forms(data, missing)


def _write_form(piece: Piece, suffix: str, path: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exporting the form by itself shows them
        registry().make("exporters", suffix)([piece], path)
    return path.read_bytes()
