"""Plugin: pieces as sound files; it knows the hooks and nothing of sound."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers
from composer_sound.encoding import FORMATS
from composer_sound.exporting import SoundExporter


@hookimpl
def register_exporters() -> Offers:
    """Offer every format that there is an encoder for."""
    return dict.fromkeys(FORMATS, SoundExporter)
