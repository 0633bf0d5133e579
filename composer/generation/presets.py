"""Presets: named sets of options, such as `hymn`, from the file beside this one and from one of the user's.

A preset stands for its options, which are all that a request knows of it; those of the command line count before them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composer.errors import BadOption, UnknownName, printable, suggest
from composer.storage.inside import expand_home

CONFIG = "COMPOSER_CONFIG"

FILE = "presets.toml"

MOST_BYTES = 1_000_000

ABOUT = "about"


@dataclass(frozen=True)
class Preset:
    """A named set of options, as typed: by their names on the command line, without the dashes."""

    name: str
    options: Mapping[str, Any]
    about: str = ""


def find_presets_file() -> Path:
    """Find the user's file, which need not be there: in `COMPOSER_CONFIG`, or the platform's folder of settings."""
    if chosen := os.environ.get(CONFIG):
        return expand_home(chosen) / FILE
    from platformdirs import user_config_path

    return user_config_path("composer-midi") / FILE


def list_presets() -> dict[str, Preset]:
    """List the presets by name, those of the user in the place of others. Raises BadOption for an invalid file."""
    own = find_presets_file()
    return _read_presets(Path(__file__).with_name(FILE)) | (_read_presets(own) if own.is_file() else {})


def get_preset(name: str) -> Preset:
    """Get a preset by its name. Raises UnknownName, with the nearest one, and BadOption for an invalid file."""
    known = list_presets()
    if name.lower() not in known:
        raise UnknownName(f"there is no preset '{printable(name)}': {suggest(name.lower(), known)}")
    return known[name.lower()]


def _read_presets(path: Path) -> dict[str, Preset]:
    shown = printable(str(path), 200)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadOption(f"{shown}: has more than {MOST_BYTES:,} bytes, which no presets need.")
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadOption(f"{shown}: cannot be read as TOML ({printable(str(error))}).") from None
    for name, table in tables.items():
        if not isinstance(table, dict) or any(isinstance(value, dict) for value in table.values()):
            raise BadOption(f"{shown}: '{printable(name)}' is no table of options, such as [{printable(name)}].")
    return {
        name.lower(): Preset(
            name.lower(),
            {key.replace("_", "-"): value for key, value in table.items() if key != ABOUT},
            str(table.get(ABOUT, "")),
        )
        for name, table in tables.items()
    }
