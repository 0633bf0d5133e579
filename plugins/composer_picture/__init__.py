"""Plugin: pictures of pieces as piano rolls, in PNG and SVG."""

from __future__ import annotations

from composer import hookimpl
from composer.types import Offers


@hookimpl
def register_exporters() -> Offers:
    """Register `.png` and `.roll.svg`."""
    from composer_picture.exporters import PngExporter, SvgExporter

    return {".png": PngExporter, ".roll.svg": SvgExporter}
