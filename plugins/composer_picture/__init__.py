"""Plugin: pictures of pieces as piano rolls, PNG and SVG; it knows the hooks and nothing of what is drawn."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_exporters() -> Offers:
    """Offer `.png` and `.roll.svg`."""
    from composer_picture.exporters import PngExporter, SvgExporter

    return {".png": PngExporter, ".roll.svg": SvgExporter}
