"""Plugin: pieces as sound files."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers
from composer_sound.encoding import FORMATS
from composer_sound.exporting import SoundExporter


@hookimpl
def register_exporters() -> Offers:
    """Register the exporter for every format with an encoder."""
    return dict.fromkeys(FORMATS, SoundExporter)
